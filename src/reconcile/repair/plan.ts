import type { Presence } from '../../base/presence.js';
import type { Cause, FileKind } from '../../store/files.js';

/**
 * What lies at a row's place in versions. `own` is a copy with the row's content; `revived` one from
 * before the file came back the last time, so that it is no sign of a deletion; `older` has other content.
 */
export type VersionPresence = Exclude<Presence, 'file'> | 'own' | 'revived' | 'older';

/** Everything the plan needs to know of one row; null where observing was not needed for a verdict. */
export interface Fact {
  id: number;
  path: string;
  kind: FileKind;
  deleted: boolean;
  /** Rules ignore it by now: it is neither lost nor deleted, wherever it is. */
  ignored: boolean;
  sha256: string | null;
  /** Why the stored path cannot be used at all, e.g. that it is absolute. */
  pathProblem: string | null;
  inProject: Presence;
  /** The present file's size or times differ from the row. */
  changed: boolean;
  /** Why its absence proves nothing: its file system is not there. */
  placeDoubt: string | null;
  /** git switched to a state that does not have it. */
  leftByGit: boolean;
  /** It was marked deleted by a watcher, and whoever asks takes that for a loss. */
  wanted: boolean;
  /** Asked for only where the file is absent from the project. */
  inVersions: VersionPresence | null;
  /** Null: not asked. Else whether the index has its content, or why not. */
  tree: 'renders' | { problem: string } | null;
  /** Why nothing could be written at its place; null: it could, or it was not asked. */
  projectObstacle: string | null;
  versionsObstacle: string | null;
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
  /** What the bytes are made of. */
  source: 'tree' | 'versions';
  /** Of the mark that set_deleted sets. */
  cause: Cause | null;
  sha256: string | null;
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
  /** Somebody said that the files shall come back where they were, whatever file system is there now. */
  force: boolean;
}

/** A verdict with its reason, and for one that acts how. */
export interface Judgement {
  verdict: Verdict;
  reason: string;
  how?: Pick<Action, 'targets' | 'source' | 'cause'>;
}

const presenceOfKind = { file: 'file', symlink: 'symlink', folder: 'directory' } as const;

/** One verdict per row, by the table of the design; total over every combination of facts. */
export function judge(fact: Fact, context: PlanContext): Judgement {
  if (fact.pathProblem !== null)
    return { verdict: 'conflict', reason: `the stored path ${fact.pathProblem}` };
  if (fact.inProject === presenceOfKind[fact.kind]) return judgePresent(fact);
  switch (fact.inProject) {
    case 'file':
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
      return judgeAbsent(fact, context);
    default:
      return {
        verdict: 'unknown',
        reason: context.rootDoubt ?? `in the project it cannot be looked at (${errnoIn(fact.inProject)})`,
      };
  }
}

function judgePresent(fact: Fact): Judgement {
  if (fact.deleted) return { verdict: 'clear_deleted', reason: '', how: markOnly(null) };
  return { verdict: fact.changed ? 'changed' : 'ok', reason: '' };
}

function judgeAbsent(fact: Fact, context: PlanContext): Judgement {
  if (fact.ignored) return { verdict: 'ok', reason: '' };
  // For a copy in versions it does not matter where the file was.
  const isForProject = !fact.deleted || fact.wanted;
  const doubt = context.rootDoubt ?? (isForProject && !context.force ? fact.placeDoubt : null);
  if (doubt !== null) return { verdict: 'unknown', reason: doubt };
  const { inVersions } = fact;
  switch (inVersions) {
    case 'own':
    case 'revived':
    case 'older':
    case 'absent':
      if (fact.deleted && !fact.wanted) return judgeDeleted(fact, inVersions);
      return fact.leftByGit ? judgeLeft(fact, inVersions) : judgeMissing(fact, inVersions);
    case 'directory':
    case 'symlink':
    case 'other':
      return {
        verdict: 'conflict',
        reason: `in versions its place is taken by a ${nameOf(inVersions)}`,
      };
    case 'blocked':
      return { verdict: 'conflict', reason: 'in versions a parent of it is a symlink or a file' };
    case null:
      return { verdict: 'unknown', reason: 'versions were not looked at' };
    default:
      return { verdict: 'unknown', reason: `in versions it cannot be looked at (${errnoIn(inVersions)})` };
  }
}

type CopyPresence = 'own' | 'revived' | 'older' | 'absent';

/** Deleted and nowhere in the project: only its copy may be due. */
function judgeDeleted(fact: Fact, copy: CopyPresence): Judgement {
  return hasContent(copy) ? { verdict: 'ok', reason: '' } : restore(fact, ['versions'], 'tree');
}

/** git's doing: a deletion, whose copy comes from the index. */
function judgeLeft(fact: Fact, copy: CopyPresence): Judgement {
  if (hasContent(copy) || fact.tree !== 'renders')
    return { verdict: 'set_deleted', reason: '', how: markOnly('git') };
  const obstacle = fact.versionsObstacle;
  if (obstacle !== null) return { verdict: 'conflict', reason: `in versions ${obstacle}` };
  return { verdict: 'set_deleted', reason: '', how: { targets: ['versions'], source: 'tree', cause: 'git' } };
}

/** Not in the project although nobody deleted it, or somebody wants it back. */
function judgeMissing(fact: Fact, copy: CopyPresence): Judgement {
  if (copy === 'own' && !fact.wanted) return { verdict: 'set_deleted', reason: '', how: markOnly('repair') };
  if (!hasContent(copy)) return restore(fact, ['versions', 'project'], 'tree');
  return restore(fact, ['project'], fact.tree === 'renders' ? 'tree' : 'versions');
}

function hasContent(copy: CopyPresence): boolean {
  return copy === 'own' || copy === 'revived';
}

function restore(fact: Fact, targets: Target[], source: Action['source']): Judgement {
  if (source === 'tree' && fact.tree !== 'renders')
    return { verdict: 'unrestorable', reason: fact.tree?.problem ?? 'its stored tree was not looked at' };
  const { projectObstacle, versionsObstacle } = fact;
  if (targets.includes('project') && projectObstacle !== null)
    return { verdict: 'conflict', reason: `in the project ${projectObstacle}` };
  if (targets.includes('versions') && versionsObstacle !== null)
    return { verdict: 'conflict', reason: `in versions ${versionsObstacle}` };
  return { verdict: 'restore_from_cst', reason: '', how: { targets, source, cause: null } };
}

/** One for all of them, as there may be one for every row of a project. */
const nowhere: Target[] = [];

function markOnly(cause: Cause | null): NonNullable<Judgement['how']> {
  return { targets: nowhere, source: 'tree', cause };
}

function nameOf(presence: 'file' | 'directory' | 'symlink' | 'other'): string {
  return presence === 'other' ? 'special file' : presence === 'directory' ? 'folder' : presence;
}

function errnoIn(presence: string): string {
  return presence.replace('unknown:', '');
}

/** Rows that need no verdict of their own, because their files are present and not marked. */
export interface PresentCounts {
  ok: number;
  changed: number;
}

/** The plan for a project: a pure function of facts, listed in the order in which they come. */
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
  const judged = [...facts].map((fact) => ({ fact, judgement: judge(fact, context) }));
  const folders = foldersToBe(judged);
  for (const { fact, judgement } of judged) addToPlan(plan, fact, unlessInTheWay(fact, judgement, folders));
  return plan;
}

interface Judged {
  fact: Fact;
  judgement: Judgement;
}

/** The folders that there will be when all is written. */
function foldersToBe(judged: readonly Judged[]): Record<Target, ReadonlySet<string>> {
  const folders = { versions: new Set<string>(), project: new Set<string>() };
  for (const { fact, judgement } of judged)
    for (const target of judgement.how?.targets ?? [])
      for (let end = fact.path.lastIndexOf('/'); end > 0; end = fact.path.lastIndexOf('/', end - 1))
        folders[target].add(fact.path.slice(0, end));
  return folders;
}

/**
 * A path that was a file once and a folder at another time cannot be both: what lies in the folder is written, as it may be
 * many. An empty folder that gets something in it is none any more.
 */
function unlessInTheWay(
  fact: Fact,
  judgement: Judgement,
  folders: Record<Target, ReadonlySet<string>>,
): Judgement {
  const { how } = judgement;
  if (how === undefined) return judgement;
  if (fact.kind === 'folder')
    return folders.project.has(fact.path) ? { verdict: 'ok', reason: '' } : judgement;
  const target = how.targets.find((one) => folders[one].has(fact.path));
  if (target === undefined) return judgement;
  const where = target === 'project' ? 'the project' : 'versions';
  return { verdict: 'conflict', reason: `in ${where} its place is needed for what was below it` };
}

function addToPlan(plan: Plan, fact: Fact, { verdict, reason, how }: Judgement): void {
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
      plan.actions.push(actionFor(fact, verdict, how));
  }
}

/** Without a spread, whose objects take three times the memory. */
function actionFor({ id, path, sha256 }: Fact, verdict: ActionVerdict, how: Judgement['how']): Action {
  if (how === undefined) throw new Error('a verdict that acts does not say how');
  const { targets, source, cause } = how;
  return { verdict, id, path, targets, source, cause, sha256 };
}
