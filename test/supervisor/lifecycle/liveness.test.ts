import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import fc from 'fast-check';
import { type Config, configSchema } from '#src/base/config.js';
import { diagnose, residentBytes } from '#src/supervisor/lifecycle/liveness.js';
import { Fleet } from '#src/supervisor/lifecycle/fleet.js';
import type { WorkerExit } from '#src/supervisor/lifecycle/worker-exit.js';
import type { WorkerProcess } from '#src/supervisor/lifecycle/worker-process.js';
import { atEnd, temporaryFolder } from '../../harness/folder.js';
import { within } from '../../harness/waiting.js';
import { type FixtureName, fixtureProgram } from './worker-fixture.js';

const mb = 1024 * 1024;
const well = { silentMs: 0, longestStepMs: 30_000, memoryBytes: 50 * mb };

test('a worker is well up to its longest step and its memory limit, and not beyond', () => {
  assert.equal(diagnose(well, 100 * mb), null);
  assert.equal(diagnose({ ...well, silentMs: 30_000 }, 100 * mb), null);
  assert.match(diagnose({ ...well, silentMs: 30_001 }, 100 * mb) ?? '', /hung.*30\.001 s.*30 s/);
  assert.equal(diagnose({ ...well, silentMs: 60_000, longestStepMs: 60_000 }, 100 * mb), null);
  assert.equal(diagnose({ ...well, memoryBytes: 100 * mb }, 100 * mb), null);
  assert.match(diagnose({ ...well, memoryBytes: 101 * mb }, 100 * mb) ?? '', /101 MB.*100 MB/);
  assert.equal(diagnose({ ...well, memoryBytes: null }, 1), null, 'a process that is gone uses nothing');
});

test('nothing but silence and memory condemns a worker', () => {
  const vitals = fc.record({
    silentMs: fc.nat(120_000),
    longestStepMs: fc.nat(120_000),
    memoryBytes: fc.option(fc.nat(4_000 * mb)),
  });
  fc.assert(
    fc.property(vitals, fc.nat(4_000 * mb), (seen, limit) => {
      const isWell = seen.silentMs <= seen.longestStepMs && (seen.memoryBytes ?? 0) <= limit;
      assert.equal(diagnose(seen, limit) === null, isWell);
    }),
  );
});

test('resident memory is what the kernel says, and null for a process that is gone', () => {
  const own = residentBytes(process.pid) ?? assert.fail('this process has memory');
  assert.ok(Math.abs(own - process.memoryUsage.rss()) < 64 * mb);
  assert.equal(residentBytes(2 ** 22 + 1), null);
});

/** One fixture under the watch that the supervisor's own workers are under. */
async function watched(
  t: TestContext,
  name: FixtureName,
  config: Partial<Config>,
): Promise<{ worker: WorkerProcess; log: string[]; done: Promise<string> }> {
  const stateDir = temporaryFolder(t);
  const log: string[] = [];
  const fleet = new Fleet({
    stateDir,
    program: fixtureProgram(name),
    assertMayFork: () => undefined,
    config: { ...configSchema.parse({}), ...config },
    log: (_, __, message) => log.push(message),
    onLook: () => undefined,
  });
  await fleet.begin();
  let ended: (operation: string) => void;
  const done = new Promise<string>((resolve) => (ended = resolve));
  const start = { options: {}, watcherRunning: false, task: null };
  const worker = fleet.fork('vectorization', start, (message) => {
    if (message.type === 'activity' && message.activity.operation === null) ended('done');
  });
  atEnd(t, async () => {
    if (!worker.hasExited) process.kill(worker.pid, 'SIGKILL');
    await worker.exited;
    fleet.end();
  });
  await worker.ready;
  return { worker, log, done };
}

async function endOf(worker: WorkerProcess): Promise<WorkerExit> {
  return await within('its end', worker.exited, 20_000);
}

test('a worker whose event loop is stuck is ended, with the reason', async (t) => {
  const { worker, log } = await watched(t, 'spins', { worker_hang_timeout: 2 });
  assert.equal((await endOf(worker)).signal, 'SIGKILL');
  assert.match(worker.condemned ?? '', /hung/);
  assert.match(log.join('\n'), new RegExp(`process ${worker.pid} is ended: it hung`));
});

test('a slow one that declares its steps and gets on is left alone', async (t) => {
  const { worker, done } = await watched(t, 'steps', { worker_hang_timeout: 1 });
  assert.equal(await within('all its steps', done, 30_000), 'done');
  assert.deepEqual([worker.hasExited, worker.condemned], [false, null]);
});

test('one that uses too much memory is ended before the machine is out of it', async (t) => {
  const { worker } = await watched(t, 'grows', { worker_memory_max_bytes: 256 * mb });
  assert.equal((await endOf(worker)).signal, 'SIGKILL');
  assert.match(worker.condemned ?? '', /memory/);
});
