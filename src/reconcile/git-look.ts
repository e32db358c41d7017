import { Slicer } from '../base/waiting.js';
import { sourceOf } from '../store/contents.js';
import {
  type DeletedRow,
  deletedSince,
  fileById,
  type FileRow,
  setTracked,
  trackedRows,
} from '../store/files.js';
import type { IndexDatabase } from '../store/index-database.js';
import { type Project, requireProject } from '../store/projects.js';
import { headMarks, replaceHeads } from '../store/repositories.js';
import { rulesOf } from './bounds.js';
import { type IsLeftByGit, leftByGit } from './git-left.js';
import type { IndexingContext } from './index-paths.js';
import { hasHeadMoved, headsOf, isKnownAt, nestedIn, type ProjectGit, readGitBelow } from './project-git.js';

/** By project id: paths that git tracked and that were not there, at the last look of this process. */
const lackingBefore = new Map<string, number>();

/** A comparison of the whole tree has found so many files that git tracks. */
export function noteTracked(projectId: string, git: Pick<ProjectGit, 'trackedCount'>, found: number): void {
  lackingBefore.set(projectId, git.trackedCount - found);
}

/** So long (ms) git may have been at work when the last comparison was made: it moves HEAD after all the files. */
const switchMaxMs = 60_000;

/** What was found gone since the last comparison, or shortly before: it may have been git's doing, as HEAD says by now. */
export function foundGoneLately(
  index: IndexDatabase,
  { id, lastVerifiedAt }: Pick<Project, 'id' | 'lastVerifiedAt'>,
): DeletedRow[] {
  const rows = deletedSince(index, id, (lastVerifiedAt ?? 0) - switchMaxMs, Number.MAX_SAFE_INTEGER);
  return rows.filter(({ cause }) => cause === 'seen' || cause === 'unseen');
}

/** Whether git took a file and has its bytes; what only the index has by now is a loss of somebody's, whoever took it. */
export function isGits(index: IndexDatabase, row: FileRow, isLeft: IsLeftByGit): boolean {
  return isLeft(row, () => (row.sha256 === null ? null : sourceOf(index, row.sha256)));
}

/** Of rows that are marked deleted, those that were git's doing. */
export async function takenByGit(
  { index, signal }: Pick<IndexingContext, 'index' | 'signal'>,
  rows: readonly DeletedRow[],
  isLeft: IsLeftByGit,
): Promise<FileRow[]> {
  const taken: FileRow[] = [];
  const slicer = new Slicer(signal);
  for (const { id } of rows) {
    const row = fileById(index, id);
    if (row !== undefined && isGits(index, row, isLeft)) taken.push(row);
    await slicer.breathe();
  }
  return taken;
}

/**
 * Follows what git tracks and where HEAD is, as after an add or a commit, without a look at the files. Gives true where
 * a whole comparison has to find out what git took away, or what rules ignore that it tracks by now, or does not any more.
 */
export async function lookAtGit(context: IndexingContext): Promise<boolean> {
  const { index, signal } = context;
  const project = requireProject(index, { project_id: context.project.id });
  const known = headMarks(index, project.id);
  const git = await readGitBelow(project.rootDir, nestedIn(known), signal);
  // Whose files those of a repository that went away are is seen when all is looked at.
  if (nestedIn(known).some((folder) => !git.nested.has(folder))) return true;
  const isLeft = await leftByGit(project.rootDir, known, git, signal);
  if (hasHeadMoved(known, git) && foundGoneLately(index, project).some((row) => isLeft(row))) return true;
  const rules = rulesOf(context, git);
  const slicer = new Slicer(signal);
  const retracked: { id: number; tracked: 0 | 1 }[] = [];
  let lacking = git.trackedCount;
  for (const { id, path, tracked } of trackedRows(index, project.id)) {
    const isTracked = git.isTracked(path) ? 1 : 0;
    lacking -= isTracked;
    if (isLeft({ path, tracked })) return true;
    if (tracked !== isTracked && isKnownAt(git, path)) {
      if (isTracked === 0 && rules.ignoresPath(path, false)) return true;
      retracked.push({ id, tracked: isTracked });
    }
    await slicer.breathe();
  }
  await index.write(() => {
    for (const { id, tracked } of retracked) setTracked(index, id, tracked);
    if (hasHeadMoved(known, git)) replaceHeads(index, project.id, headsOf(git, known, true));
  }, signal);
  // Files that are missing are tracked as well: only more than before are news.
  return lacking > (lackingBefore.get(project.id) ?? 0);
}
