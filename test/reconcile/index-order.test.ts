import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mostPreciousFirst } from '#src/reconcile/index-order.js';

const walked = (
  path: string,
  tracked: 0 | 1,
  modifiedAtNs: bigint,
): { path: string; tracked: 0 | 1; print: string } => ({
  path,
  tracked,
  print: `9 ${modifiedAtNs} ${modifiedAtNs + 1n} 7 420`,
});

test('what git does not track goes first, then what was changed most recently', () => {
  const second = 1_000_000_000n;
  const now = 1_800_000_000n * second;
  const tree = [
    walked('tracked-old', 1, now - 9n * second),
    walked('tracked-new', 1, now),
    walked('own-old', 0, now - 8n * second),
    walked('own-new', 0, now - second),
    walked('known', 0, now),
  ];
  const paths = ['own-old', 'tracked-new', 'own-new', 'tracked-old'];
  assert.deepEqual(mostPreciousFirst(paths, tree), ['own-new', 'own-old', 'tracked-new', 'tracked-old']);
});

test('what was changed at the same time stays in the order of the walk', () => {
  const names = Array.from({ length: 100 }, (_, number) => `file${number}`);
  assert.deepEqual(
    mostPreciousFirst(
      [...names].reverse(),
      names.map((name) => walked(name, 1, 5n)),
    ),
    names,
  );
});
