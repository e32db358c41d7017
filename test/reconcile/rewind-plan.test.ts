/** What a rewind does with a path, over every combination of what can be known of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type Condition,
  judgeRewind,
  type RewindFact,
  type RewindJudgement,
  rewindPlanOf,
} from '#src/reconcile/repair/rewind-plan.js';

const [one, other] = ['1'.repeat(64), '2'.repeat(64)];
const conditions: Condition[] = [
  { kind: 'absent' },
  { kind: 'ignored' },
  { kind: 'file', sha256: one, mode: 0o644, size: 1 },
  { kind: 'file', sha256: one, mode: 0o755, size: 1 },
  { kind: 'file', sha256: other, mode: 0o644, size: 1 },
  { kind: 'file', sha256: null, mode: 0o644, size: 1 },
  { kind: 'file', sha256: null, mode: 0o644, size: 2 },
  { kind: 'symlink', sha256: one, mode: 0o777, size: 1 },
  { kind: 'symlink', sha256: one, mode: 0o755, size: 1 },
  { kind: 'folder', sha256: null, mode: 0o755, size: 1 },
];
const presences = ['file', 'directory', 'symlink', 'other', 'absent', 'blocked', 'unknown:EACCES'] as const;
const flags = [false, true];
const flagPairs = flags.flatMap((first) => flags.map((second) => [first, second] as const));

function* facts(): Generator<RewindFact> {
  for (const wanted of conditions)
    for (const present of conditions)
      for (const inProject of presences)
        for (const [isAsIndexed, wasThere] of flagPairs)
          for (const [refusal, placeDoubt] of [
            [null, null],
            ["it is git's own", null],
            [null, 'away'],
          ] as const)
            for (const wantedProblem of [null, 'damaged'])
              for (const presentProblem of [null, 'damaged'])
                for (const obstacle of [null, 'read-only'])
                  yield {
                    path: 'a/b',
                    wanted,
                    present,
                    inProject,
                    isAsIndexed,
                    wasThere,
                    holds: [],
                    folderMode: -1,
                    refusal,
                    placeDoubt,
                    wantedProblem,
                    presentProblem,
                    obstacle,
                  };
}

function isAct({ verdict }: RewindJudgement): boolean {
  return verdict === 'restore' || verdict === 'revert' || verdict === 'remove';
}

const isTooLarge = (condition: Condition): boolean => condition.kind === 'file' && condition.sha256 === null;

test('nothing is done with what nobody may touch, what is not known, or what could not be had again', () => {
  let acts = 0;
  for (const fact of facts()) {
    const judgement = judgeRewind(fact);
    if ('reason' in judgement) assert.notEqual(judgement.reason, '');
    if (!isAct(judgement)) continue;
    acts += 1;
    const { wanted, present, inProject } = fact;
    assert.notDeepEqual(wanted, present);
    assert.deepEqual([fact.refusal, fact.placeDoubt], [null, null]);
    assert.ok(![wanted, present].some((at) => at.kind === 'ignored' || isTooLarge(at)));
    assert.ok((!inProject.startsWith('unknown:') && inProject !== 'other') || fact.isAsIndexed);
    // What stands there goes only if it is what the index says, and the index can give it.
    if (judgement.verdict !== 'restore')
      assert.deepEqual([fact.isAsIndexed, fact.presentProblem], [true, null]);
    if (judgement.verdict !== 'remove') assert.equal(fact.wantedProblem, null);
    assert.equal(judgement.verdict === 'remove', wanted.kind === 'absent');
    if (judgement.verdict === 'remove') assert.equal(fact.wasThere, false);
    assert.equal(judgement.verdict === 'restore', present.kind === 'absent');
  }
  assert.ok(acts > 100);
});

test('what is what it was is left alone, whatever stands there', () => {
  for (const fact of facts()) {
    const isSameLink = fact.wanted.kind === 'symlink' && fact.present.kind === 'symlink';
    const isSame = JSON.stringify(fact.wanted) === JSON.stringify(fact.present) || isSameLink;
    if (isSame) assert.equal(judgeRewind(fact).verdict, 'ok');
  }
});

test('what was purged is named and nothing is done in its place, least of all as if nothing had been there', () => {
  const verdicts = new Set<string>();
  for (const fact of facts()) {
    const judgement = judgeRewind({ ...fact, wanted: { kind: 'purged' } });
    assert.ok(!isAct(judgement));
    verdicts.add(judgement.verdict);
  }
  assert.deepEqual(verdicts, new Set(['unrestorable', 'untouched']));
});

const plain: RewindFact = {
  path: '',
  wanted: { kind: 'absent' },
  present: { kind: 'absent' },
  inProject: 'absent',
  isAsIndexed: true,
  wasThere: false,
  holds: [],
  folderMode: -1,
  refusal: null,
  placeDoubt: null,
  wantedProblem: null,
  presentProblem: null,
  obstacle: null,
};
const file: Condition = { kind: 'file', sha256: one, mode: 0o644, size: 1 };
const comes = (path: string, given: Partial<RewindFact> = {}): RewindFact => ({
  ...plain,
  path,
  wanted: file,
  ...given,
});
const goes = (path: string): RewindFact => ({ ...plain, path, present: file, inProject: 'file' });

test('what goes goes first, the deepest before what it is in; what comes comes from the top', () => {
  const { actions, conflicts } = rewindPlanOf([
    comes('a', { inProject: 'directory', holds: ['a/b', 'a/c/d'] }),
    goes('a/b'),
    goes('a/c/d'),
    goes('x'),
    comes('x/y', { inProject: 'blocked' }),
    comes('x/y/z', { inProject: 'blocked' }),
  ]);
  assert.deepEqual(conflicts, []);
  assert.deepEqual(
    actions.map(({ verdict, path }) => `${verdict} ${path}`),
    ['remove x', 'remove a/c/d', 'remove a/b', 'restore a', 'restore x/y', 'restore x/y/z'],
  );
});

test('a folder that was emptied stays for what comes back into it', () => {
  const folder: Condition = { kind: 'folder', sha256: null, mode: 0o755, size: 1 };
  const emptied = { ...plain, path: 'a', present: folder, inProject: 'directory' } as const;
  const verdicts = (given: readonly RewindFact[]): string[] =>
    rewindPlanOf(given).actions.map(({ verdict, path }) => `${verdict} ${path}`);
  assert.deepEqual(verdicts([emptied, comes('a/b/c')]), ['restore a/b/c']);
  assert.deepEqual(verdicts([emptied, comes('ab')]), ['remove a', 'restore ab']);
});

test('a file does not take the place of a folder that keeps something, nor lies below what stays', () => {
  const { actions, conflicts, totals } = rewindPlanOf([
    comes('a', { inProject: 'directory', holds: ['a/b', 'a/not-indexed'] }),
    goes('a/b'),
    comes('x/y', { inProject: 'blocked' }),
  ]);
  assert.deepEqual(
    conflicts.map(({ path }) => path),
    ['a', 'x/y'],
  );
  assert.match(conflicts[0]?.reason ?? '', /a\/not-indexed/u);
  assert.deepEqual(
    actions.map(({ path }) => path),
    ['a/b'],
  );
  assert.deepEqual([totals.checked, totals.restore, totals.remove, totals.conflict], [3, 0, 1, 2]);
});
