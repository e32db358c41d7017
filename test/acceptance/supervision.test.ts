import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { WorkerType } from '#src/contract/fields.js';
import type { Result } from '#src/contract/index.js';
import type { WorkerStatus } from '#src/contract/workers.js';
import { codekeep } from '../harness/command.js';
import type { Daemon } from '../harness/daemon.js';
import { startTwice } from '../harness/double-start.js';
import { followCommand } from '../harness/named-command.js';
import { childrenOf, environmentOf, isAlive } from '../harness/processes.js';
import { Sandbox } from '../harness/sandbox.js';
import { waitFor } from '../harness/waiting.js';

const only: { autostart: WorkerType[] } = { autostart: ['vectorization'] };

async function statusOf(daemon: Daemon, worker_type: WorkerType): Promise<WorkerStatus> {
  const status = await daemon.call('get_worker_status', { worker_type });
  assert.ok('state' in status);
  return status;
}

async function untilReady(daemon: Daemon, other = 0): Promise<WorkerStatus> {
  return await waitFor(
    'vectorization is ready',
    async () => {
      const status = await statusOf(daemon, 'vectorization');
      return (
        status.state === 'ready' &&
        status.processes[0] !== undefined &&
        status.processes[0].pid !== other &&
        status
      );
    },
    20_000,
  );
}

async function pidOf(daemon: Daemon): Promise<number> {
  return (await untilReady(daemon)).processes[0]?.pid ?? assert.fail('no worker');
}

async function untilFailed(daemon: Daemon, type: string): Promise<Result<'health'>> {
  return await waitFor(
    `${type} is failed`,
    async () => {
      const health = await daemon.call('health');
      return health.workers[type] === 'failed' && health;
    },
    60_000,
  );
}

/** Another schema version makes every worker crash that opens the index; index_service has it open already. */
function setSchemaVersion(daemon: Daemon, version: number): number {
  return daemon.sql((db) => {
    const before = Number(db.pragma('user_version', { simple: true }));
    db.pragma(`user_version = ${version}`);
    return before;
  });
}

test('a worker that hangs is replaced, and its status says why', async (t) => {
  const sandbox = await Sandbox.create(t);
  const daemon = await sandbox.startDaemon({ config: { ...only, worker_hang_timeout: 3 } });
  daemon.mayLogErrors = true;
  const pid = await pidOf(daemon);
  process.kill(pid, 'SIGSTOP');
  const status = await untilReady(daemon, pid);
  assert.equal(isAlive(pid), false);
  assert.deepEqual([status.restarts, status.last_exit?.signal], [1, 'SIGKILL']);
  assert.match(status.last_exit?.reason ?? '', /hung: no sign of life/);
});

test('what a worker takes is measured without a word where getconf is missing', async (t) => {
  const sandbox = await Sandbox.create(t);
  const programs = sandbox.path('programs');
  mkdirSync(programs);
  for (const name of ['git', 'setpriv']) {
    const found = execFileSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' });
    symlinkSync(found.trim(), join(programs, name));
  }
  const daemon = await sandbox.startDaemon({ config: only, under: ['env', `PATH=${programs}`] });
  const { summary } = await untilReady(daemon);
  assert.ok(summary.total_memory_mb > 0);
});

test('index_service that hangs is replaced: reads wait and are answered', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n' });
  const daemon = await sandbox.startDaemon({ config: { autostart: [], worker_hang_timeout: 3 } });
  daemon.mayLogErrors = true;
  const project = await daemon.addProject(root);
  const all = await daemon.call('get_worker_status', {});
  assert.ok('workers' in all);
  const pid = all.workers[0]?.processes[0]?.pid ?? assert.fail('no index_service');
  process.kill(pid, 'SIGSTOP');
  assert.deepEqual(await daemon.paths(project.project_id), ['a.py']);
  assert.equal(isAlive(pid), false);
});

test('a worker that crashes again and again is failed: health says why, and it heals by itself', async (t) => {
  const sandbox = await Sandbox.create(t);
  const daemon = await sandbox.startDaemon({ config: { ...only, worker_retry_interval: 2 } });
  daemon.mayLogErrors = true;
  const first = await pidOf(daemon);
  const version = setSchemaVersion(daemon, 999);
  process.kill(first, 'SIGKILL');
  const { status, problems } = await untilFailed(daemon, 'vectorization');
  assert.equal(status, 'degraded');
  const [problem] = problems;
  assert.equal(problem?.source, 'vectorization');
  assert.match(problem.reason, /schema version 999/);
  assert.ok(problem.stderr?.some((line) => line.includes('schema version 999')));
  const worker = await statusOf(daemon, 'vectorization');
  assert.deepEqual(worker.last_exit?.stderr, problem.stderr);
  const { stdout } = await codekeep(sandbox, 'status', '--socket', daemon.socket);
  assert.match((await followCommand(sandbox, daemon, stdout, /^codekeep logs/)).stdout, /999/);
  setSchemaVersion(daemon, version);
  await followCommand(sandbox, daemon, stdout, /^codekeep worker start/);
  await untilReady(daemon, first);
  assert.deepEqual((await daemon.call('health')).problems, []);
});

test('start_worker heals what is failed, index_service as well, and says what is still wrong', async (t) => {
  const sandbox = await Sandbox.create(t);
  const daemon = await sandbox.startDaemon({ config: only });
  daemon.mayLogErrors = true;
  const worker = await pidOf(daemon);
  const index = childrenOf(daemon.pid).find(({ commandLine }) => commandLine.includes('index_service'));
  const version = setSchemaVersion(daemon, 999);
  for (const pid of [worker, index?.pid ?? assert.fail('no index_service')]) process.kill(pid, 'SIGKILL');
  await Promise.all([untilFailed(daemon, 'index_service'), untilFailed(daemon, 'vectorization')]);
  const unavailable = await daemon.refusal('list_projects');
  assert.equal(unavailable.code, 'INDEX_UNAVAILABLE');
  assert.match(unavailable.message, /index_service is failed: it .*schema version 999/);

  const refused = await daemon.refusal('start_worker', { worker_type: 'vectorization' });
  assert.equal(refused.code, 'WORKER_START_ERROR');
  assert.match(refused.message, /schema version 999/);
  setSchemaVersion(daemon, version);
  const started = await daemon.call('start_worker', { worker_type: 'vectorization' });
  assert.ok(isAlive(started.pid));
  assert.deepEqual((await daemon.call('list_projects')).projects, []);
  assert.deepEqual((await daemon.call('health')).problems, []);
});

/** The stop may have been quicker. */
function killIfAlive(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'ESRCH');
  }
}

test('a stop blocks every respawn, also of a worker that dies meanwhile', async (t) => {
  const sandbox = await Sandbox.create(t);
  const daemon = await sandbox.startDaemon({ config: only });
  daemon.mayLogErrors = true;
  for (let round = 0; round < 5; round += 1) {
    const pid = await pidOf(daemon);
    const stopping = daemon.call('stop_worker', { worker_type: 'vectorization' });
    killIfAlive(pid);
    const { success, failed } = await stopping;
    assert.deepEqual([success, failed], [true, []]);
    const status = await statusOf(daemon, 'vectorization');
    assert.deepEqual([status.state, status.processes], ['stopped', []]);
    await daemon.call('start_worker', { worker_type: 'vectorization' });
  }
});

test('a process that cannot be killed: its pid is named, nothing is repaired, the workers run again', async (t) => {
  const mayNotKill = ['setpriv', '--bounding-set', '-kill'];
  if (process.getuid?.() !== 0 || spawnSync('setpriv', [...mayNotKill.slice(1), 'true']).status !== 0)
    return t.skip('needs root and setpriv, to take the right to kill from the supervisor');
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n' });
  const daemon = await sandbox.startDaemon({ config: only, under: mayNotKill });
  daemon.mayLogErrors = true;
  await daemon.addProject(root);
  const pid = await pidOf(daemon);
  const mark = environmentOf(pid).find((one) => one.startsWith('CODEKEEP_WORKER=')) ?? assert.fail('no mark');
  // Another user's process with the worker's mark, which root without CAP_KILL may not signal.
  const child = spawn('setpriv', ['--reuid', '65534', '--clear-groups', 'env', mark, 'sleep', '600'], {
    stdio: 'ignore',
  });
  t.after(() => child.kill('SIGKILL'));
  await waitFor('it carries the mark', () => environmentOf(child.pid ?? 0).includes(mark));
  const error = await daemon.refusal('repair_database', { root_dir: root });
  assert.equal(error.code, 'WORKER_STOP_ERROR');
  assert.match(error.message, new RegExp(`\\b${child.pid}\\b`));
  assert.ok(isAlive(child.pid ?? 0));
  assert.deepEqual((await daemon.call('list_repairs')).runs, [], 'no repair began');
  assert.equal((await daemon.call('health')).repair, null);
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
  assert.notEqual((await untilReady(daemon)).processes[0]?.pid, pid);
  assert.deepEqual((await daemon.repair({ root_dir: root })).errors, []);
});

test('of two supervisors started at the same instant one wins, the other names it and exits 3', async (t) => {
  const sandbox = await Sandbox.create(t);
  const stateDir = sandbox.path('state');
  mkdirSync(stateDir, { mode: 0o700 });
  for (let round = 1; round <= 20; round += 1) await startTwice(sandbox, stateDir);
});
