import type { Presence } from '../../base/presence.js';

/** Everything the plan needs to know of one row; null where observing was not needed for a verdict. */
export interface Fact {
  id: number;
  path: string;
  deleted: boolean;
  sha256: string | null;
  mode: number;
  /** Why the stored path cannot be used at all, e.g. that it is absolute. */
  pathProblem: string | null;
  inProject: Presence;
  /** Asked for only where the file is absent from the project. */
  inVersions: Presence | null;
  /** Null: not asked, because the file is somewhere. Else whether the stored tree renders to its hash, or why not. */
  tree: 'renders' | { problem: string } | null;
  /** The present file's size or time differs from the row. */
  changed: boolean;
}

export type ActionVerdict = 'clear_deleted' | 'set_deleted' | 'restore_from_cst';
export type Verdict = ActionVerdict | 'ok' | 'changed' | 'unrestorable' | 'conflict' | 'unknown';
export type Target = 'versions' | 'project';

export interface Action {
  verdict: ActionVerdict;
  id: number;
  path: string;
  /** Where the file is written, in this order; empty where only the mark changes. */
  targets: Target[];
  sha256: string | null;
  mode: number;
}

export interface Refusal {
  id: number;
  path: string;
  reason: string;
}

/** Plan is data: what to do, what cannot be done and why, and how many rows got each verdict. */
export interface Plan {
  actions: Action[];
  unrestorable: Refusal[];
  conflicts: Refusal[];
  unknown: Refusal[];
  totals: Record<'checked' | Verdict, number>;
}

/** What holds for all rows of a project. */
export interface PlanContext {
  /** Set when nothing can be concluded from a missing file: the root is away, or it is not the one registered. */
  rootDoubt: string | null;
}

type Judgement = { verdict: Verdict; reason: string };

/** One verdict per row, by the table of the design; total over every combination of facts. */
export function judge(fact: Fact, context: PlanContext): Judgement {
  if (fact.pathProblem !== null)
    return { verdict: 'conflict', reason: `the stored path ${fact.pathProblem}` };
  switch (fact.inProject) {
    case 'file':
      if (fact.deleted) return { verdict: 'clear_deleted', reason: '' };
      return { verdict: fact.changed ? 'changed' : 'ok', reason: '' };
    case 'directory':
    case 'symlink':
    case 'other':
      return {
        verdict: 'conflict',
        reason: `in the project its place is taken by a ${nameOf(fact.inProject)}`,
      };
    case 'blocked':
      return { verdict: 'conflict', reason: 'in the project a parent of it is a symlink or a file' };
    case 'absent':
      if (context.rootDoubt !== null) return { verdict: 'unknown', reason: context.rootDoubt };
      return judgeAbsent(fact);
    default:
      return {
        verdict: 'unknown',
        reason: context.rootDoubt ?? `in the project it cannot be looked at (${errnoIn(fact.inProject)})`,
      };
  }
}

function judgeAbsent(fact: Fact): Judgement {
  switch (fact.inVersions) {
    case 'file':
      return { verdict: fact.deleted ? 'ok' : 'set_deleted', reason: '' };
    case 'directory':
    case 'symlink':
    case 'other':
      return {
        verdict: 'conflict',
        reason: `in versions its place is taken by a ${nameOf(fact.inVersions)}`,
      };
    case 'blocked':
      return { verdict: 'conflict', reason: 'in versions a parent of it is a symlink or a file' };
    case 'absent':
      if (fact.tree === 'renders') return { verdict: 'restore_from_cst', reason: '' };
      return { verdict: 'unrestorable', reason: fact.tree?.problem ?? 'its stored tree was not looked at' };
    case null:
      return { verdict: 'unknown', reason: 'versions were not looked at' };
    default:
      return {
        verdict: 'unknown',
        reason: `in versions it cannot be looked at (${errnoIn(fact.inVersions)})`,
      };
  }
}

function nameOf(presence: 'directory' | 'symlink' | 'other'): string {
  return presence === 'other' ? 'special file' : presence === 'directory' ? 'folder' : 'symlink';
}

function errnoIn(presence: Presence): string {
  return presence.replace('unknown:', '');
}

/** Where a restored file goes: versions always, the project unless the row is marked deleted. */
function actionOf(fact: Fact, verdict: ActionVerdict): Action {
  const restores = verdict === 'restore_from_cst';
  const targets: Target[] = restores ? (fact.deleted ? ['versions'] : ['versions', 'project']) : [];
  return { verdict, id: fact.id, path: fact.path, targets, sha256: fact.sha256, mode: fact.mode };
}

/** Rows that need no verdict of their own, because their files are present and not marked. */
export interface PresentCounts {
  ok: number;
  changed: number;
}

/** The plan for a project: a pure function of facts, in the order in which they come. */
export function planOf(
  facts: Iterable<Fact>,
  context: PlanContext,
  present: PresentCounts = { ok: 0, changed: 0 },
): Plan {
  const plan: Plan = {
    actions: [],
    unrestorable: [],
    conflicts: [],
    unknown: [],
    totals: {
      checked: present.ok + present.changed,
      ok: present.ok,
      changed: present.changed,
      clear_deleted: 0,
      set_deleted: 0,
      restore_from_cst: 0,
      unrestorable: 0,
      conflict: 0,
      unknown: 0,
    },
  };
  for (const fact of facts) addToPlan(plan, fact, judge(fact, context));
  return plan;
}

function addToPlan(plan: Plan, fact: Fact, { verdict, reason }: Judgement): void {
  plan.totals.checked += 1;
  plan.totals[verdict] += 1;
  const refusal = { id: fact.id, path: fact.path, reason };
  switch (verdict) {
    case 'ok':
    case 'changed':
      return;
    case 'unrestorable':
      plan.unrestorable.push(refusal);
      return;
    case 'conflict':
      plan.conflicts.push(refusal);
      return;
    case 'unknown':
      plan.unknown.push(refusal);
      return;
    default:
      plan.actions.push(actionOf(fact, verdict));
  }
}
