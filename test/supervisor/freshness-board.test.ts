import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ProjectFreshness } from '#src/base/ipc.js';
import { FreshnessBoard } from '#src/supervisor/freshness-board.js';

const said: ProjectFreshness = {
  projectId: 'p',
  rootDir: '/p',
  withoutCopy: 0,
  owed: 0,
  freshness: 'stale',
  pending: 0,
  reason: '3 of 9 folders are polled: why',
  polledAt: null,
};

test('how old what is known of polled folders is at most is told at each question, and is no news by itself', () => {
  let published = 0;
  const board = new FreshnessBoard({ publish: () => void (published += 1) });
  const reasonWith = (given: Partial<ProjectFreshness>): string | null | undefined => {
    board.note({ ...said, ...given });
    return board.asRecord()['p']?.reason;
  };
  for (const ageMs of [100, 1_000, 59_500])
    assert.match(
      reasonWith({ polledAt: Date.now() - ageMs }) ?? '',
      new RegExp(
        `why; what is known of polled folders is (${Math.ceil(ageMs / 1_000)}|${Math.ceil(ageMs / 1_000) + 1}) s old`,
      ),
    );
  // A clock that was set back.
  assert.match(reasonWith({ polledAt: Date.now() + 60_000 }) ?? '', / 0 s old at most$/);
  assert.equal(published, 1);
  assert.equal(reasonWith({}), said.reason);
  assert.equal(reasonWith({ freshness: 'unknown', reason: 'away', polledAt: 1 }), 'away');
  assert.equal(published, 2);
});
