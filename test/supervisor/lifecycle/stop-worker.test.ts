import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { workerMark } from '#src/supervisor/lifecycle/process-table.js';
import type { WorkerProcess } from '#src/supervisor/lifecycle/worker-process.js';
import { isAlive, stateOf } from '../../harness/processes.js';
import { waitFor } from '../../harness/waiting.js';
import { type FixtureName, forkFixture } from './worker-fixture.js';

const timeoutMs = 1_000;

function assertGone(worker: WorkerProcess): void {
  assert.equal(isAlive(worker.pid), false, `process ${worker.pid} is gone when its stop is reported`);
}

test('a healthy worker ends in order, at once', async (t) => {
  const worker = forkFixture(t, 'ends-in-order');
  await worker.ready;
  const { graceful, how, error, pid } = await worker.stop(timeoutMs);
  assert.deepEqual(
    { graceful, how, error, pid },
    { graceful: true, how: 'ended in order', error: null, pid: worker.pid },
  );
  assertGone(worker);
});

for (const name of ['ignores-stop', 'spins'] satisfies FixtureName[]) {
  test(`one that ${name} is killed after the timeout`, async (t) => {
    const worker = forkFixture(t, name);
    await worker.ready;
    const { graceful, how, error, durationMs } = await worker.stop(timeoutMs);
    assert.deepEqual({ graceful, how, error }, { graceful: false, how: 'was killed', error: null });
    assert.ok(durationMs >= timeoutMs);
    assertGone(worker);
  });
}

test('one that is stopped by SIGSTOP is killed after the timeout', async (t) => {
  const worker = forkFixture(t, 'ends-in-order');
  await worker.ready;
  process.kill(worker.pid, 'SIGSTOP');
  await waitFor('it is stopped', () => stateOf(worker.pid) === 'T');
  const { graceful, error } = await worker.stop(timeoutMs);
  assert.deepEqual([graceful, error], [false, null]);
  assertGone(worker);
});

test('one that never becomes ready ends by the signal', async (t) => {
  const worker = forkFixture(t, 'never-ready');
  const { graceful, error } = await worker.stop(timeoutMs);
  assert.deepEqual([graceful, error], [true, null]);
  assertGone(worker);
  await assert.rejects(worker.ready, { code: 'WORKER_START_ERROR' });
});

test('one that is not ready in time is ended, and the failure says that', async (t) => {
  const worker = forkFixture(t, 'never-ready');
  await assert.rejects(worker.becomeReady(300), /vectorization was not ready within 0.3 s/);
  assertGone(worker);
});

test('one that becomes ready in time says what it is', async (t) => {
  const worker = forkFixture(t, 'ends-in-order');
  assert.deepEqual(await worker.becomeReady(10_000), {});
});

test('a later stop brings the deadline nearer, and never puts it off', async (t) => {
  const worker = forkFixture(t, 'ignores-stop');
  await worker.ready;
  const startedAt = performance.now();
  const lenient = worker.stop(600_000);
  const strict = worker.stop(timeoutMs);
  const late = worker.stop(300_000);
  for (const { graceful, error } of await Promise.all([lenient, strict, late]))
    assert.deepEqual([graceful, error], [false, null]);
  assert.ok(performance.now() - startedAt >= timeoutMs);
  assertGone(worker);
});

test('one that crashes during its stop is reported so', async (t) => {
  const worker = forkFixture(t, 'crashes-when-stopped');
  await worker.ready;
  const { graceful, how, error } = await worker.stop(timeoutMs);
  assert.deepEqual(
    { graceful, how, error },
    { graceful: false, how: 'ended with exit status 3', error: null },
  );
});

test('one that has crashed already is no trouble', async (t) => {
  const worker = forkFixture(t, 'crashes-at-start');
  await assert.rejects(worker.ready, /exit status 7.*the grammar is missing/s);
  const { error } = await worker.stop(timeoutMs);
  assert.equal(error, null);
});

test('one that is killed by somebody else during its stop is gone all the same', async (t) => {
  const worker = forkFixture(t, 'ignores-stop');
  await worker.ready;
  const stopping = worker.stop(30_000);
  process.kill(worker.pid, 'SIGKILL');
  const { graceful, how, error, durationMs } = await stopping;
  assert.deepEqual({ graceful, how, error }, { graceful: false, how: 'was ended by SIGKILL', error: null });
  assert.ok(durationMs < 30_000, 'its exit ends the waiting');
});

for (const force of [false, true]) {
  test(`its whole family goes with it, ${force ? 'by force' : 'when it ends in order and leaves them behind'}`, async (t) => {
    const worker = forkFixture(t, 'has-family');
    const { members } = (await worker.ready) as { members: Record<string, number> };
    const pids = Object.values(members);
    assert.deepEqual(Object.keys(members).sort(), [
      'child',
      'grandchild',
      'group',
      'orphan',
      'session',
      'shell',
      'unmarked',
    ]);
    assert.deepEqual(
      pids.filter((pid) => !isAlive(pid)),
      [],
      'all are there',
    );
    const { graceful, error, how } = await worker.stop(force ? 0 : timeoutMs);
    assert.deepEqual(
      Object.entries(members).filter(([, pid]) => isAlive(pid)),
      [],
    );
    assert.deepEqual([graceful, error], [false, null]);
    if (!force) assert.match(how, /ended in order, and \d+ of its processes had to be killed/);
    assertGone(worker);
  });
}

test('many are stopped at the same time within one timeout', async (t) => {
  const names: FixtureName[] = [
    'ends-in-order',
    'ignores-stop',
    'spins',
    'has-family',
    'crashes-when-stopped',
  ];
  const workers = names.map((name) => forkFixture(t, name));
  await Promise.all(workers.map(({ ready }) => ready));
  const outcomes = await Promise.all(workers.map((worker) => worker.stop(timeoutMs)));
  assert.deepEqual(
    outcomes.map(({ graceful }) => graceful),
    [true, false, false, false, false],
  );
  assert.deepEqual(
    outcomes.map(({ error }) => error),
    names.map(() => null),
  );
  for (const worker of workers) assertGone(worker);
});

test('processes that only look like a family are left alone', async (t) => {
  const decoys = [
    spawn('bash', ['-c', 'exec -a "worker.js vectorization --instance=x" sleep 600'], { stdio: 'ignore' }),
    spawn('sleep', ['600'], { stdio: 'ignore', env: { ...process.env, [workerMark]: 'another/1' } }),
    spawn('sleep', ['600'], { stdio: 'ignore', detached: true }),
  ];
  t.after(() => decoys.forEach((decoy) => decoy.kill('SIGKILL')));
  const worker = forkFixture(t, 'has-family');
  await worker.ready;
  await worker.stop(0);
  assert.deepEqual(
    decoys.filter(({ pid }) => !isAlive(pid ?? 0)),
    [],
  );
});

test('a worker dies with its supervisor at once, even when it spins or is stopped', async (t) => {
  const script = fileURLToPath(new URL('fixtures/supervisor.js', import.meta.url));
  const supervisor = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => supervisor.kill('SIGKILL'));
  const [line] = (await once(supervisor.stdout, 'data')) as [Buffer];
  const pids = JSON.parse(line.toString()) as number[];
  assert.equal(pids.length, 2);
  supervisor.kill('SIGKILL');
  await waitFor('both are gone', () => !pids.some(isAlive), 2_000);
});
