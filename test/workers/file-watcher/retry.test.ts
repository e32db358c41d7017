import assert from 'node:assert/strict';
import { test } from 'node:test';
import { retryAfterMs } from '#src/workers/file-watcher/retry.js';

test('what goes wrong is tried again later each time, and at least once a minute', () => {
  const pauses = [0, 1, 2, 3, 4, 5, 6, 1_000_000].map((troubles) => retryAfterMs(troubles, false));
  assert.deepEqual(pauses, [Infinity, 5_000, 10_000, 20_000, 40_000, 60_000, 60_000, 60_000]);
});

test('what cannot be parsed is tried again less and less often', () => {
  assert.deepEqual(
    [0, 1, 5, 8].map((troubles) => retryAfterMs(troubles, true)),
    [Infinity, 5_000, 80_000, 640_000],
  );
});
