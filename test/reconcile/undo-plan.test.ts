import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inverseOf, type UndoFact } from '#src/reconcile/repair/undo-plan.js';

/** Every combination of facts about one action and its file now. */

const verdicts: UndoFact['verdict'][] = ['clear_deleted', 'set_deleted', 'restore_from_cst', 'remove'];
const presences: UndoFact['inProject'][] = ['absent', 'placed', 'other', 'unknown:EACCES'];
const rows: UndoFact['row'][] = [
  null,
  ...[true, false].flatMap((deleted) => [true, false].map((isUntouched) => ({ deleted, isUntouched }))),
];

function* everyFact(): Generator<UndoFact> {
  for (const verdict of verdicts)
    for (const row of rows)
      for (const inProject of presences)
        for (let bits = 0; bits < 16; bits += 1)
          yield {
            verdict,
            row,
            inProject,
            hasPlaced: (bits & 1) > 0,
            placeDoubt: (bits & 2) > 0 ? 'its disk is away' : null,
            contentProblem: (bits & 4) > 0 ? 'the page is damaged' : null,
            projectObstacle: (bits & 8) > 0 ? 'the folder is read-only' : null,
          };
}

/** What has to be so for an action to be taken back; anything less, and it is kept. */
const conditions: Record<UndoFact['verdict'], { inverse: string; isFree: (fact: UndoFact) => boolean }> = {
  clear_deleted: {
    inverse: 'set_deleted',
    isFree: ({ row, inProject, placeDoubt }) =>
      row?.deleted === false && inProject === 'absent' && placeDoubt === null,
  },
  set_deleted: {
    inverse: 'clear_deleted',
    isFree: ({ row, inProject }) => row?.deleted === true && row.isUntouched && inProject === 'absent',
  },
  restore_from_cst: {
    inverse: 'remove',
    isFree: ({ row, inProject, hasPlaced, contentProblem }) =>
      row?.deleted === false && inProject === 'placed' && hasPlaced && contentProblem === null,
  },
  remove: {
    inverse: 'restore_from_cst',
    isFree: (fact) =>
      fact.row?.deleted === true &&
      fact.row.isUntouched &&
      fact.inProject === 'absent' &&
      fact.placeDoubt === null &&
      fact.contentProblem === null &&
      fact.projectObstacle === null,
  },
};

test('an action is taken back exactly where nothing speaks against it, and what is kept says why', () => {
  let count = 0;
  for (const fact of everyFact()) {
    const { inverse, isFree } = conditions[fact.verdict];
    const given = inverseOf(fact);
    count += 1;
    if (isFree(fact)) assert.deepEqual(given, { verdict: inverse }, JSON.stringify(fact));
    else assert.ok('keep' in given && given.keep.length > 0, JSON.stringify(fact));
  }
  assert.equal(count, 4 * 5 * 4 * 16);
});

test('nothing leaves the project that the index could not give again, and nothing is put onto anything', () => {
  for (const fact of everyFact()) {
    const given = inverseOf(fact);
    if (!('verdict' in given)) continue;
    if (given.verdict === 'remove') assert.deepEqual([fact.inProject, fact.contentProblem], ['placed', null]);
    else assert.equal(fact.inProject, 'absent');
  }
});
