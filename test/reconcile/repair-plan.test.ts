import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Presence } from '#src/base/presence.js';
import {
  type Fact,
  judge,
  type Judgement,
  type PlanContext,
  planOf,
  type Verdict,
} from '#src/reconcile/repair/plan.js';

const kinds: Fact['kind'][] = ['file', 'symlink', 'folder'];
const presences: Presence[] = [
  'file', 'directory', 'symlink', 'other', 'absent', 'blocked', 'unknown:EACCES', 'unknown:ENOENT',
]; // prettier-ignore
const copies: Fact['inVersions'][] = [
  'own', 'revived', 'older', 'absent', 'directory', 'symlink', 'other', 'blocked', 'unknown:EACCES', null,
]; // prettier-ignore
const trees: Fact['tree'][] = ['renders', { problem: 'damaged' }, null];
const bits = [false, true];
const contexts: PlanContext[] = [null, 'the root is away'].flatMap((rootDoubt) =>
  bits.map((force) => ({ rootDoubt, force })),
);

const plain: Fact = {
  id: 1,
  path: 'a',
  kind: 'file',
  deleted: false,
  ignored: false,
  sha256: 'h',
  pathProblem: null,
  inProject: 'file',
  changed: false,
  placeDoubt: null,
  leftByGit: false,
  wanted: false,
  inVersions: null,
  tree: null,
  projectObstacle: null,
  versionsObstacle: null,
};

/** Every fact there can be of one row: about 370,000 with the contexts. */
function* everyFact(): Generator<Fact> {
  for (const kind of kinds)
    for (const inProject of presences)
      for (const inVersions of copies)
        for (const tree of trees)
          for (let flags = 0; flags < 1 << 8; flags += 1) {
            const has = (bit: number): boolean => (flags & (1 << bit)) !== 0;
            yield {
              ...plain,
              kind,
              inProject,
              inVersions,
              tree,
              deleted: has(0),
              ignored: has(1),
              changed: has(2),
              leftByGit: has(3),
              wanted: has(4),
              placeDoubt: has(5) ? 'its disk is away' : null,
              projectObstacle: has(6) ? 'the folder cannot be written' : null,
              versionsObstacle: has(7) ? 'the folder cannot be written' : null,
            };
          }
}

/** Looks at every fact in every context. A message is made for what fails only: there are too many of them. */
function forEvery(check: (fact: Fact, context: PlanContext, judgement: Judgement) => string | null): void {
  for (const fact of everyFact())
    for (const context of contexts) {
      const judgement = judge(fact, context);
      const problem = check(fact, context, judgement);
      if (problem !== null) assert.fail(`${problem}: ${JSON.stringify({ fact, context, judgement })}`);
    }
}

/** The rules in the order in which they hold: the first one that fits says what the verdict is, with its targets. */
type Rule = [says: string, fits: (fact: Fact, context: PlanContext) => boolean, verdict: string];

const isThere = ({ kind, inProject }: Fact): boolean =>
  `${kind} ${inProject}` === 'folder directory' || (kind !== 'folder' && kind === inProject);
const isOneOf = (text: string | null, ...words: string[]): boolean => text !== null && words.includes(text);
const isKept = ({ inVersions }: Fact): boolean => isOneOf(inVersions, 'own', 'revived');
const isMeant = ({ deleted, wanted }: Fact): boolean => deleted && !wanted;
const renders = ({ tree }: Fact): boolean => tree === 'renders';

const rules: Rule[] = [
  ['a marked entry that stands there loses its mark', (f) => isThere(f) && f.deleted, 'clear_deleted'],
  ['one that somebody edited is left to the watcher', (f) => isThere(f) && f.changed, 'changed'],
  ['one that stands there is fine', isThere, 'ok'],
  ['what cannot be seen is unknown', (f) => f.inProject.startsWith('unknown'), 'unknown'],
  ['what is in the way stays', (f) => f.inProject !== 'absent', 'conflict'],
  ['what is ignored may be away', (f) => f.ignored, 'ok'],
  ['absence below a doubtful root proves nothing', (_f, c) => c.rootDoubt !== null, 'unknown'],
  ['nor does it on another disk, unless somebody insists', (f, c) => f.placeDoubt !== null && (!f.deleted || f.wanted) && !c.force, 'unknown'],
  ['what cannot be seen in versions is unknown', (f) => f.inVersions?.startsWith('unknown') ?? true, 'unknown'],
  ['what is in the way in versions stays', (f) => isOneOf(f.inVersions, 'directory', 'symlink', 'other', 'blocked'), 'conflict'],
  ['a deletion that is kept is fine', (f) => isMeant(f) && isKept(f), 'ok'],
  ['a deletion whose content is nowhere stays one', (f) => isMeant(f) && !renders(f), 'unrestorable'],
  ['a deletion is to be kept', (f) => isMeant(f) && f.versionsObstacle === null, 'restore_from_cst versions'],
  ['a deletion that cannot be kept says why', isMeant, 'conflict'],
  ['what git took is a deletion, kept or with nothing to keep', (f) => f.leftByGit && (isKept(f) || !renders(f)), 'set_deleted'],
  ['what git took is to be kept', (f) => f.leftByGit && f.versionsObstacle === null, 'set_deleted versions'],
  ['what git took and cannot be kept says why', (f) => f.leftByGit, 'conflict'],
  ['a copy that no repair made is the sign of a deletion', (f) => f.inVersions === 'own' && !f.wanted, 'set_deleted'],
  ['a loss whose content is nowhere stays one', (f) => !renders(f) && !isKept(f), 'unrestorable'],
  ['a loss whose place cannot be written says why', (f) => f.projectObstacle !== null, 'conflict'],
  ['a loss that is kept comes back', isKept, 'restore_from_cst project'],
  ['a loss that is not kept and cannot be says why', (f) => f.versionsObstacle !== null, 'conflict'],
  ['any other loss comes back, and is kept first', () => true, 'restore_from_cst versions,project'],
]; // prettier-ignore

function outcomeOf({ verdict, how }: Judgement): string {
  return how === undefined || how.targets.length === 0 ? verdict : `${verdict} ${how.targets.join(',')}`;
}

test('every combination of facts has the verdict of the first rule that fits', () => {
  const used = new Set<string>();
  forEvery((fact, context, judgement) => {
    const rule = rules.find(([, fits]) => fits(fact, context));
    used.add(rule?.[0] ?? '');
    return rule?.[2] === outcomeOf(judgement) ? null : `"${rule?.[0]}" says ${rule?.[2]}`;
  });
  assert.equal(used.size, rules.length, 'a rule never holds');
});

test('a path that is not canonical is a conflict, whatever else is known', () => {
  for (const fact of everyFact()) {
    const { verdict, reason } = judge(
      { ...fact, pathProblem: 'is absolute' },
      { rootDoubt: null, force: true },
    );
    if (verdict !== 'conflict') assert.fail(JSON.stringify(fact));
    assert.match(reason, /is absolute/u);
  }
});

test('what is not done has a reason, and what is done says how', () => {
  forEvery((_fact, _context, { verdict, reason, how }) => {
    if (acts(verdict)) return how === undefined ? 'no how' : null;
    if (how !== undefined) return 'a how without an action';
    const isFine = verdict === 'ok' || verdict === 'changed';
    return isFine === (reason === '') ? null : 'a reason too many or none';
  });
});

test('nothing is written where something stands', () => {
  forEvery((fact, { rootDoubt }, { verdict, how }) => {
    const targets = how?.targets ?? [];
    if (targets.includes('project') && fact.inProject !== 'absent') return 'written over something';
    if (targets.includes('versions') && !isOneOf(fact.inVersions, 'absent', 'older'))
      return 'kept over something';
    if (how?.source === 'versions' && !isKept(fact)) return 'made of a copy that is none';
    if (how?.source === 'tree' && targets.length > 0 && !renders(fact)) return 'made of nothing';
    if (verdict === 'set_deleted' && fact.inProject !== 'absent')
      return 'marked although something stands there';
    return acts(verdict) && verdict !== 'clear_deleted' && rootDoubt !== null
      ? 'done below a doubtful root'
      : null;
  });
});

function acts(verdict: Verdict): boolean {
  return verdict === 'clear_deleted' || verdict === 'set_deleted' || verdict === 'restore_from_cst';
}

/** What is known of the row when the action has been done. */
function after(fact: Fact, { verdict, how }: Judgement): Fact {
  const targets = how?.targets ?? [];
  const isBack = targets.includes('project');
  const deleted = verdict === 'set_deleted' || (verdict === 'restore_from_cst' && !isBack);
  const hasCopy = isKept(fact) || targets.includes('versions');
  const left: Fact = { ...fact, deleted, inVersions: hasCopy ? 'own' : fact.inVersions };
  if (deleted) return { ...left, wanted: false };
  if (hasCopy) left.inVersions = 'revived';
  return isBack
    ? { ...left, inProject: fact.kind === 'folder' ? 'directory' : fact.kind, changed: false }
    : left;
}

test('after its action a row has nothing left to do', () => {
  forEvery((fact, context, judgement) => {
    if (!acts(judgement.verdict)) return null;
    const { verdict } = judge(after(fact, judgement), context);
    // What git took and the index cannot give is marked, and stays without a copy.
    const isGone = judgement.verdict === 'set_deleted' && !isKept(fact) && !renders(fact);
    return isOneOf(verdict, 'ok', 'changed') || (isGone && verdict === 'unrestorable')
      ? null
      : `then it is ${verdict}`;
  });
});

test('what a repair brought back and is lost again comes back again, and is no deletion', () => {
  forEvery((fact, context, judgement) => {
    if (judgement.how?.targets.includes('project') !== true) return null;
    const lost: Fact = { ...after(fact, judgement), inProject: 'absent', wanted: false };
    const again = judge(lost, context);
    const isBack = again.verdict === 'restore_from_cst' && again.how?.targets.join() === 'project';
    return isBack || (again.verdict === 'unknown' && fact.placeDoubt !== null)
      ? null
      : `then it is ${again.verdict}`;
  });
});

/** What may become of one observation where something cannot be found out, or is in doubt. */
const unknowns: Partial<Fact>[] = [
  { inProject: 'unknown:EIO' },
  { inVersions: 'unknown:EIO' },
  { inVersions: null },
  { tree: null },
  { tree: { problem: 'the page is damaged' } },
  { placeDoubt: 'another disk' },
  { projectObstacle: 'cannot be looked at' },
  { versionsObstacle: 'cannot be looked at' },
];

test('to know less is to do less: no action and no mark comes of a doubt', () => {
  forEvery((fact, context, judgement) => {
    const doubtful = judge(fact, { ...context, rootDoubt: 'in doubt' });
    for (const less of [doubtful, ...unknowns.map((unknown) => judge({ ...fact, ...unknown }, context))]) {
      if (!acts(less.verdict)) continue;
      const known = judgement.how?.targets ?? [];
      const isLess = less.how?.targets.every((target) => known.includes(target));
      // git says that it is deleted: where the index cannot give its content, there is no copy to wait for.
      if (fact.leftByGit && judgement.verdict === 'conflict' && less.how?.cause === 'git') continue;
      if (less.verdict !== judgement.verdict || isLess !== true) return `it becomes ${outcomeOf(less)}`;
    }
    return null;
  });
});

const someFacts = [...everyFact()].filter((_fact, position) => position % 97 === 0);

test('a plan does not depend on the order of its facts, and no row on another one with another path', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.nat(someFacts.length - 1), { maxLength: 60 }),
      fc.constantFrom(...contexts),
      (chosen, context) => {
        const facts = chosen.map((position) => ({
          ...(someFacts[position] ?? plain),
          id: position,
          path: `f${position}`,
        }));
        const plan = planOf(facts, context);
        const turned = planOf([...facts].reverse(), context);
        assert.deepEqual(turned.totals, plan.totals);
        for (const list of ['actions', 'unrestorable', 'conflicts', 'unknown'] as const)
          assert.deepEqual([...turned[list]].reverse(), plan[list]);
        const alone = facts.flatMap((fact) => planOf([fact], context).actions);
        assert.deepEqual(alone, plan.actions);
      },
    ),
  );
});

test('of two rows that cannot both be, the one deeper down is written, and an empty folder gets what is in it', () => {
  const lost: Fact = { ...plain, inProject: 'absent', inVersions: 'absent', tree: 'renders' };
  const below: Fact = { ...lost, id: 2, path: 'a/b/c' };
  for (const kind of kinds)
    for (const facts of [
      [{ ...lost, kind }, below],
      [below, { ...lost, kind }],
    ]) {
      const plan = planOf(facts, { rootDoubt: null, force: false });
      assert.deepEqual(
        plan.actions.map(({ path }) => path),
        ['a/b/c'],
      );
      assert.deepEqual(
        plan.conflicts.map(({ path }) => path),
        kind === 'folder' ? [] : ['a'],
      );
    }
});

test('the totals of a plan add up, and every row is in exactly one list', () => {
  for (const context of contexts) {
    const facts = someFacts.map((fact, id) => ({ ...fact, id, path: `f${id}` }));
    const plan = planOf(facts, context);
    const { checked, ...verdicts } = plan.totals;
    assert.equal(checked, facts.length);
    assert.equal(
      Object.values(verdicts).reduce((total, count) => total + count, 0),
      facts.length,
    );
    assert.equal(plan.unrestorable.length, plan.totals.unrestorable);
    assert.equal(plan.conflicts.length, plan.totals.conflict);
    assert.equal(plan.unknown.length, plan.totals.unknown);
    const listed = [...plan.actions, ...plan.unrestorable, ...plan.conflicts, ...plan.unknown].map(
      ({ id }) => id,
    );
    assert.equal(new Set(listed).size, listed.length);
    assert.equal(listed.length + plan.totals.ok + plan.totals.changed, facts.length);
    for (const verdict of ['clear_deleted', 'set_deleted', 'restore_from_cst'] as const)
      assert.equal(plan.actions.filter((action) => action.verdict === verdict).length, plan.totals[verdict]);
  }
});
