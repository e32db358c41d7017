import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { addLostRows, type Daemon } from '../harness/daemon.js';
import { childrenOf, environmentOf, isAlive, stateOf } from '../harness/processes.js';
import { manyFiles, Sandbox } from '../harness/sandbox.js';
import { waitFor, within } from '../harness/waiting.js';
import { RawClient } from '../rpc/service.js';

/** Stops a worker as a debugger does: it handles no signal but SIGKILL from then on. */
async function freeze(pid: number): Promise<void> {
  process.kill(pid, 'SIGSTOP');
  await waitFor('it stands still', () => stateOf(pid) === 'T');
}

/** Freezes a process of this kind as soon as there is one. */
async function freezeNext(daemon: Daemon, kind: string): Promise<number> {
  const pid = await waitFor(
    `a ${kind} process`,
    () => childrenOf(daemon.pid).find(({ commandLine }) => commandLine.includes(kind))?.pid,
  );
  await freeze(pid);
  return pid;
}

test('a repair whose process never gets going is given up after the start timeout, and says so', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n' });
  const daemon = await sandbox.startDaemon({
    config: {
      autostart: ['vectorization'],
      worker_start_timeout: 3,
      worker_hang_timeout: 3,
      worker_stop_timeout: 1,
    },
  });
  daemon.mayLogErrors = true;
  await daemon.addProject(root);
  const repairing = daemon.refusal('repair_database', { root_dir: root });
  const pid = await freezeNext(daemon, 'repair');
  // On a busy machine it may have become ready in the last instant; then it hangs.
  assert.match((await repairing).message, /repair was not ready within 3 s|it hung/);
  assert.equal(isAlive(pid), false);
  await waitFor('the workers run again', async () => (await daemon.call('health')).status === 'ok');
});

test('a cancelled repair whose process does not listen is killed', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n' });
  const daemon = await sandbox.startDaemon({
    config: { autostart: ['vectorization'], worker_start_timeout: 300, worker_stop_timeout: 1 },
  });
  await daemon.addProject(root);
  const started = await daemon.call('repair_database', { root_dir: root, wait: false });
  assert.ok('job_id' in started);
  const pid = await freezeNext(daemon, 'repair');
  await daemon.call('cancel_job', started);
  const job = await waitFor('the end of the job', async () => {
    const seen = await daemon.call('get_job', started);
    return seen.state !== 'running' && seen;
  });
  assert.equal(job.state, 'cancelled');
  assert.equal(isAlive(pid), false);
  await waitFor('the workers run again', async () => {
    const { status, workers } = await daemon.call('health');
    return status === 'ok' && workers['vectorization'] === 'ready';
  });
  assert.deepEqual((await daemon.repair({ root_dir: root })).errors, []);
});

for (const [how, hurry] of [
  ['by force', (daemon: Daemon) => daemon.call('stop_worker', { worker_type: 'vectorization', force: true })],
  [
    'with a shorter timeout',
    (daemon: Daemon) => daemon.call('stop_worker', { worker_type: 'vectorization', timeout: 1 }),
  ],
  ['of the whole daemon', (daemon: Daemon) => daemon.stop()],
] as const) {
  test(`a stop ${how} overtakes one that has time`, async (t) => {
    const sandbox = await Sandbox.create(t);
    const daemon = await sandbox.startDaemon({
      config: { autostart: ['vectorization'], worker_stop_timeout: 1 },
    });
    await waitFor(
      'it is ready',
      async () => (await daemon.call('health')).workers['vectorization'] === 'ready',
    );
    const pid = (await daemon.workerPid('vectorization')) ?? assert.fail('no worker');
    await freeze(pid);
    const lenient = daemon.call('stop_worker', { worker_type: 'vectorization', timeout: 600 });
    lenient.catch(() => undefined);
    await waitFor(
      'it is being stopped',
      async () => (await daemon.call('health')).workers['vectorization'] === 'stopping',
    );
    await within('the second stop', Promise.resolve(hurry(daemon)), 15_000);
    assert.equal(isAlive(pid), false);
  });
}

test('of two start_worker at once the second is told the pid of the first', async (t) => {
  const sandbox = await Sandbox.create(t);
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  const [first, second] = await Promise.all([
    daemon.call('start_worker', { worker_type: 'vectorization' }),
    daemon.call('start_worker', { worker_type: 'vectorization' }),
  ]);
  assert.deepEqual([first.success, second.success], [true, false]);
  assert.equal(second.pid, first.pid);
  assert.match(second.message, new RegExp(`runs already \\(pid ${first.pid}\\)`));
});

test('a worker that could not be resumed is in the result of the repair', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project(manyFiles(40));
  const daemon = await sandbox.startDaemon({ config: { autostart: ['vectorization'] } });
  daemon.mayLogErrors = true;
  const project = await daemon.addProject(root);
  addLostRows(daemon, project, 900);
  const repairing = daemon.repair({ root_dir: root });
  await waitFor('it is at work', async () => (await daemon.call('health')).repair?.phase === 'apply');
  // No worker that opens the index from now on takes it; the repair has it open.
  const version = daemon.sql((db) => Number(db.pragma('user_version', { simple: true })));
  daemon.sql((db) => db.pragma('user_version = 999'));
  const { workers_resumed, workers_not_resumed } = await repairing;
  daemon.sql((db) => db.pragma(`user_version = ${version}`));
  assert.deepEqual(workers_resumed, []);
  assert.deepEqual(
    workers_not_resumed.map(({ type }) => type),
    ['vectorization'],
  );
  assert.match(workers_not_resumed[0]?.error ?? '', /schema version 999/);
});

test('a process that cannot be ended is in health, in the exit status and in the way of the next start no longer than it has to', async (t) => {
  const mayNotKill = ['setpriv', '--bounding-set', '-kill'];
  if (process.getuid?.() !== 0 || spawnSync('setpriv', [...mayNotKill.slice(1), 'true']).status !== 0)
    return t.skip('needs root and setpriv, to take the right to kill from the supervisor');
  const sandbox = await Sandbox.create(t);
  const stateDir = sandbox.path('state');
  const daemon = await sandbox.startDaemon({
    stateDir,
    config: { autostart: ['vectorization'], worker_stop_timeout: 1 },
    under: mayNotKill,
  });
  daemon.mayLogErrors = true;
  const pid = await waitFor('the worker', () => daemon.workerPid('vectorization'));
  const mark = environmentOf(pid).find((one) => one.startsWith('CODEKEEP_WORKER=')) ?? assert.fail('no mark');
  // Another user's process with the worker's mark, which root without CAP_KILL may not signal.
  const child = spawn('setpriv', ['--reuid', '65534', '--clear-groups', 'env', mark, 'sleep', '600'], {
    stdio: 'ignore',
  });
  const left = child.pid ?? assert.fail('no child');
  const ended = once(child, 'exit');
  t.after(() => child.kill('SIGKILL'));
  await waitFor('it carries the mark', () => environmentOf(left).includes(mark));

  const refused = await daemon.refusal('stop_worker', { worker_type: 'vectorization' });
  assert.equal(refused.code, 'WORKER_STOP_ERROR');
  const { status, problems } = await daemon.call('health');
  assert.equal(status, 'degraded');
  assert.match(
    problems.map(({ reason }) => reason).join('\n'),
    new RegExp(`process ${left} cannot be ended`),
  );

  daemon.expectedStderr = `process ${left} (vectorization) could not be ended\n`;
  assert.deepEqual(await daemon.stop(), { code: 1, signal: null });
  assert.match(
    readFileSync(join(stateDir, 'workers.json'), 'utf8'),
    new RegExp(mark.split('=')[1] ?? 'no mark'),
  );
  assert.ok(isAlive(left));
  const unable = await sandbox.startDaemon({
    stateDir,
    config: { autostart: [], worker_start_timeout: 2 },
    under: mayNotKill,
  });
  unable.mayLogErrors = true;
  await waitFor('it says what is in its way', async () =>
    (await unable.call('health')).problems.some(
      ({ source, reason }) => source === 'start' && reason.includes(String(left)),
    ),
  );
  assert.equal(
    (await unable.refusal('repair_database')).code,
    'INDEX_UNAVAILABLE',
    'and nobody waits for it',
  );
  assert.deepEqual(await unable.stop(), { code: 0, signal: null });

  const next = await sandbox.startDaemon({ stateDir, config: { autostart: ['vectorization'] } });
  next.mayLogErrors = true;
  await ended;
  await waitFor('all is well', async () => (await next.call('health')).status === 'ok');
});

test('a crowd of clients leaves the descriptors that a stop needs where there are few', async (t) => {
  const sandbox = await Sandbox.create(t);
  const daemon = await sandbox.startDaemon({ under: ['prlimit', '--nofile=112'] });
  const crowd = Array.from({ length: 150 }, () => new RawClient(daemon.socket));
  t.after(() => crowd.forEach(({ socket }) => socket.destroy()));
  await waitFor('most are told that there are too many', () =>
    crowd.some(({ received }) => received.includes('connections already')),
  );
  const stopped = await daemon.call('stop_worker', { worker_type: 'file_watcher' });
  assert.equal(stopped.success, true);
  assert.equal((await daemon.call('start_worker', { worker_type: 'file_watcher' })).success, true);
  await waitFor('it runs', async () => (await daemon.call('health')).workers['file_watcher'] === 'ready');
  assert.deepEqual(await daemon.stop(), { code: 0, signal: null });
});

test('a worker that cannot be forked is started again later, and a stop that cannot look for what is left says so', async (t) => {
  const sandbox = await Sandbox.create(t);
  const daemon = await sandbox.startDaemon({ config: { autostart: ['vectorization'] } });
  daemon.mayLogErrors = true;
  const allowFiles = (count: number): void => {
    const limits = spawnSync('prlimit', ['--pid', String(daemon.pid), `--nofile=${count}:1024`]);
    assert.equal(limits.status, 0, String(limits.stderr));
  };
  const isReady = async (): Promise<boolean> =>
    (await daemon.call('health')).workers['vectorization'] === 'ready';
  await waitFor('it runs', isReady);

  const pid = await waitFor('the worker', () => daemon.workerPid('vectorization'));
  // The event loop alone holds more.
  allowFiles(4);
  process.kill(pid, 'SIGKILL');
  await waitFor('health says why it does not run', async () => {
    const { workers, problems } = await daemon.call('health');
    const reason = problems.find(({ source }) => source === 'vectorization')?.reason ?? '';
    return workers['vectorization'] === 'backoff' && /could not be started: .*EMFILE/.test(reason);
  });
  allowFiles(1024);
  await waitFor('it runs again', isReady);

  allowFiles(4);
  assert.deepEqual(await daemon.stop(), { code: 1, signal: null });
  assert.match(daemon.stderr, /^index_service: what it had started could not be looked for: EMFILE/m);
  daemon.expectedStderr = daemon.stderr;
  assert.doesNotMatch(readFileSync(join(daemon.stateDir, 'logs', 'supervisor.log'), 'utf8'), /"stopped"/);
});

test('a worker that only one descriptor is left for is looked at with that', async (t) => {
  const sandbox = await Sandbox.create(t);
  const daemon = await sandbox.startDaemon({ config: { autostart: ['vectorization'] } });
  await waitFor('it runs', async () => (await daemon.call('health')).workers['vectorization'] === 'ready');
  const taken = new Set(readdirSync(`/proc/${daemon.pid}/fd`).map(Number));
  let free = 0;
  while (taken.has(free)) free += 1;
  const limits = spawnSync('prlimit', ['--pid', String(daemon.pid), `--nofile=${free + 1}:1024`]);
  assert.equal(limits.status, 0, String(limits.stderr));
  assert.deepEqual(await daemon.stop(), { code: 0, signal: null });
});
