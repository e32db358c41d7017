import assert from 'node:assert/strict';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Finding } from '#src/cli/doctor/finding.js';
import { codekeep, run, withoutPrivileges } from '../harness/command.js';
import { program, Sandbox } from '../harness/sandbox.js';
import { waitFor } from '../harness/waiting.js';

interface Report {
  status: number | null;
  ok: boolean;
  findings: Finding[];
}

async function doctor(sandbox: Sandbox, ...args: string[]): Promise<Report> {
  const { status, stdout, stderr } = await codekeep(sandbox, 'doctor', '--json', ...args);
  assert.equal(stderr, '');
  return { status, ...(JSON.parse(stdout) as Omit<Report, 'status'>) };
}

function verdictOf({ findings }: Report, check: string): Finding {
  return findings.find((finding) => finding.check === check) ?? assert.fail(`nothing about ${check}`);
}

test('a daemon that is well: every finding is ok, and the exit status 0', async (t) => {
  const sandbox = await Sandbox.create(t);
  const daemon = await sandbox.startDaemon({ config: {} });
  const root = await sandbox.project({ 'a.py': 'a = 1\n', 'deep/er/b.py': 'b = 1\n' });
  await daemon.addProject(root);
  await waitFor('the workers run', async () => {
    const { workers } = await daemon.call('health');
    return workers['file_watcher'] === 'ready' && workers['vectorization'] === 'ready';
  });
  const report = await doctor(sandbox, '--state-dir', daemon.stateDir);
  assert.deepEqual(
    report.findings.filter(({ verdict }) => verdict !== 'ok'),
    [],
  );
  assert.deepEqual([report.status, report.ok], [0, true]);
  const checks = new Set(report.findings.map(({ check }) => check));
  for (const check of [
    'node',
    'sqlite',
    'ps',
    'setpriv',
    'socket',
    'state directory',
    'database',
    'worker index_service',
  ])
    assert.ok(checks.has(check), check);
  assert.match(verdictOf(report, 'project').message, /2 files/);
  // The root, deep and deep/er.
  assert.match(verdictOf(report, 'inotify watches').message, /3 folders are indexed/);
});

test('for people: each finding in a line, how to mend it below', async (t) => {
  const sandbox = await Sandbox.create(t);
  await writeFile(sandbox.path('file'), '');
  const args = ['--state-dir', sandbox.path('state'), '--socket', sandbox.path('file')];
  const { status, stdout } = await codekeep(sandbox, 'doctor', ...args);
  assert.equal(status, 4);
  assert.match(stdout, /^ok +node +20|^ok +node/m);
  assert.match(stdout, /^fail +socket .*is not a socket\n {6}Move it away/m);
  assert.match(stdout, /\d+ ok, \d+ warnings, 1 failed\n$/);
});

test('without a daemon the index is left alone, and that is no failure', async (t) => {
  const sandbox = await Sandbox.create(t);
  const report = await doctor(sandbox, '--state-dir', sandbox.path('state'));
  assert.deepEqual([report.status, report.ok], [0, true]);
  assert.equal(verdictOf(report, 'database').verdict, 'warn');
  assert.equal(verdictOf(report, 'socket').verdict, 'warn');
});

test('with a socket alone, the state directory of the daemon behind it is looked at', async (t) => {
  const sandbox = await Sandbox.create(t);
  const daemon = await sandbox.startDaemon();
  await chmod(daemon.stateDir, 0o750);
  const report = await doctor(sandbox, '--socket', daemon.socket);
  const { verdict, message } = verdictOf(report, 'state directory');
  assert.deepEqual([verdict, message.startsWith(`${daemon.stateDir} is open to others`)], ['warn', true]);
  assert.match(verdictOf(report, 'disk space').message, new RegExp(`^${daemon.stateDir}: `, 'u'));
});

test('a daemon that is well and listens on another socket is named, and nobody is told to end it', async (t) => {
  const sandbox = await Sandbox.create(t);
  const stateDir = sandbox.path('state');
  const socket = sandbox.path('other.sock');
  const serve = sandbox.spawn(process.execPath, [
    program,
    'serve',
    '--state-dir',
    stateDir,
    '--socket',
    socket,
  ]);
  await waitFor(
    'it answers',
    async () => (await codekeep(sandbox, 'status', '--socket', socket)).status === 0,
  );
  const who = `The supervisor (pid ${serve.pid}) holds the state directory, and does not listen on ${join(stateDir, 'codekeep.sock')} (ENOENT).`;
  const { verdict, message, fix } = verdictOf(await doctor(sandbox, '--state-dir', stateDir), 'socket');
  assert.deepEqual([verdict, message], ['fail', who]);
  assert.match(fix ?? '', /listens on another socket: .*--socket or CODEKEEP_SOCKET/u);
  assert.doesNotMatch(fix ?? '', /kill/u);
  for (const command of ['status', 'stop']) {
    const { status, stderr } = await codekeep(sandbox, command, '--state-dir', stateDir);
    assert.equal(status, 3);
    assert.equal(stderr, `codekeep: ${who}\n  ${fix}\n`);
  }
  assert.equal((await codekeep(sandbox, 'stop', '--socket', socket)).status, 0);
});

test('a socket that others may use fails', async (t) => {
  const sandbox = await Sandbox.create(t);
  const daemon = await sandbox.startDaemon();
  await chmod(daemon.socket, 0o666);
  const report = await doctor(sandbox, '--state-dir', daemon.stateDir);
  assert.equal(report.status, 4);
  const { verdict, fix } = verdictOf(report, 'socket');
  assert.equal(verdict, 'fail');
  assert.match(fix ?? '', /chmod 600 /);
});

test('a configuration that is wrong fails, with the key', async (t) => {
  const sandbox = await Sandbox.create(t);
  for (const config of [{ log_level: 'loud' }, { socket_group: 'no-such-group' }]) {
    await writeFile(sandbox.path('config.json'), JSON.stringify(config));
    const args = ['--state-dir', sandbox.path('state'), '--config', sandbox.path('config.json')];
    const report = await doctor(sandbox, ...args);
    assert.equal(report.status, 4);
    assert.match(verdictOf(report, 'configuration').message, new RegExp(Object.keys(config).join()));
  }
});

test('limits of inotify below what the projects need fail', async (t) => {
  const sandbox = await Sandbox.create(t);
  const proc = sandbox.path('proc');
  await mkdir(join(proc, 'sys/fs/inotify'), { recursive: true });
  await mkdir(join(proc, 'sys/user'));
  await writeFile(join(proc, 'sys/fs/inotify/max_user_watches'), '65536\n');
  await writeFile(join(proc, 'sys/user/max_inotify_watches'), '2\n');
  await writeFile(join(proc, 'sys/fs/inotify/max_user_instances'), '128\n');
  const daemon = await sandbox.startDaemon();
  await daemon.addProject(await sandbox.project({ 'a/a.py': 'a = 1\n', 'b/b.py': 'b = 1\n' }));
  const report = await doctor(sandbox, '--state-dir', daemon.stateDir, '--proc', proc);
  assert.equal(report.status, 4);
  const { message, fix } = verdictOf(report, 'inotify watches');
  assert.match(message, /3 folders are indexed, 2 are allowed/);
  assert.match(fix ?? '', /user\.max_inotify_watches/, 'the smaller limit holds');
  assert.equal(verdictOf(report, 'inotify instances').verdict, 'ok');
});

test('a worker that crashes again and again is named with its reason', async (t) => {
  const sandbox = await Sandbox.create(t);
  const daemon = await sandbox.startDaemon();
  daemon.mayLogErrors = true;
  await waitFor(
    'the watcher runs',
    async () => (await daemon.call('health')).workers['file_watcher'] === 'ready',
  );
  const pid = (await daemon.workerPid('file_watcher')) ?? assert.fail('no watcher');
  process.kill(pid, 'SIGKILL');
  const { verdict, message } = await waitFor(
    'the doctor sees it',
    async () => {
      const finding = verdictOf(await doctor(sandbox, '--state-dir', daemon.stateDir), 'worker file_watcher');
      if (finding.verdict === 'ok') {
        const again = await daemon.workerPid('file_watcher');
        if (again !== null) process.kill(again, 'SIGKILL');
        return null;
      }
      return finding;
    },
    30_000,
  );
  assert.notEqual(verdict, 'ok');
  assert.match(message, /SIGKILL/);
});

test('a state directory that cannot be read and written fails', async (t) => {
  const sandbox = await Sandbox.create(t);
  const state = sandbox.path('state');
  await mkdir(state);
  await chmod(state, 0);
  const args = [process.execPath, program, 'doctor', '--json', '--state-dir', state];
  const [command = '', ...rest] = [...withoutPrivileges(), ...args];
  const { status, stdout } = await run(sandbox, command, rest);
  const report = { status, ...(JSON.parse(stdout) as Omit<Report, 'status'>) };
  assert.equal(status, 4);
  assert.match(verdictOf(report, 'state directory').message, /cannot be read and written by user \d+/);
});
