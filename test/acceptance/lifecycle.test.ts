import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { test } from 'node:test';
import { connect } from '#src/rpc/client/client.js';
import type { Daemon } from '../harness/daemon.js';
import { childrenOf, isAlive } from '../harness/processes.js';
import { manyFiles, program, Sandbox } from '../harness/sandbox.js';
import { waitFor } from '../harness/waiting.js';

const all = { autostart: ['file_watcher', 'vectorization', 'repair'] };

function workersOf(daemon: Daemon): number[] {
  return childrenOf(daemon.pid)
    .filter(({ commandLine }) => commandLine.some((word) => word.endsWith('worker.js')))
    .map(({ pid }) => pid);
}

async function untilFourWorkers(daemon: Daemon): Promise<number[]> {
  await waitFor('all workers', async () => {
    const { workers } = await daemon.call('health');
    return Object.values(workers).every((state) => state === 'ready');
  });
  const pids = workersOf(daemon);
  assert.equal(pids.length, 4);
  return pids;
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`${signal} stops it in order: status 0, and no process, socket or lock is left`, async (t) => {
    const sandbox = await Sandbox.create(t);
    const root = await sandbox.project({ 'a.py': 'a = 1\n' });
    const daemon = await sandbox.startDaemon({ config: all, args: ['--project', root] });
    const pids = await untilFourWorkers(daemon);
    assert.deepEqual(await daemon.stop(signal), { code: 0, signal: null });
    assert.deepEqual(pids.filter(isAlive), []);
    assert.equal(existsSync(daemon.socket), false);
    const next = await sandbox.startDaemon({ config: all });
    assert.equal((await next.call('list_projects')).projects[0]?.root_dir, root);
  });
}

test('shutdown over the socket is answered, and ends the same way', async (t) => {
  const sandbox = await Sandbox.create(t);
  const daemon = await sandbox.startDaemon({ config: all });
  const pids = await untilFourWorkers(daemon);
  assert.deepEqual(await daemon.call('shutdown'), { stopping: true });
  assert.deepEqual(await daemon.exited, { code: 0, signal: null });
  assert.deepEqual(pids.filter(isAlive), []);
  assert.equal(existsSync(daemon.socket), false);
});

test('SIGTERM right after the start ends it in order, too', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project(manyFiles(200));
  const daemon = await sandbox.startDaemon({ config: all, args: ['--project', root] });
  assert.deepEqual(await daemon.stop('SIGTERM'), { code: 0, signal: null });
  assert.equal(existsSync(daemon.socket), false);
});

test('only its user may use the socket', async (t) => {
  const sandbox = await Sandbox.create(t);
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  assert.equal(statSync(daemon.socket).mode & 0o777, 0o600);
  assert.equal(statSync(dirname(daemon.socket)).mode & 0o777, 0o700);
});

test('a lost socket heals; where something else is in its place, health says so until it is gone', async (t) => {
  const sandbox = await Sandbox.create(t);
  const daemon = await sandbox.startDaemon({ config: { autostart: [], socket_check_interval: 0.05 } });
  unlinkSync(daemon.socket);
  const client = await waitFor('others can connect again', () => connect({ socket: daemon.socket }));
  assert.equal((await client.call('health')).status, 'ok');
  client.close();
  unlinkSync(daemon.socket);
  writeFileSync(daemon.socket, '');
  await waitFor('a problem is told', async () => {
    const { status, problems } = await daemon.call('health');
    const [problem] = problems;
    return status === 'degraded' && problem?.source === 'socket' && /something else/i.test(problem.reason);
  });
  unlinkSync(daemon.socket);
  await waitFor('it is well again', async () => (await daemon.call('health')).status === 'ok');
  (await connect({ socket: daemon.socket })).close();
});

test('workers do not outlive a supervisor that was killed, and the next one starts at once', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n' });
  const daemon = await sandbox.startDaemon({ config: all });
  const project = await daemon.addProject(root);
  const pids = await untilFourWorkers(daemon);
  await daemon.stop('SIGKILL');
  await waitFor('its workers are gone', () => !pids.some(isAlive), 2_000);
  const next = await sandbox.startDaemon({ config: all });
  await untilFourWorkers(next);
  assert.deepEqual(await next.paths(project.project_id), ['a.py']);
});

test('a worker that hangs when its supervisor is killed is ended by the next one', async (t) => {
  const sandbox = await Sandbox.create(t);
  const daemon = await sandbox.startDaemon({ config: all });
  await untilFourWorkers(daemon);
  const hung = (await daemon.workerPid('vectorization')) ?? assert.fail('no worker');
  process.kill(hung, 'SIGSTOP');
  await daemon.stop('SIGKILL');
  const next = await sandbox.startDaemon({ config: all });
  await untilFourWorkers(next);
  assert.equal(isAlive(hung), false);
});

test('a second supervisor on the same state directory ends with status 3 and says who holds it', async (t) => {
  const sandbox = await Sandbox.create(t);
  const daemon = await sandbox.startDaemon();
  const second = sandbox.spawn(process.execPath, [program, 'serve', '--state-dir', daemon.stateDir]);
  let stderr = '';
  second.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const [code] = (await once(second, 'close')) as [number];
  assert.equal(code, 3);
  assert.match(stderr, new RegExp(`${daemon.stateDir}.*pid ${daemon.pid}`));
  assert.equal((await daemon.call('health')).status, 'ok', 'the first one goes on');
});

test('a worker that was killed is started again, and counted', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n' });
  const daemon = await sandbox.startDaemon({ config: all });
  daemon.mayLogErrors = true;
  await daemon.addProject(root);
  await untilFourWorkers(daemon);
  for (const type of ['file_watcher', 'vectorization', 'repair'] as const) {
    const pid = (await daemon.workerPid(type)) ?? assert.fail('no worker');
    process.kill(pid, 'SIGKILL');
    const status = await waitFor(`${type} runs again`, async () => {
      const seen = await daemon.call('get_worker_status', { worker_type: type });
      return 'state' in seen && seen.state === 'ready' && seen.processes[0]?.pid !== pid && seen;
    });
    assert.deepEqual([status.restarts, status.last_exit?.signal], [1, 'SIGKILL'], type);
  }
});

test('requests are answered although index_service was killed', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n' });
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  daemon.mayLogErrors = true;
  const project = await daemon.addProject(root);
  const { workers } = (await daemon.call('get_worker_status', {})) as {
    workers: { worker_type: string; processes: { pid: number }[] }[];
  };
  const pid =
    workers.find(({ worker_type }) => worker_type === 'index_service')?.processes[0]?.pid ??
    assert.fail('none');
  const reads = Array.from({ length: 20 }, () => daemon.paths(project.project_id));
  process.kill(pid, 'SIGKILL');
  for (const paths of await Promise.all(reads)) assert.deepEqual(paths, ['a.py']);
});

test('a worker that ignores SIGTERM is killed after the timeout, and reported as not graceful', async (t) => {
  const sandbox = await Sandbox.create(t);
  const daemon = await sandbox.startDaemon({ config: { autostart: ['vectorization'] } });
  await waitFor('the worker', async () => (await daemon.call('health')).workers['vectorization'] === 'ready');
  const pid = (await daemon.workerPid('vectorization')) ?? assert.fail('no worker');
  process.kill(pid, 'SIGSTOP');
  const { success, killed, failed } = await daemon.call('stop_worker', {
    worker_type: 'vectorization',
    timeout: 0.5,
  });
  assert.deepEqual(
    [success, failed, killed.map((one) => [one.pid, one.graceful])],
    [true, [], [[pid, false]]],
  );
  assert.ok((killed[0]?.duration_ms ?? 0) >= 500);
  assert.equal(isAlive(pid), false);
  const again = await daemon.call('start_worker', { worker_type: 'vectorization' });
  assert.deepEqual([again.success, again.pid === pid], [true, false]);
});

test('--project registers and indexes a folder at the start, and says so', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n', 'b.py': 'b = 1\n' });
  const daemon = await sandbox.startDaemon({ args: ['--project', root] });
  await waitFor('"indexed"', () => daemon.stdout.includes(`indexed ${root}: 2 files`));
  const { files } = await daemon.call('get_project_status', { root_dir: root });
  assert.equal(files.active, 2);
});
