import assert from 'node:assert/strict';
import { test } from 'node:test';
import { retryAfterMs } from '#src/workers/file-watcher/retry.js';

test('what goes wrong is tried again later each time, and at least once a minute', () => {
  const pauses = [0, 1, 2, 3, 4, 5, 6, 1_000_000].map(retryAfterMs);
  assert.deepEqual(pauses, [5_000, 5_000, 10_000, 20_000, 40_000, 60_000, 60_000, 60_000]);
});
