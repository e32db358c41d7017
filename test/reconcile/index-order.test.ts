import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Differing } from '#src/reconcile/compare-walk.js';
import { mostPreciousFirst } from '#src/reconcile/index-order.js';

const entry = (path: string, tracked: 0 | 1, mtimeMs: number): Differing => ({ path, tracked, mtimeMs });

test('what git does not track goes first, then what was changed most recently', () => {
  const now = 1_800_000_000_000;
  const entries = [
    entry('tracked-old', 1, now - 9_000),
    entry('tracked-new', 1, now),
    entry('own-old', 0, now - 8_000),
    entry('own-new', 0, now - 1_000),
  ];
  assert.deepEqual(mostPreciousFirst(entries), ['own-new', 'own-old', 'tracked-new', 'tracked-old']);
  assert.equal(entries[0]?.path, 'tracked-old');
});

test('what was changed at the same time stays in the order of the walk', () => {
  const names = Array.from({ length: 100 }, (_, number) => `file${number}`);
  assert.deepEqual(mostPreciousFirst(names.map((name) => entry(name, 1, 5))), names);
});
