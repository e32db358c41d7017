import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { codekeep } from '../harness/command.js';
import { manyFiles, program, Sandbox } from '../harness/sandbox.js';
import { waitFor, within } from '../harness/waiting.js';

test('a report says what was mended, what not, why, and what to do', async (t) => {
  const sandbox = await Sandbox.create(t);
  const odd = 'odd `name`\n# x.py';
  const root = await sandbox.project({
    ...manyFiles(1_050),
    [odd]: 'o = 1\n',
    'taken.py': 't = 1\n',
    'big.bin': 'b'.repeat(5_000),
  });
  const daemon = await sandbox.startDaemon({ config: { autostart: [], max_file_bytes: 4_000 } });
  const { project_id } = await daemon.addProject(root);
  rmSync(root, { recursive: true });
  mkdirSync(join(root, 'taken.py'), { recursive: true });
  const run = async (...args: string[]): Promise<{ status: number | null; stdout: string; stderr: string }> =>
    await codekeep(sandbox, 'repair', root, '--socket', daemon.socket, ...args);
  const planned = sandbox.path('planned.md');
  assert.equal((await run('--dry-run', '--force', '--report', planned)).status, 4);
  const plan = readFileSync(planned, 'utf8');
  assert.match(plan, /^# What a repair would do, /u);
  assert.match(plan, /^### Mended: 1051$/mu);
  assert.match(plan, /^These are the first 1000\.$/mu);
  const path = sandbox.path('report.md');
  const { status, stdout } = await run('--force', '--report', path);
  assert.equal(status, 4);
  const report = readFileSync(path, 'utf8');
  const runId = /codekeep undo (?<id>[\da-f-]+)/u.exec(stdout)?.groups?.['id'] ?? '';
  assert.ok(report.includes(`\`codekeep undo ${runId}\``), report.slice(0, 500));
  assert.match(report, /^### Mended: 1051$/mu);
  assert.equal(
    report.match(/: restored into versions and project$/gmu)?.length,
    1_051,
    'all of them are listed',
  );
  assert.ok(report.includes('- `` odd `name`\\n# x.py ``: restored into versions and project'));
  assert.match(report, /^### Not restorable: 1\n\n.*\n\n- `big\.bin`: /mu);
  assert.match(report, /^### In conflict: 1\n\n.*move it away.*\n\n- `taken\.py`: /mu);
  const json = sandbox.path('report.json');
  assert.equal((await run('--report', json)).status, 4);
  const { message, unrestorable, advice } = JSON.parse(readFileSync(json, 'utf8')) as Record<string, unknown>;
  assert.equal(typeof message, 'string');
  assert.equal((unrestorable as unknown[]).length, 1);
  assert.ok(advice);
  assert.equal((await daemon.paths(project_id)).length, 1_053);
});

test('a report overwrites nothing, and is no file where there was no repair', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n' });
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  await daemon.addProject(root);
  unlinkSync(join(root, 'a.py'));
  const precious = sandbox.path('precious.md');
  writeFileSync(precious, 'precious');
  for (const file of [precious, sandbox.path('no/such/folder.md')]) {
    const { status, stderr } = await codekeep(sandbox, 'repair', '--report', file, '--socket', daemon.socket);
    assert.equal(status, 1);
    assert.match(stderr, /Nothing was repaired/u);
  }
  assert.equal(readFileSync(precious, 'utf8'), 'precious');
  assert.equal(existsSync(join(root, 'a.py')), false);
  const none = sandbox.path('none.md');
  const { status } = await codekeep(
    sandbox,
    'repair',
    '/nowhere',
    '--report',
    none,
    '--socket',
    daemon.socket,
  );
  assert.equal(status, 1);
  assert.equal(existsSync(none), false);
});

test('a command that is killed leaves no empty report', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project(manyFiles(20));
  const daemon = await sandbox.startDaemon({
    config: { autostart: ['vectorization'], worker_stop_timeout: 2 },
  });
  daemon.mayLogErrors = true;
  await daemon.addProject(root);
  // One that does not hear makes the repair last.
  process.kill((await daemon.workerPid('vectorization')) ?? assert.fail('no worker'), 'SIGSTOP');
  const report = sandbox.path('report.md');
  const words = [program, 'repair', '--report', report, '--socket', daemon.socket];
  const command = sandbox.spawn(process.execPath, words);
  const exited = once(command, 'exit');
  await waitFor('the repair runs', async () => (await daemon.call('health')).repair !== null);
  command.kill('SIGTERM');
  await within('it is gone', exited);
  assert.equal(existsSync(report), false);
  await waitFor('the repair is over', async () => (await daemon.call('health')).repair === null, 20_000);
});
