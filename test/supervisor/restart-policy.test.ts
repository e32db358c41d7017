import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decideRestart, relevantExits, type UnexpectedExit } from '#src/supervisor/restart-policy.js';

const crash: UnexpectedExit = { at: 0, uptimeMs: 100 };
const crashes = (count: number): UnexpectedExit[] => Array.from({ length: count }, () => crash);
const stable: UnexpectedExit = { at: 0, uptimeMs: 600_000 };

test('the pause doubles with every crash in a row', () => {
  const delays = [1, 2, 3, 4, 5].map((count) => decideRestart(crashes(count)).delayMs);
  assert.deepEqual(delays, [250, 500, 1_000, 2_000, 4_000]);
});

test('a worker that crashes again and again is failed, and is still tried again, slowly', () => {
  const { state, delayMs } = decideRestart(crashes(50));
  assert.equal(state, 'failed');
  assert.ok(delayMs >= 60_000 && Number.isFinite(delayMs));
});

test('a stable run makes the next crash the first one', () => {
  const exits = [...crashes(20), stable];
  assert.deepEqual(decideRestart(exits), { state: 'backoff', delayMs: 250 });
});

test('what is forgotten does not change the decision', () => {
  for (let count = 1; count < 30; count += 1) {
    const exits = Array.from({ length: count }, (_, index) => (index % 7 === 3 ? stable : crash));
    assert.deepEqual(decideRestart(relevantExits(exits)), decideRestart(exits));
  }
});
