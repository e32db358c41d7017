import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { run } from './harness/command.js';
import { Sandbox } from './harness/sandbox.js';

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');

/** The shell blocks below a heading, as one script: a reader goes from top to bottom, too. */
function shellBelow(heading: string): string {
  const section = readme.split(/^## /m).find((part) => part.startsWith(heading)) ?? assert.fail(heading);
  return [...section.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block]) => block).join('\n');
}

test('the recipes of the README work as printed, with the real socat and jq', async () => {
  const sandbox = await Sandbox.create();
  try {
    const daemon = await sandbox.startDaemon();
    await daemon.addProject(await sandbox.project({ 'a.py': 'a = 1\n', 'b.py': 'b = 1\n' }));
    const script = `export CODEKEEP_SOCKET='${daemon.socket}'\n${shellBelow('Recipes')}`;
    const { status, stdout, stderr } = await run(sandbox, 'bash', ['-euo', 'pipefail', '-c', script]);
    assert.equal(status, 0, stderr);
    assert.match(stdout, /^"ok"\n/);
    assert.match(stdout, /"message": "2 files checked, nothing to do\."/);
    assert.match(stdout, /"(?:running|done)"\n$/);
  } finally {
    await sandbox.end();
  }
});

test('the program of the README runs as printed, against the real package', async () => {
  const sandbox = await Sandbox.create();
  // Within the package, so that it finds 'codekeep/client' by that name, as its users do.
  const path = fileURLToPath(new URL(`readme-${process.pid}.mjs`, import.meta.url));
  try {
    const daemon = await sandbox.startDaemon();
    await daemon.addProject(await sandbox.project({ 'a.py': 'a = 1\n' }));
    const [, source = ''] = /```ts\n([\s\S]*?)```/.exec(readme) ?? [];
    assert.match(source, /from 'codekeep\/client'/);
    writeFileSync(path, `const socket = ${JSON.stringify(daemon.socket)};\n${source}`);
    const { status, stdout, stderr } = await run(sandbox, process.execPath, [path]);
    assert.deepEqual([status, stderr], [0, '']);
    assert.match(stdout, /^\d+ \d+$/m, 'progress was told');
  } finally {
    rmSync(path, { force: true });
    await sandbox.end();
  }
});
