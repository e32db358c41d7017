import { lstatSync, unlinkSync } from 'node:fs';
import { CodekeepError, errnoOf, messageOf } from '../base/errors.js';
import type { FilePlacer } from '../base/file-placer.js';
import { relativePathProblem } from '../base/paths.js';
import { isUnknown, type Presence, TreePresence } from '../base/presence.js';
import { Slicer } from '../base/waiting.js';
import { type FileRow, forgetFile, markDeleted, requireFile } from '../store/files.js';
import type { IndexDatabase } from '../store/index-database.js';
import type { Project } from '../store/projects.js';
import type { IgnoreRules } from './ignore-rules.js';
import { imageOf } from './image.js';
import { indexPaths, type IndexingContext } from './index-paths.js';
import { inspectRoot, rootUnavailable } from './project-root.js';
import { VersionStore } from './version-store.js';
import { isSameStamp, stampOf } from '../base/stamp.js';

/** What became of rows whose files a walk did not find. */
export interface MissingTally {
  deleted: number;
  /** What could not be kept in versions because something is in the way there; the index has it. */
  problems: string[];
}

/** Rows dealt with in one transaction. */
const batchRows = 50;

/**
 * Deals with active rows that no walk found, below a verified root and past the brake: what is proven to be
 * gone is kept in versions (from the index) and marked; nothing else is touched.
 */
export async function retireMissing(
  context: IndexingContext,
  rows: readonly FileRow[],
  rules: IgnoreRules,
): Promise<MissingTally> {
  const tally: MissingTally = { deleted: 0, problems: [] };
  const observed = new TreePresence(context.project.rootDir);
  const gone: FileRow[] = [];
  for (const row of rows) {
    // A path that is not canonical is never handed to the file system.
    const presence = relativePathProblem(row.path) === null ? observed.at(row.path) : 'unknown:path';
    if (isGone(presence)) gone.push(row);
    // There after all, but ignored by now: the row goes, the content stays.
    else if (presence === 'file' && rules.ignoresPath(row.path, false))
      await context.index.write(() => forgetFile(context.index, row.id), context.signal);
  }
  for (let start = 0; start < gone.length; start += batchRows) {
    tally.deleted += await retireBatch(context, gone.slice(start, start + batchRows), tally.problems);
  }
  return tally;
}

async function retireBatch(
  context: IndexingContext,
  rows: readonly FileRow[],
  problems: string[],
): Promise<number> {
  const { index, project } = context;
  const versions = new VersionStore(project);
  const placer = await versions.openPlacer();
  const slicer = new Slicer(context.signal);
  try {
    for (const row of rows) {
      try {
        await keepFromIndex(index, versions, placer, row, context.now());
      } catch (error) {
        // One path must not hold up the others for ever.
        if (!isObstacle(error)) throw error;
        problems.push(`${row.path}: it is not in versions: ${messageOf(error)}`);
      }
      await slicer.breathe();
    }
  } finally {
    await placer.finish();
  }
  return await index.write(() => {
    if (inspectRoot(project).kind !== 'verified') return 0;
    const observed = new TreePresence(project.rootDir);
    const stillGone = rows.filter(({ path }) => isGone(observed.at(path)));
    for (const row of stillGone) markDeleted(index, row.id, 'unseen', context.now());
    return stillGone.length;
  }, context.signal);
}

function isGone(presence: Presence): boolean {
  return presence !== 'file' && !isUnknown(presence);
}

/** True for what stays in the way however often it is tried, as opposed to a full disk. */
function isObstacle(error: unknown): boolean {
  return error instanceof CodekeepError || ['EISDIR', 'ENAMETOOLONG', 'EPERM'].includes(errnoOf(error) ?? '');
}

/** Versions get the content as it was indexed; false where the index cannot give it. */
async function keepFromIndex(
  index: IndexDatabase,
  versions: VersionStore,
  placer: FilePlacer,
  row: FileRow,
  now: number,
): Promise<boolean> {
  const image = imageOf(index, row);
  if ('problem' in image) return false;
  await versions.keep(placer, row.path, image, now);
  return true;
}

/**
 * delete_file: brings what is on disk now into the index and into versions, then takes it out of the project
 * and marks the row, in one transaction. Gives the absolute path in versions.
 * @throws CodekeepError FILE_NOT_FOUND, ROOT_UNAVAILABLE, PATH_OUTSIDE_ROOT
 */
export async function deleteFile(context: IndexingContext, path: string): Promise<string> {
  const { index, project } = context;
  const root = inspectRoot(project);
  if (root.kind !== 'verified')
    throw rootUnavailable(
      root.kind === 'replaced' ? 'it is another folder than was registered' : root.reason,
    );
  const absolute = `${project.rootDir}/${path}`;
  assertDeletable(project, path);
  await indexPaths(context, [path]);
  const row = requireFile(index, project.id, path);
  const versions = new VersionStore(project);
  const placer = await versions.openPlacer();
  try {
    const isKept = await keepFromIndex(index, versions, placer, row, context.now());
    if (!isKept) await versions.adopt(placer, path, absolute, context.now());
  } finally {
    await placer.finish();
  }
  await index.write(() => takeAway(index, project, row, context.now()));
  return versions.pathOf(path);
}

function assertDeletable(project: Project, path: string): void {
  const presence = new TreePresence(project.rootDir).at(path);
  if (presence === 'file') return;
  if (presence === 'blocked') {
    throw new CodekeepError(
      'PATH_OUTSIDE_ROOT',
      `A parent of ${path} is a symlink or a file.`,
      'Name the file by its real path.',
    );
  }
  throw new CodekeepError(
    'FILE_NOT_FOUND',
    `There is no regular file ${path} in the project (${presence}).`,
    'Check the path; it is relative to root_dir.',
  );
}

/** Unlinks only what was just kept: a file that was written meanwhile stays, and the caller hears of it. */
function takeAway(index: IndexDatabase, project: Project, row: FileRow, now: number): void {
  const absolute = `${project.rootDir}/${row.path}`;
  const stamp = stampOf(absolute);
  if (stamp !== null && !isSameStamp(stamp, row)) {
    throw new CodekeepError(
      'TARGET_FILE_EXISTS',
      `${row.path} changed while it was being deleted.`,
      'It was left as it is. Call again.',
    );
  }
  if (stamp !== null && lstatSync(absolute).isFile()) unlinkSync(absolute);
  markDeleted(index, row.id, 'asked', now);
}
