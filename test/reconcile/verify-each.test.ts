import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cancelled } from '#src/base/errors.js';
import { verifyEach } from '#src/reconcile/repair/batches.js';

const many = Array.from({ length: 1_000 }, (_, number) => number);

test('a process that has to end does not go on looking at what was done', async () => {
  const ending = new AbortController();
  let looked = 0;
  const verifying = verifyEach(many, ending.signal, (number) => {
    looked += 1;
    if (number === 10) ending.abort();
    return [];
  });
  await assert.rejects(verifying, { name: 'AbortError' });
  assert.equal(looked, 11);
});

test('a cancellation comes too late for what was done, and all of it is looked at', async () => {
  const signal = AbortSignal.abort(cancelled('The repair'));
  const problems = await verifyEach(many, signal, (number) => (number % 500 === 0 ? [`${number}`] : []));
  assert.deepEqual(problems, ['0', '500']);
});

test('looking at what was done lets others have their turn', async () => {
  const { signal } = new AbortController();
  let turns = 0;
  const timer = setInterval(() => (turns += 1), 1);
  await verifyEach(many, signal, () => {
    const until = performance.now() + 0.2;
    while (performance.now() < until);
    return [];
  });
  clearInterval(timer);
  assert.ok(turns > 0, 'nobody had a turn');
});
