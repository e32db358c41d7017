import { randomUUID } from 'node:crypto';
import { hashFile } from '../base/copy-contents.js';
import { CodekeepError } from '../base/errors.js';
import type { FilePlacer } from '../base/file-placer.js';
import { assertRelativePath } from '../base/paths.js';
import { removeIfSame } from '../base/taken-file.js';
import { changedSince, moveFile } from '../base/move-file.js';
import { ownToken } from '../base/temporary-names.js';
import { PinnedFolder } from '../base/pinned-folder.js';
import { PlacingProblems } from '../base/placing-problem.js';
import { errnoIn, isUnknown, type Presence, TreePresence } from '../base/presence.js';
import type { FileStamp } from '../base/stamp.js';
import { clearDeleted, forgetEmptyFolders, markIgnored, restampFile } from '../store/file-states.js';
import { type Cause, fileByPath, type FileRow, pageOfFiles } from '../store/files.js';
import type { IndexDatabase } from '../store/index-database.js';
import type { Project } from '../store/projects.js';
import type { CameBy } from '../store/revisions.js';
import { rulesOf } from './bounds.js';
import { DeviceDoubts } from './devices.js';
import type { IndexingContext } from './index-paths.js';
import { moveBack } from './move-back.js';
import { openProjectPlacer } from './project-placer.js';
import { readProjectGit } from './project-git.js';
import { assertRegisteredRoot, inspectRootOf, rootUnavailable } from './project-root.js';
import { provenStamps } from './proven-stamp.js';
import { findImage } from './heal.js';
import type { ImagedRow } from './image.js';
import { VersionStore } from './version-store.js';

/** One call restores at most so many files: they are rendered one by one, but all or none are placed. */
export const restoreFilesMax = 10_000;

export interface RestoreChoice {
  paths?: readonly string[] | undefined;
  pathPrefix?: string | undefined;
  /** Milliseconds since 1970. */
  deletedAfter?: number | undefined;
  cause?: Cause | undefined;
}

/**
 * The rows that a restore would bring back. What was never kept is refused where it is named itself, and else left out: it is no
 * reason to bring back nothing.
 * @throws CodekeepError FILE_NOT_FOUND for a path that is not deleted and has nothing deleted below it; LIMIT_EXCEEDED
 */
export function chooseDeleted(index: IndexDatabase, project: Project, choice: RestoreChoice): FileRow[] {
  const { paths, pathPrefix = '' } = choice;
  const rows = paths?.flatMap((path) => deletedAt(index, project, path, choice));
  const chosen = new Map(rows?.map((row) => [row.id, row]));
  return rows === undefined ? deletedBelow(index, project, pathPrefix, choice) : atMost([...chosen.values()]);
}

/** A file itself; of a folder all that is below it. */
function deletedAt(
  index: IndexDatabase,
  project: Project,
  path: string,
  choice: RestoreChoice,
): readonly FileRow[] {
  assertRelativePath(path);
  const row = fileByPath(index, project.id, path);
  // What rules ignore by now is still kept as it was; that nothing stands in its place is checked with the rest.
  if (row?.deleted === 1 || row?.ignored === 1) return [row];
  const below = deletedBelow(index, project, `${path}/`, choice);
  if (below.length > 0) return below;
  throw new CodekeepError(
    'FILE_NOT_FOUND',
    `${JSON.stringify(path)} is not marked deleted, and nothing below it is.`,
    'Call list_deleted_files to see what is; the path is relative to root_dir.',
  );
}

/** In the order of their paths. */
function deletedBelow(
  index: IndexDatabase,
  { id }: Project,
  prefix: string,
  { deletedAfter, cause }: RestoreChoice,
): FileRow[] {
  const page = { filter: 'deleted', prefix, after: '', limit: restoreFilesMax + 1, isKept: true } as const;
  return atMost(pageOfFiles(index, id, { ...page, deletedAfter, cause }));
}

/** @throws CodekeepError LIMIT_EXCEEDED */
function atMost(rows: FileRow[]): FileRow[] {
  if (rows.length <= restoreFilesMax) return rows;
  throw new CodekeepError(
    'LIMIT_EXCEEDED',
    `More than ${restoreFilesMax} files match.`,
    'A repair with deleted_since brings back any number; or restore them folder by folder.',
  );
}

/** Everything that would make the restore fail, found out before the first byte is written. */
export function checkRestorable(index: IndexDatabase, project: Project, rows: readonly FileRow[]): void {
  assertRegisteredRoot(inspectRootOf(index, project));
  const devices = new DeviceDoubts(index, project);
  const observed = new TreePresence(project.rootDir);
  const places = new PlacingProblems(project.rootDir);
  const versions = new VersionStore(index, project);
  const copies = versions.observe();
  for (const row of rows) {
    assertRelativePath(row.path);
    const presence = observed.at(row.path);
    if (presence !== 'absent') throw refusal(row.path, presence);
    const doubt = devices.doubtOf(row);
    if (doubt !== null) throw rootUnavailable(`${row.path}: ${doubt}`);
    const obstacle = places.at(row.path);
    if (obstacle !== null) throw cannotPlace(row.path, obstacle);
    if (isMoved(row) && copies.look(row.path).stats?.size === row.size) continue;
    const bare = isMoved(row) ? versions.bareReason() : null;
    if (bare !== null) throw cannotPlace(row.path, bare);
    const image = findImage(index, row);
    if ('problem' in image) {
      throw new CodekeepError(
        'FILE_NOT_FOUND',
        `${row.path} cannot be restored: ${image.problem}.`,
        'Leave it out; nothing was restored.',
        { path: row.path },
      );
    }
  }
}

/** As checkRestorable, and what else a restore would refuse: it hashes what it moves. */
export async function rehearseRestore(
  index: IndexDatabase,
  project: Project,
  rows: readonly FileRow[],
  signal: AbortSignal,
): Promise<void> {
  checkRestorable(index, project, rows);
  const versions = new VersionStore(index, project);
  for (const { path, movedSha256 } of rows.filter(isMoved)) {
    if (movedSha256 !== null && (await hashFile(versions.pathOf(path), signal)) !== movedSha256)
      throw changedSince(path);
  }
}

export function cannotPlace(path: string, obstacle: string): CodekeepError {
  return new CodekeepError(
    'ROOT_UNAVAILABLE',
    `${path} cannot be restored: ${obstacle}.`,
    'Mend that, then call again; nothing was restored.',
    { path },
  );
}

/** Why nothing can be brought back to where something else stands, or may stand. */
export function refusal(
  path: string,
  presence: Presence,
  wayOut = 'Move it away or leave it out; nothing was restored.',
): CodekeepError {
  if (presence === 'blocked') {
    return new CodekeepError(
      'PATH_OUTSIDE_ROOT',
      `A parent of ${path} is a symlink or a file.`,
      'Move it out of the way; nothing was restored.',
      { path },
    );
  }
  if (isUnknown(presence)) return rootUnavailable(`${path}: ${errnoIn(presence)}`);
  return new CodekeepError(
    'TARGET_FILE_EXISTS',
    `There is already something at "${path}" (${presence}).`,
    wayOut,
    { path },
  );
}

/**
 * Brings deleted files back byte-exact, all of them or none: what was placed before a failure is taken away
 * again, as long as it is still what this call placed.
 */
export async function restoreDeleted(
  index: IndexDatabase,
  project: Project,
  rows: readonly FileRow[],
  now: () => number,
): Promise<void> {
  checkRestorable(index, project, rows);
  await placeAll(index, project, rows, now, (row, stamp) =>
    markRevived(index, project.id, row, stamp, 'restore', now()),
  );
}

/** What it takes to place something: of a deleted row, or of a state that some path was in. */
export type PlacedEntry = ImagedRow & Pick<FileRow, 'path' | 'size' | 'movedSha256'>;

/**
 * Places all of them or none, durably, and has the index know of it.
 * @param mark says in the index what was placed; in a transaction
 */
export async function placeAll<E extends PlacedEntry>(
  index: IndexDatabase,
  project: Project,
  rows: readonly E[],
  now: () => number,
  mark: (row: E, stamp: FileStamp) => void,
): Promise<void> {
  const placer = await openProjectPlacer(index, project);
  const placed: { row: E; stamp: FileStamp }[] = [];
  try {
    // What is moved and not written comes last: then nothing is left that could fail.
    for (const row of [...rows].sort((a, b) => Number(isMoved(a)) - Number(isMoved(b))))
      placed.push({ row, stamp: await placeBack(index, project, placer, row, now()) });
    await placer.sync();
    const stamps = await provenStamps(
      placed.map(({ row: { path, sha256 }, stamp }) => ({
        absolute: `${project.rootDir}/${path}`,
        stamp,
        sha256,
      })),
    );
    await index.write(() => {
      for (const [position, { row, stamp }] of placed.entries()) mark(row, stamps[position] ?? stamp);
    });
  } catch (error) {
    await takeBack(index, project, placed, now());
    throw error;
  } finally {
    await placer.finish();
  }
}

/** What rules ignore where it came back to is no content there, and no event tells of it. */
export async function ignoreAgain(
  context: IndexingContext,
  rows: readonly Pick<FileRow, 'id' | 'path'>[],
): Promise<void> {
  const { index, project, signal, now } = context;
  const rules = rulesOf(context, await readProjectGit(index, project, signal));
  const ignored = rows.filter(({ path }) => rules.ignoresPath(path, false));
  if (ignored.length === 0) return;
  await index.write(() => {
    for (const { id } of ignored) markIgnored(index, id, now());
  }, signal);
}

/** Its only copy is a whole file: in the project, or in versions. */
export function isMoved(row: Pick<FileRow, 'sha256' | 'kind'>): boolean {
  return row.sha256 === null && row.kind === 'file';
}

/** @param token names the temporary file */
export async function placeBack(
  index: IndexDatabase,
  project: Project,
  placer: FilePlacer,
  row: PlacedEntry,
  now: number,
  token: string = ownToken(randomUUID()),
): Promise<FileStamp> {
  if (isMoved(row)) return await moveBack(new VersionStore(index, project), placer, row, now);
  const image = findImage(index, row);
  if ('problem' in image) throw new Error(`${row.path} no longer renders: ${image.problem}`);
  return await placer.place(row.path, image, token);
}

/** What was written goes, because the index has it; what was moved goes back to where it was. */
async function takeBack(
  index: IndexDatabase,
  project: Project,
  placed: readonly { row: PlacedEntry; stamp: FileStamp }[],
  now: number,
): Promise<void> {
  const root = await PinnedFolder.open(project.rootDir);
  try {
    for (const { row, stamp } of placed) {
      if (isMoved(row)) await moveIntoVersions(index, project, root, row, now);
      else await removePlaced(root, row, stamp, now);
    }
  } finally {
    await root.close();
  }
}

/** Takes away again what was placed, as long as it is still that. A symlink has no bytes to be read. */
export async function removePlaced(
  root: PinnedFolder,
  { path, kind, sha256 }: Pick<FileRow, 'path' | 'kind' | 'sha256'>,
  stamp: FileStamp,
  now: number,
): Promise<void> {
  // An empty folder that was made stays: it holds nothing, and somebody may be in it.
  if (kind === 'folder') return;
  await removeIfSame(root, path, { stamp, sha256: kind === 'file' ? sha256 : null }, randomUUID(), now);
}

/** A file that is too large to be in the index goes where its only copy was, if it is the one that was moved then. */
export async function moveIntoVersions(
  index: IndexDatabase,
  project: Project,
  root: PinnedFolder,
  { path, movedSha256 }: Pick<FileRow, 'path' | 'movedSha256'>,
  now: number,
): Promise<void> {
  const placer = await new VersionStore(index, project).openPlacer();
  try {
    const to = { placer, path };
    await moveFile({ from: { root, path }, to, sha256: movedSha256, token: randomUUID(), now });
  } finally {
    await placer.finish();
  }
}

/** The mark of a file that has come back goes; its stamp is the one of what was placed. */
export function markRevived(
  index: IndexDatabase,
  projectId: string,
  { id, path, deviceId, xattrs }: Pick<FileRow, 'id' | 'path' | 'deviceId' | 'xattrs'>,
  stamp: FileStamp,
  by: CameBy,
  now: number,
): void {
  forgetEmptyFolders(index, projectId, path, now);
  clearDeleted(index, id, by, now);
  restampFile(index, id, { ...stamp, deviceId, xattrs }, now);
}
