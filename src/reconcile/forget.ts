import { reasonOf } from '../base/errors.js';
import { splitPath } from '../base/paths.js';
import { Slicer } from '../base/waiting.js';
import type { FileRow } from '../store/files.js';
import {
  blankDeleted,
  forgetContents,
  forgetDeleted,
  type ForgetLimits,
  type ForgetPlan,
  forgetStates,
  type ForgetTally,
  isStillDeleted,
  mayForget,
  planForget,
  rehearseForget,
} from '../store/forgetting.js';
import type { IndexDatabase } from '../store/index-database.js';
import { knownSince, type Project } from '../store/projects.js';
import { DeletedCopies } from './deleted-copies.js';
import { removeEmptiedVersions } from './repair/removals.js';

export interface ForgetOptions extends ForgetLimits {
  /** Contents that nothing has and that were added before then go, too; milliseconds since 1970. */
  contentsBefore: number;
  isDryRun: boolean;
  log: (message: string) => void;
  signal: AbortSignal;
}

export interface Forgotten extends ForgetTally {
  projects: { project: Project; versions: number; deleted: number; oldest: number | null }[];
}

/**
 * Lets go of projects what the policy does not keep: states, then files that were deleted long ago, each with its copy in
 * versions, then contents that nothing has any more. A dry run says what a run does, and can do with a connection that only reads.
 */
export async function forget(
  index: IndexDatabase,
  projects: readonly Project[],
  options: ForgetOptions,
): Promise<Forgotten> {
  const { contentsBefore, isDryRun, log, signal } = options;
  const plans: ForgetPlan[] = [];
  for (const project of projects) {
    const plan = await planForget(index, project, options, signal);
    plans.push({ ...plan, deleted: await withProvenCopy(index, plan, signal) });
  }
  const named = plans.map(({ project, states, deleted, since }) => ({
    project,
    versions: states.length,
    deleted: deleted.length,
    oldest: oldestOf(project, since),
  }));
  if (isDryRun) return { ...(await rehearseForget(index, plans, contentsBefore, signal)), projects: named };
  const tally: ForgetTally = { versions: 0, deleted: 0, contents: 0, bytes: 0 };
  for (const plan of plans) {
    await forgetStates(index, plan, tally, signal);
    const [kept] = await forgetFiles(index, plan, tally, options);
    if (kept !== undefined)
      log(`${plan.project.rootDir}: ${kept.path} was deleted long ago and stays: ${kept.reason}`);
  }
  await forgetContents(index, contentsBefore, tally, signal);
  return { ...tally, projects: named };
}

/** From when on all is known of it once nothing is of before `since`; null: the first comparison has not ended. */
function oldestOf(project: Project, since: number): number | null {
  const before = knownSince(project);
  return before === null ? null : Math.max(before, since);
}

/** Those whose copy is exactly what the index has: where that is in doubt nothing goes. */
async function withProvenCopy(
  index: IndexDatabase,
  { project, deleted }: ForgetPlan,
  signal: AbortSignal,
): Promise<FileRow[]> {
  const copies = new DeletedCopies(index, project);
  const slicer = new Slicer(signal);
  const proven: FileRow[] = [];
  for (const row of deleted) {
    if ((await copies.look(row, signal)) === 'proven') proven.push(row);
    await slicer.breathe();
  }
  return proven;
}

/**
 * The copy goes first: a row without one is a copy that a repair makes again, a copy without a row is one that nobody knows. Gives
 * what stays, and why.
 * @param isAsked so that older copies of them go, too, a copy that is not there holds up nothing, and it stays known that there
 * was something
 */
export async function forgetFiles(
  index: IndexDatabase,
  { project, deleted }: Pick<ForgetPlan, 'project' | 'deleted'>,
  tally: ForgetTally,
  { now, signal }: Pick<ForgetOptions, 'now' | 'signal'>,
  isAsked = false,
): Promise<{ path: string; reason: string }[]> {
  if (deleted.length === 0) return [];
  const copies = new DeletedCopies(index, project);
  const folders = new Set<string>();
  const kept: { path: string; reason: string }[] = [];
  const mayGo = (row: FileRow): boolean => (isAsked ? isStillDeleted : mayForget)(index, project, row);
  const letGo = (row: FileRow): string | null => {
    if (!mayGo(row)) return isNeeded;
    if (isAsked) blankDeleted(index, project, row, tally, now);
    else forgetDeleted(index, row, tally);
    return null;
  };
  try {
    for (const row of deleted) {
      signal.throwIfAborted();
      const reason =
        (mayGo(row) ? await copies.remove(row, now, isAsked).catch(reasonOf) : isNeeded) ??
        (await index.write(() => letGo(row)));
      if (reason === null) folders.add(row.kind === 'folder' ? row.path : splitPath(row.path).folder);
      else kept.push({ path: row.path, reason });
    }
  } finally {
    await copies.close();
  }
  if (copies.isThere()) await removeEmptiedVersions(index, project.id, copies.root, folders);
  return kept;
}

const isNeeded = 'it came back, or something is under way that may need it';
