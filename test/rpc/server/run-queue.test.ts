import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RunQueue } from '#src/rpc/server/run-queue.js';
import { waitFor } from '../../harness/waiting.js';

/** A queue whose clock only its steps move on: each lane's take so long (ms), so many times. */
function simulate(lanes: Record<string, { ms: number; steps: number }>): {
  order: string[];
  run: () => void;
} {
  const order: string[] = [];
  let now = 0;
  const queue = new RunQueue(() => now);
  const woken = Object.entries(lanes).map(([name, { ms, steps }]) => {
    let left = steps;
    return queue.lane(() => {
      order.push(name);
      now += ms;
      left -= 1;
      return left > 0;
    });
  });
  return { order, run: () => woken.forEach((lane) => lane.wake()) };
}

test('who has had least goes first, and every fourth step is for who has waited longest', async () => {
  const { order, run } = simulate({ large: { ms: 1, steps: 6 }, small: { ms: 0.1, steps: 6 } });
  run();
  await waitFor('all is done', () => order.length === 12);
  assert.deepEqual(order.slice(0, 8), [
    'large',
    'small',
    'small',
    'large',
    'small',
    'small',
    'small',
    'large',
  ]);
});

test('one small request is not behind hundreds that have begun large ones', async () => {
  const order: string[] = [];
  let now = 0;
  const queue = new RunQueue(() => now);
  const step = (name: string, ms: number, left: number) => (): boolean => {
    order.push(name);
    now += ms;
    left -= 1;
    return left > 0;
  };
  const small = queue.lane(step('small', 0.1, 1));
  for (let number = 0; number < 400; number += 1) queue.lane(step(String(number), 0.1, 20)).wake();
  await waitFor('each has begun', () => order.length > 800);
  const before = order.length;
  small.wake();
  await waitFor('the small one had its turn', () => order.includes('small'));
  assert.ok(order.indexOf('small') - before <= 2, `after ${order.indexOf('small') - before} others`);
});

test('a turn of the event loop is short, however much waits', async () => {
  let now = 0;
  const queue = new RunQueue(() => now);
  let steps = 0;
  const lanes = Array.from({ length: 100 }, () =>
    queue.lane(() => {
      now += 0.5;
      steps += 1;
      return steps < 1_000;
    }),
  );
  for (const lane of lanes) lane.wake();
  await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setImmediate(resolve));
  assert.ok(steps > 0 && steps <= 10, `${steps} steps of half a millisecond in two turns`);
});

test('what a step begins belongs to it, to the last microtask', async () => {
  let now = 0;
  const order: string[] = [];
  const queue = new RunQueue(() => now);
  const slowLater = async (): Promise<void> => {
    for (let hop = 0; hop < 20; hop += 1) await Promise.resolve();
    now += 5;
  };
  let left = 3;
  const late = queue.lane(() => {
    order.push('late');
    void slowLater();
    return --left > 0;
  });
  const early = queue.lane(() => order.push('early') < 4);
  late.wake();
  early.wake();
  await waitFor('both are done', () => order.length >= 5);
  assert.deepEqual(order.slice(0, 4), ['late', 'early', 'early', 'late']);
});
