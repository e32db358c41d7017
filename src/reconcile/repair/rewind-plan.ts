import { errnoIn, isUnknown, type Presence } from '../../base/presence.js';
import type { FileKind } from '../../store/files.js';

/** What a rewind does to a path. */
export type RewindVerdict = 'restore' | 'revert' | 'remove';

/**
 * What a path was, or is: something with a content (null: it was too large to be kept), nothing, nothing that is known, or
 * something that was purged.
 */
export type Condition =
  | { kind: FileKind; sha256: string | null; mode: number; size: number }
  | { kind: 'absent' }
  | { kind: 'ignored' }
  | { kind: 'purged' };

/** All that is known of a path whose state changed since the time that is wanted. */
export interface RewindFact {
  path: string;
  /** What it was then, and what it is by the index. */
  wanted: Condition;
  present: Condition;
  inProject: Presence;
  /** What stands there is what the index says; of a folder that nothing is in it. */
  isAsIndexed: boolean;
  /** Nothing is known of what it was then, and what stands there was there already: nobody followed it. */
  wasThere: boolean;
  /** Of a folder where the index has nothing: the paths of all that is in it, and its permission bits (-1: it is none). */
  holds: readonly string[];
  folderMode: number;
  /** Why the path cannot be handed to the file system, or is not to be touched whatever it is. */
  refusal: string | null;
  /** Why what is missing or there proves nothing: its file system is not there. */
  placeDoubt: string | null;
  /** Why its content of then, or the one of now, could not be given. */
  wantedProblem: string | null;
  presentProblem: string | null;
  /** Why nothing could be written at its place. */
  obstacle: string | null;
}

/** kept: nobody may touch it; conflict: it is not what it is said to be, or something is in its way. */
export type RewindJudgement =
  | { verdict: RewindVerdict | 'ok' }
  | { verdict: 'untouched' | 'unrestorable' | 'conflict' | 'unknown'; reason: string };

/** Something has to be done with the path. */
export function isAction({ verdict }: RewindJudgement): boolean {
  return verdict === 'restore' || verdict === 'revert' || verdict === 'remove';
}

const ok = { verdict: 'ok' } as const;
const untouched = (reason: string): RewindJudgement => ({ verdict: 'untouched', reason });
const conflict = (reason: string): RewindJudgement => ({ verdict: 'conflict', reason });

export const changedSince = 'it changed meanwhile';
const purged = 'what it was then was removed for good';

/** What has to be done with a path, by itself: pure, and total over every combination of facts. */
export function judgeRewind(fact: RewindFact): RewindJudgement {
  const { wanted, present } = fact;
  if (isSame(wanted, present)) return ok;
  if (fact.refusal !== null) return untouched(fact.refusal);
  if (wanted.kind === 'ignored') return untouched('rules ignored it then: what it was is not known');
  if (wanted.kind === 'purged') return { verdict: 'unrestorable', reason: purged };
  if (present.kind === 'ignored') return untouched('rules ignore it');
  if (isTooLarge(present)) return untouched('it is too large to be kept, and could not be had again');
  if (isTooLarge(wanted)) return untouched('it was too large to be kept');
  if (fact.placeDoubt !== null) return { verdict: 'unknown', reason: fact.placeDoubt };
  if (isUnknown(fact.inProject))
    return { verdict: 'unknown', reason: `it cannot be looked at (${errnoIn(fact.inProject)})` };
  return present.kind === 'absent' ? judgeMissing(fact) : judgePresent(fact);
}

/** By the index nothing is there. */
function judgeMissing(fact: RewindFact): RewindJudgement {
  const { wanted, inProject } = fact;
  if (wanted.kind === 'absent') return ok;
  // A folder that is there needs not to be made.
  if (wanted.kind === 'folder' && inProject === 'directory' && wanted.mode === fact.folderMode) return ok;
  // What is in the way may go by the same plan: see rewindPlanOf.
  const isFree = inProject === 'absent' || inProject === 'directory' || inProject === 'blocked';
  if (!isFree) return conflict(changedSince);
  if (fact.wantedProblem !== null) return { verdict: 'unrestorable', reason: fact.wantedProblem };
  if (inProject === 'absent' && fact.obstacle !== null) return conflict(fact.obstacle);
  return { verdict: 'restore' };
}

function judgePresent(fact: RewindFact): RewindJudgement {
  const { wanted } = fact;
  if (!fact.isAsIndexed) return conflict(changedSince);
  if (fact.presentProblem !== null) return conflict(`it could not be had again: ${fact.presentProblem}`);
  if (wanted.kind === 'absent')
    return fact.wasThere ? untouched('it was there then, and was not followed') : { verdict: 'remove' };
  if (fact.wantedProblem !== null) return { verdict: 'unrestorable', reason: fact.wantedProblem };
  return { verdict: 'revert' };
}

function isTooLarge(one: Condition): boolean {
  return one.kind === 'file' && one.sha256 === null;
}

function isSame(a: Condition, b: Condition): boolean {
  if (!('mode' in a) || !('mode' in b)) return a.kind === b.kind;
  if (a.kind !== b.kind || a.sha256 !== b.sha256) return false;
  // What is too large to be kept is told by its size, and a symlink has no mode of its own.
  return (!isTooLarge(a) || a.size === b.size) && (a.kind === 'symlink' || a.mode === b.mode);
}

export interface RewindAction {
  verdict: RewindVerdict;
  path: string;
}

export interface RewindRefusal {
  path: string;
  reason: string;
}

export interface RewindPlan {
  /** What goes, the deepest first; then what comes, the topmost first. */
  actions: RewindAction[];
  untouched: RewindRefusal[];
  unrestorable: RewindRefusal[];
  conflicts: RewindRefusal[];
  unknown: RewindRefusal[];
  totals: Record<
    RewindVerdict | 'checked' | 'ok' | 'untouched' | 'unrestorable' | 'conflict' | 'unknown',
    number
  >;
}

/** The plan for a project: pure. */
export function rewindPlanOf(facts: readonly RewindFact[]): RewindPlan {
  const plan: RewindPlan = {
    actions: [],
    untouched: [],
    unrestorable: [],
    conflicts: [],
    unknown: [],
    totals: {
      checked: 0,
      ok: 0,
      restore: 0,
      revert: 0,
      remove: 0,
      untouched: 0,
      unrestorable: 0,
      conflict: 0,
      unknown: 0,
    },
  };
  const comesBelow = new Set(facts.flatMap(({ path, wanted }) => ('mode' in wanted ? parentsOf(path) : [])));
  const judged = facts.map((fact) => {
    // An empty folder that gets something in it again needs not to go for that.
    const isFilled =
      fact.present.kind === 'folder' && fact.wanted.kind === 'absent' && comesBelow.has(fact.path);
    return { fact, judgement: isFilled ? ok : judgeRewind(fact) };
  });
  const going = new Set(
    judged.flatMap(({ fact: { path }, judgement: { verdict } }) => (verdict === 'remove' ? [path] : [])),
  );
  for (const { fact, judgement } of judged) add(plan, fact.path, unlessInTheWay(fact, judgement, going));
  const rank = ({ verdict }: RewindAction): number => (verdict === 'remove' ? 0 : 1);
  plan.actions.sort((a, b) => {
    if (rank(a) !== rank(b)) return rank(a) - rank(b);
    const order = a.path < b.path ? -1 : 1;
    return a.verdict === 'remove' ? -order : order;
  });
  return plan;
}

/** A file can take the place of a folder, or lie below what was a file, only where all of that goes. */
function unlessInTheWay(
  { path, wanted, inProject, holds }: RewindFact,
  judgement: RewindJudgement,
  going: ReadonlySet<string>,
): RewindJudgement {
  if (judgement.verdict !== 'restore') return judgement;
  if (inProject === 'directory') {
    const stays = holds.find((one) => !going.has(one));
    // It keeps its mode as long as something is in it.
    if (wanted.kind === 'folder' && stays !== undefined) return ok;
    return stays === undefined ? judgement : conflict(`there is a folder in its place, which has ${stays}`);
  }
  if (inProject === 'blocked' && !parentsOf(path).some((parent) => going.has(parent)))
    return conflict('what is in the place of its folder is no folder');
  return judgement;
}

function parentsOf(path: string): string[] {
  const parents: string[] = [];
  for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1))
    parents.push(path.slice(0, end));
  return parents;
}

function add(plan: RewindPlan, path: string, judgement: RewindJudgement): void {
  plan.totals.checked += 1;
  plan.totals[judgement.verdict] += 1;
  switch (judgement.verdict) {
    case 'ok':
      return;
    case 'untouched':
      plan.untouched.push({ path, reason: judgement.reason });
      return;
    case 'unrestorable':
      plan.unrestorable.push({ path, reason: judgement.reason });
      return;
    case 'conflict':
      plan.conflicts.push({ path, reason: judgement.reason });
      return;
    case 'unknown':
      plan.unknown.push({ path, reason: judgement.reason });
      return;
    default:
      plan.actions.push({ verdict: judgement.verdict, path });
  }
}
