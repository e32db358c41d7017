import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Presence } from '#src/base/presence.js';
import { type Fact, judge, planOf, type Verdict } from '#src/reconcile/repair/plan.js';

const presences: Presence[] = [
  'file', 'directory', 'symlink', 'other', 'absent', 'blocked', 'unknown:EACCES', 'unknown:EIO', 'unknown:ENOENT',
]; // prettier-ignore
const trees: Fact['tree'][] = [null, 'renders', { problem: 'damaged' }];

function factOf(given: Partial<Fact>): Fact {
  return {
    id: 1,
    path: 'a',
    deleted: false,
    sha256: 'h',
    mode: 0o644,
    pathProblem: null,
    inProject: 'file',
    inVersions: null,
    tree: null,
    changed: false,
    ...given,
  };
}

/** The design's table, first line that fits: a question mark is anything, an in-the-way is what is no plain file. */
const table: [project: string, versions: string, deleted: string, tree: string, verdict: Verdict][] = [
  ['file', '?', 'yes', '?', 'clear_deleted'],
  ['file', '?', 'no', '?', 'ok'],
  ['in the way', '?', '?', '?', 'conflict'],
  ['unknown', '?', '?', '?', 'unknown'],
  ['absent', 'file', 'no', '?', 'set_deleted'],
  ['absent', 'file', 'yes', '?', 'ok'],
  ['absent', 'in the way', '?', '?', 'conflict'],
  ['absent', 'unknown', '?', '?', 'unknown'],
  ['absent', 'absent', '?', 'renders', 'restore_from_cst'],
  ['absent', 'absent', '?', '?', 'unrestorable'],
];

function kindOf(presence: Presence | null): string {
  if (presence === null || presence.startsWith('unknown')) return 'unknown';
  return presence === 'file' || presence === 'absent' ? presence : 'in the way';
}

function expectedOf(fact: Fact, rootDoubt: string | null): Verdict {
  if (fact.pathProblem !== null) return 'conflict';
  if (fact.inProject === 'absent' && rootDoubt !== null) return 'unknown';
  const seen = [
    kindOf(fact.inProject),
    kindOf(fact.inVersions),
    fact.deleted ? 'yes' : 'no',
    fact.tree === 'renders' ? 'renders' : 'not',
  ];
  const line = table.find((cells) =>
    seen.every((value, column) => [value, '?'].includes(cells[column] ?? '')),
  );
  if (line === undefined) throw new Error(`the table has no line for ${seen.join(', ')}`);
  const verdict = line[4];
  return verdict === 'ok' && fact.changed && fact.inProject === 'file' ? 'changed' : verdict;
}

const everyFact = presences.flatMap((inProject) =>
  [null, ...presences].flatMap((inVersions) =>
    trees.flatMap((tree) =>
      [false, true].flatMap((deleted) =>
        [false, true].flatMap((changed) =>
          [null, 'is absolute'].map((pathProblem) =>
            factOf({ inProject, inVersions, tree, deleted, changed, pathProblem }),
          ),
        ),
      ),
    ),
  ),
);

test('the verdict for every combination of facts is the one in the table', () => {
  for (const fact of everyFact)
    for (const rootDoubt of [null, 'the root is away'])
      assert.equal(
        judge(fact, { rootDoubt }).verdict,
        expectedOf(fact, rootDoubt),
        JSON.stringify({ fact, rootDoubt }),
      );
});

test('nothing is done, and a reason given, where anything is in the way or unknown', () => {
  for (const fact of everyFact)
    for (const rootDoubt of [null, 'the root is away']) {
      const { verdict, reason } = judge(fact, { rootDoubt });
      if (['conflict', 'unknown', 'unrestorable'].includes(verdict)) assert.notEqual(reason, '');
      if (verdict === 'set_deleted' || verdict === 'restore_from_cst') {
        assert.equal(fact.inProject, 'absent');
        assert.equal(rootDoubt, null);
      }
    }
});

test('a file is written into versions, and into the project unless it is marked deleted', () => {
  const missing = { inProject: 'absent', inVersions: 'absent', tree: 'renders', mode: 0o755 } as const;
  const plan = planOf([factOf(missing), factOf({ ...missing, deleted: true })], { rootDoubt: null });
  assert.deepEqual(
    plan.actions.map(({ targets }) => targets),
    [['versions', 'project'], ['versions']],
  );
  assert.ok(plan.actions.every(({ mode, sha256 }) => mode === 0o755 && sha256 === 'h'));
});

test('the totals of a plan add up, and every row is in exactly one list', () => {
  const anyFacts = fc.array(fc.constantFrom(...everyFact), { maxLength: 60 });
  fc.assert(
    fc.property(anyFacts, fc.boolean(), (chosen, isDoubtful) => {
      const facts = chosen.map((fact, id) => ({ ...fact, id }));
      const plan = planOf(facts, { rootDoubt: isDoubtful ? 'doubt' : null });
      const { checked, ...verdicts } = plan.totals;
      const sum = Object.values(verdicts).reduce((total, count) => total + count, 0);
      assert.equal(checked, facts.length);
      assert.equal(sum, facts.length);
      assert.equal(plan.unrestorable.length, plan.totals.unrestorable);
      assert.equal(plan.conflicts.length, plan.totals.conflict);
      assert.equal(plan.unknown.length, plan.totals.unknown);
      const listed = [...plan.actions, ...plan.unrestorable, ...plan.conflicts, ...plan.unknown].map(
        ({ id }) => id,
      );
      assert.equal(new Set(listed).size, listed.length);
      assert.equal(listed.length + plan.totals.ok + plan.totals.changed, facts.length);
      for (const verdict of ['clear_deleted', 'set_deleted', 'restore_from_cst'] as const)
        assert.equal(
          plan.actions.filter((action) => action.verdict === verdict).length,
          plan.totals[verdict],
        );
    }),
  );
});

test('a plan is made of its facts alone: the same facts give the same plan', () => {
  assert.deepEqual(
    planOf(everyFact, { rootDoubt: null }),
    planOf(structuredClone(everyFact), { rootDoubt: null }),
  );
});
