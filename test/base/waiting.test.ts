import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Serial, Serials } from '#src/base/serial.js';
import { throttled } from '#src/base/progress.js';
import { forEachLimited, sleep, Slicer } from '#src/base/waiting.js';

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('a sleep ends at once when it is aborted, before or during it', async () => {
  const startedAt = performance.now();
  await sleep(60_000, AbortSignal.abort());
  const during = new AbortController();
  setImmediate(() => during.abort());
  await sleep(60_000, during.signal);
  assert.ok(performance.now() - startedAt < 5_000);
});

test('a sleep lasts as long as it says', async () => {
  const startedAt = performance.now();
  await sleep(30);
  assert.ok(performance.now() - startedAt >= 29);
});

test('a sleep of months is not cut to nothing by the range of timers', async (t) => {
  const warnings: Error[] = [];
  const onWarning = (warning: Error): void => void warnings.push(warning);
  process.on('warning', onWarning);
  t.after(() => process.off('warning', onWarning));
  const stop = new AbortController();
  let ended = false;
  const sleeping = sleep(90 * 86_400_000, stop.signal).then(() => (ended = true));
  await sleep(20);
  assert.equal(ended, false);
  stop.abort();
  await sleeping;
  assert.deepEqual(warnings, []);
});

test('a loop with a slicer lets others have their turn, and hears of an abort', async () => {
  const slicer = new Slicer(undefined, 1);
  const seen = { turns: 0, isOver: false };
  const count = (): void => {
    seen.turns += 1;
    if (!seen.isOver) setImmediate(count);
  };
  setImmediate(count);
  // Bound: a machine that is busy gives few turns, but it gives them.
  const until = performance.now() + 10_000;
  while (seen.turns < 5 && performance.now() < until) await slicer.breathe();
  seen.isOver = true;
  assert.ok(seen.turns >= 5);
  const stop = new AbortController();
  const stopped = new Slicer(stop.signal, 60_000);
  assert.equal(stopped.isDue(), false);
  stop.abort(new Error('enough'));
  assert.equal(stopped.isDue(), true);
  await assert.rejects(stopped.breathe(), /enough/);
  assert.throws(() => new Slicer(stop.signal), /enough/, 'before the first step');
});

test('however many loops there are, one has a slice in each turn, and each has its own', async () => {
  const slices: number[] = [];
  let turns = 0;
  let isOver = false;
  const count = (): void => {
    turns += 1;
    if (!isOver) setImmediate(count);
  };
  setImmediate(count);
  const loop = async (number: number): Promise<void> => {
    const slicer = new Slicer(undefined, 0);
    for (let round = 0; round < 10; round += 1) {
      await slicer.breathe();
      slices.push(number);
    }
  };
  await Promise.all([0, 1, 2, 3].map(loop));
  isOver = true;
  assert.deepEqual(
    slices,
    Array.from({ length: 40 }, (_, at) => at % 4),
  );
  assert.ok(turns >= 39, `${turns} turns`);
});

test('a slicer costs no turn before its slice is over', async () => {
  const slicer = new Slicer(undefined, 60_000);
  let hadTurn = false;
  setImmediate(() => (hadTurn = true));
  for (let round = 0; round < 1_000; round += 1) await slicer.breathe();
  assert.equal(hadTurn, false);
});

test('at most so many pieces of work run at once, all of them, in order of start', async () => {
  const items = Array.from({ length: 50 }, (_, number) => number);
  const started: number[] = [];
  let running = 0;
  let most = 0;
  await forEachLimited(items, 4, async (item, index) => {
    assert.equal(item, index);
    started.push(item);
    running += 1;
    most = Math.max(most, running);
    for (let turns = item % 5; turns >= 0; turns -= 1) await nextTurn();
    running -= 1;
  });
  assert.deepEqual(started, items);
  assert.equal(most, 4);
  await forEachLimited([], 4, () => assert.fail('nothing to do'));
});

test('after a failure nothing new is started, and what runs is waited for', async () => {
  const started: number[] = [];
  let running = 0;
  const work = forEachLimited([0, 1, 2, 3, 4, 5, 6, 7], 2, async (item) => {
    started.push(item);
    running += 1;
    for (let turns = 0; turns < (item === 1 ? 6 : 2); turns += 1) await nextTurn();
    running -= 1;
    if (item === 0) throw new Error('first');
    if (item === 1) throw new Error('second');
  });
  await assert.rejects(work, /first/);
  assert.equal(running, 0);
  assert.deepEqual(started, [0, 1]);
});

test('serial work runs one after the other, also after a failure', async () => {
  const serial = new Serial();
  const log: string[] = [];
  const piece = (name: string, fails = false): Promise<string> =>
    serial.run(async () => {
      log.push(`${name} begins`);
      await nextTurn();
      log.push(`${name} ends`);
      if (fails) throw new Error(name);
      return name;
    });
  const outcomes = await Promise.allSettled([piece('a'), piece('b', true), piece('c')]);
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
  assert.deepEqual(log, ['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends']);
});

test('work of one key waits for no other key, and all of it can be waited for', async () => {
  const serials = new Serials();
  assert.equal(serials.of('a'), serials.of('a'));
  const end = new AbortController();
  let hasEnded = false;
  const long = serials.of('a').run(async () => {
    await sleep(60_000, end.signal);
    hasEnded = true;
  });
  assert.equal(await serials.of('b').run(() => Promise.resolve('b')), 'b');
  assert.equal(hasEnded, false);
  end.abort();
  await serials.ended();
  assert.equal(hasEnded, true);
  await long;
});

test('reports are held back, except the final ones', () => {
  const seen: number[] = [];
  const report = throttled(60_000, (value: number) => seen.push(value));
  report(false, 1);
  report(false, 2);
  report(true, 3);
  report(false, 4);
  report(true, 5);
  assert.deepEqual(seen, [1, 3, 5]);
});

test('reports pass again after the pause', async () => {
  const seen: number[] = [];
  const report = throttled(10, (value: number) => seen.push(value));
  report(false, 1);
  await sleep(15);
  report(false, 2);
  assert.deepEqual(seen, [1, 2]);
});
