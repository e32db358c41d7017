import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  decideRestart,
  relevantExits,
  type UnexpectedExit,
} from '#src/supervisor/lifecycle/restart-policy.js';

const crash = (uptimeMs: number, at = 0): UnexpectedExit => ({ at, uptimeMs });
const crashes = (count: number): UnexpectedExit[] => Array.from({ length: count }, () => crash(100));
const stable = crash(60_000);

test('pauses double from crash to crash, until the worker counts as failed', () => {
  const decisions = [1, 2, 3, 4, 5, 6, 7].map((count) => decideRestart(crashes(count), 300_000));
  assert.deepEqual(
    decisions.map(({ state, delayMs }) => `${state} ${delayMs}`),
    [
      'backoff 250',
      'backoff 500',
      'backoff 1000',
      'backoff 2000',
      'backoff 4000',
      'failed 300000',
      'failed 300000',
    ],
  );
});

test('a stable run makes the next crash the first one', () => {
  assert.deepEqual(decideRestart([...crashes(20), stable], 300_000), { state: 'backoff', delayMs: 250 });
  assert.deepEqual(decideRestart([...crashes(20), stable, crash(1)], 300_000), {
    state: 'backoff',
    delayMs: 500,
  });
  assert.deepEqual(decideRestart([...crashes(5), crash(59_999)], 300_000).state, 'failed');
});

const history = fc.array(
  fc.integer({ min: 0, max: 120_000 }).map((uptimeMs) => crash(uptimeMs)),
  { maxLength: 30 },
);

test('a pause is never above its cap and never nothing, and what is forgotten does not matter', () => {
  fc.assert(
    fc.property(history, (exits) => {
      const decision = decideRestart(exits, 300_000);
      assert.ok(decision.delayMs >= 250);
      assert.ok(decision.delayMs <= (decision.state === 'failed' ? 300_000 : 30_000));
      assert.deepEqual(decideRestart(exits, 300_000), decision);
      assert.deepEqual(decideRestart(relevantExits(exits), 300_000), decision);
      assert.deepEqual(decideRestart([...exits, stable], 300_000), { state: 'backoff', delayMs: 250 });
    }),
    { numRuns: 500 },
  );
});
