import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
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
