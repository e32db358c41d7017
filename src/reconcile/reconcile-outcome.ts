import { dirname } from 'node:path';
import { AskedRepair } from '../base/asked-repair.js';
import type { Reconciled, RepairScope } from '../base/ipc.js';
import { fileByPath, type FileRow } from '../store/files.js';
import { owedFiles } from '../store/journal.js';
import type { Project } from '../store/projects.js';
import type { MissingTally } from './deletion.js';
import type { IndexingContext, IndexTally } from './index-paths.js';
import type { Aside } from './left-overs.js';

export interface ReconcileOutcome extends Reconciled {
  /** What could not be read or parsed, for the log. */
  problems: string[];
  /** Set when the brake stopped the reconcile: why nothing was marked. */
  halted: string | null;
  /** Why some missing files prove nothing; the rest was reconciled. */
  doubt: string | null;
  /** Why it is not known what git tracks. */
  gitProblem: string | null;
}

export function nothing(): ReconcileOutcome {
  return {
    added: 0,
    changed: 0,
    deleted: 0,
    unchanged: 0,
    skipped: 0,
    unsettled: [],
    owed: 0,
    problems: [],
    halted: null,
    doubt: null,
    isAway: false,
    notParsed: null,
    gitProblem: null,
    allIgnored: null,
  };
}

export function summaryOf(
  { index, project }: IndexingContext,
  tally: IndexTally,
  retired: MissingTally,
  aside: Aside,
): ReconcileOutcome {
  const unread = tally.unreadable.filter(({ path }) => fileByPath(index, project.id, path)?.deleted === 0);
  return {
    ...nothing(),
    added: tally.added,
    changed: tally.changed,
    deleted: retired.deleted,
    skipped: tally.unreadable.length,
    unsettled: [...tally.unsettled, ...aside.unsettled],
    problems: retired.problems,
    doubt: doubtOf(retired, unread, aside),
    isAway:
      retired.doubtful.count > 0 && retired.unseen.count === 0 && unread.length === 0 && aside.doubt === null,
    notParsed: describeNotParsed(tally),
  };
}

function describeNotParsed({ notLoaded }: IndexTally): string | null {
  return notLoaded.size === 0 ? null : `files are kept and not parsed yet: ${[...notLoaded].join('; ')}`;
}

/** Why the index may say what is not so: of some rows it is not known how their files are. Null where there are none. */
function doubtOf(
  { doubtful, unseen }: MissingTally,
  unread: IndexTally['unreadable'],
  aside: Aside,
): string | null {
  const doubts = aside.doubt === null ? [] : [aside.doubt];
  if (doubtful.reason !== null)
    doubts.push(`${doubtful.count} files are missing, and nothing is concluded: ${doubtful.reason}`);
  const first = unseen.reason ?? unread.map(({ path, reason }) => `${path} (${reason})`)[0];
  if (first !== undefined)
    doubts.push(
      `${unseen.count + unread.length} files cannot be looked at and may be other ones by now: ${first}`,
    );
  return doubts.length === 0 ? null : doubts.join('; ');
}

/** What a repair has still to bring back is missing, and is no deletion; also where it did not come to plan that. */
export function withoutOwed(
  { index, project }: IndexingContext,
  missing: readonly FileRow[],
): { gone: FileRow[]; owed: number } {
  if (missing.length === 0) return { gone: [], owed: 0 };
  const owed = owedFiles(index, project.id);
  const asked = new AskedRepair(dirname(index.path)).read();
  const isAsked = asked !== null && isAbout(asked.scope, project);
  const gone = missing.filter(({ id, updatedAt }) => !owed.has(id) && !(isAsked && updatedAt <= asked.at));
  return { gone, owed: missing.length - gone.length };
}

function isAbout({ project_id, root_dir }: RepairScope, { id, rootDir }: Project): boolean {
  if (project_id !== undefined) return project_id === id;
  return root_dir === undefined || root_dir === rootDir;
}
