import { randomUUID } from 'node:crypto';
import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import { reasonOf } from '../base/errors.js';
import { relativePathProblem, splitPath } from '../base/paths.js';
import { PinnedFolder } from '../base/pinned-folder.js';
import { stampOfAny } from '../base/stamp.js';
import { removeIfSame } from '../base/taken-file.js';
import { Slicer } from '../base/waiting.js';
import { fileByPath, type FileRow } from '../store/files.js';
import {
  forgetContents,
  forgetDeleted,
  type ForgetLimits,
  type ForgetPlan,
  forgetStates,
  type ForgetTally,
  mayForget,
  planForget,
  rehearseForget,
} from '../store/forgetting.js';
import type { IndexDatabase } from '../store/index-database.js';
import { knownSince, type Project } from '../store/projects.js';
import { removeEmptied } from './repair/removals.js';
import { contentHashAt, VersionStore } from './version-store.js';

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
    const problem = await forgetFiles(index, plan, tally, options);
    if (problem !== null)
      log(`${plan.project.rootDir}: a copy in versions that is not kept any more stays: ${problem}`);
  }
  await forgetContents(index, contentsBefore, tally, signal);
  return { ...tally, projects: named };
}

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
  const versions = new VersionStore(index, project);
  if (deleted.length === 0 || versions.bareReason() !== null || versions.isBlocked()) return [];
  const observed = versions.observe();
  const slicer = new Slicer(signal);
  const proven: FileRow[] = [];
  for (const row of deleted) {
    if (relativePathProblem(row.path) === null && hasCopy(versions.pathOf(row.path), row)) proven.push(row);
    await slicer.breathe();
  }
  return proven;

  function hasCopy(absolute: string, { path, kind, sha256 }: FileRow): boolean {
    const presence = observed.at(path);
    try {
      return presence === kind && contentHashAt(absolute, presence) === sha256;
    } catch {
      // Nobody may read it, or it has just gone.
      return false;
    }
  }
}

/**
 * The copy goes first: a row without one is a copy that a repair makes again, a copy without a row is one that nobody knows. Gives
 * why the first of them stays that does.
 */
async function forgetFiles(
  index: IndexDatabase,
  { project, deleted }: ForgetPlan,
  tally: ForgetTally,
  { now, signal }: ForgetOptions,
): Promise<string | null> {
  if (deleted.length === 0) return null;
  const { root: versionsRoot } = new VersionStore(index, project);
  const root = await PinnedFolder.open(versionsRoot);
  const folders = new Set<string>();
  let problem: string | null = null;
  try {
    for (const row of deleted) {
      signal.throwIfAborted();
      if (!mayForget(index, project, row)) continue;
      const isRemoved = await removeCopy(root, versionsRoot, row, now).catch((error: unknown) => {
        problem ??= `${row.path}: ${reasonOf(error)}`;
        return false;
      });
      if (!isRemoved) continue;
      await index.write(() => forgetDeleted(index, row, tally));
      for (let { folder } = splitPath(row.path); folder !== ''; folder = splitPath(folder).folder)
        folders.add(folder);
    }
  } finally {
    await root.close();
  }
  // One that was deleted when it was empty has its copy in this very folder.
  const emptied = [...folders].filter((folder) => fileByPath(index, project.id, folder) === undefined);
  await removeEmptied({ rootDir: versionsRoot }, emptied.sort().reverse());
  return problem;
}

/** False where it is not what was proven any more. */
async function removeCopy(
  root: PinnedFolder,
  versionsRoot: string,
  { path, kind, sha256 }: FileRow,
  now: number,
): Promise<boolean> {
  const stamp = stampOfAny(lstatSync(join(versionsRoot, path), { bigint: true }));
  const expected = { stamp, sha256: kind === 'file' ? sha256 : null };
  return (await removeIfSame(root, path, expected, randomUUID(), now)) === 'removed';
}
