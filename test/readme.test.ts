import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { run } from './harness/command.js';
import { program, Sandbox } from './harness/sandbox.js';
import { waitFor } from './harness/waiting.js';

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');

/** The shell blocks below a heading, as one script: a reader goes from top to bottom, too. */
function shellBelow(heading: string): string {
  const section = readme.split(/^## /m).find((part) => part.startsWith(heading)) ?? assert.fail(heading);
  return [...section.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block]) => block).join('\n');
}

/** The project that the README shows. */
const shown = {
  'lib/retry.py': `def retry_delay(attempt):
    """Seconds to wait before the next attempt: doubles each time, a minute at most."""
    return min(2 ** attempt, 60)
`,
  'main.py': 'from lib.retry import retry_delay\n\n\ndef main():\n    print(retry_delay(3))\n',
};

/** The commands of the README's console block, each with what it prints. */
function consoleBlock(): { command: string; output: string }[] {
  const [, block = ''] = /```console\n([\s\S]*?)```/.exec(readme) ?? [];
  return block
    .split(/^\$ /m)
    .slice(1)
    .map((part) => {
      const [command = '', ...lines] = part.trimEnd().split('\n');
      return { command, output: lines.map((line) => `${line}\n`).join('') };
    });
}

/** Without what differs from one run and one machine to the next: numbers of two digits and more, and times. */
function withoutFigures(text: string): string {
  return text
    .replaceAll(/[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}/g, 'ID')
    .replaceAll(/\bc[\da-f]{8}\b/g, 'ID')
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
    .replaceAll(/\d+\.\d|\d{2,}/g, 'N');
}

test('the commands of the README print what it shows', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project(shown);
  const daemon = await sandbox.startDaemon({ config: {}, args: ['--project', root] });
  await waitFor('it is ready', () => daemon.stdout.includes('ready: '), 60_000);
  await waitFor('vectors', async () => {
    const { chunks } = await daemon.call('get_project_status', { root_dir: root });
    return chunks.vectorized === chunks.total;
  });
  const own = (text: string): string =>
    text.replace(daemon.socket, '/run/user/1000/codekeep/codekeep.sock').replaceAll(root, '/home/me/src/app');
  const [serve, ...commands] = consoleBlock();
  assert.equal(withoutFigures(own(daemon.stdout)), withoutFigures(serve?.output ?? ''));
  assert.equal(commands.length, 9);
  for (const { command, output } of commands) {
    const script = `codekeep() { '${process.execPath}' '${program}' --socket '${daemon.socket}' "$@"; }; ${command}`;
    const result = await run(sandbox, 'bash', ['-c', script], { cwd: root });
    assert.deepEqual([result.status, result.stderr], [0, ''], command);
    assert.equal(withoutFigures(own(result.stdout)), withoutFigures(output), command);
    if (/^(?:sed|rm -r) /u.test(command)) await daemon.call('wait_until_fresh', { root_dir: root });
  }
});

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
  } finally {
    await sandbox.end();
  }
});

test('the hooks of the README make checkpoints of the project around them, and tell the agent nothing', async (t) => {
  const sandbox = await Sandbox.create(t);
  const daemon = await sandbox.startDaemon();
  const root = await sandbox.project({ 'lib/a.py': 'a = 1\n' });
  await daemon.addProject(root);
  const [, block = ''] = /```json\n(\{ "hooks"[\s\S]*?)```/.exec(readme) ?? [];
  const { hooks } = JSON.parse(block) as { hooks: Record<string, { hooks: { command: string }[] }[]> };
  const commands = Object.values(hooks).flatMap((one) => one.flatMap((entry) => entry.hooks));
  for (const { command } of commands) {
    const script = `codekeep() { '${process.execPath}' '${program}' --socket '${daemon.socket}' "$@"; }; ${command}`;
    const result = await run(sandbox, 'bash', ['-c', script], { cwd: `${root}/lib` });
    assert.deepEqual([result.status, result.stdout, result.stderr], [0, '', ''], command);
    const elsewhere = await run(sandbox, 'bash', ['-c', script], { cwd: sandbox.folder });
    assert.deepEqual(
      [elsewhere.status, elsewhere.stdout],
      [0, ''],
      'no agent is kept from its work elsewhere',
    );
  }
  const { checkpoints } = await daemon.call('list_checkpoints', { root_dir: root });
  assert.deepEqual(
    checkpoints.map(({ label }) => label),
    ['shell', 'turn'],
  );
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
