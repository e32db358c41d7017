import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judgeFreshness, type WatchState } from '#src/workers/file-watcher/freshness.js';

const well: WatchState = {
  trouble: null,
  verifiedOnce: true,
  reconciling: false,
  pending: 0,
  owed: 0,
  doubt: null,
  notParsed: null,
  polled: null,
  linked: 0,
  allIgnored: null,
  gitProblem: null,
};

test('nothing but a watched, compared project without anything open is fresh', () => {
  assert.deepEqual(judgeFreshness(well), { freshness: 'fresh', reason: null });
  const unwell: [Partial<WatchState>, string, RegExp][] = [
    [{ trouble: 'the disk is full' }, 'unknown', /disk is full/],
    [{ doubt: '3 files are missing' }, 'unknown', /3 files/],
    [{ verifiedOnce: false }, 'rebuilding', /first/],
    [{ reconciling: true }, 'stale', /reconciled/],
    [{ pending: 2 }, 'stale', /2 changes/],
    [{ owed: 1 }, 'stale', /repair_database/],
    [{ notParsed: '2 files are not parsed yet' }, 'stale', /^2 files/],
    [{ polled: { count: 3, total: 9, at: 1, reason: 'nfs' } }, 'stale', /^3 of 9 folders are polled: nfs$/],
  ];
  for (const [state, freshness, reason] of unwell) {
    const judged = judgeFreshness({ ...well, ...state });
    assert.equal(judged.freshness, freshness, JSON.stringify(state));
    assert.match(judged.reason ?? '', reason);
  }
});

test('files with other names are looked at by themselves, and the status says so', () => {
  const { freshness, reason } = judgeFreshness({ ...well, linked: 7 });
  assert.equal(freshness, 'fresh');
  assert.match(reason ?? '', /7 files .*hard links/);
});
