import { randomUUID } from 'node:crypto';
import { lstatSync, unlinkSync } from 'node:fs';
import { CodekeepError, errnoOf } from '../base/errors.js';
import { FilePlacer } from '../base/file-placer.js';
import { assertRelativePath } from '../base/paths.js';
import { PinnedFolder } from '../base/pinned-folder.js';
import { TreePresence } from '../base/presence.js';
import { clearDeleted, type FileRow, pageOfFiles, requireFile, restampFile } from '../store/files.js';
import type { IndexDatabase } from '../store/index-database.js';
import type { Project } from '../store/projects.js';
import { imageOf } from './image.js';
import { inspectRoot, rootUnavailable } from './project-root.js';
import { stampOf } from '../base/stamp.js';

/** One call restores at most so many files: they are rendered one by one, but all or none are placed. */
const restoreFilesMax = 10_000;

export interface RestoreChoice {
  paths?: readonly string[] | undefined;
  pathPrefix?: string | undefined;
  /** Milliseconds since 1970. */
  deletedAfter?: number | undefined;
}

/** The rows that a restore would bring back, in the order of their paths. */
export function chooseDeleted(index: IndexDatabase, project: Project, choice: RestoreChoice): FileRow[] {
  if (choice.paths !== undefined) {
    return choice.paths.map((path) => {
      assertRelativePath(path);
      const row = requireFile(index, project.id, path);
      if (row.deleted === 1) return row;
      throw new CodekeepError(
        'FILE_NOT_FOUND',
        `${path} is not marked deleted.`,
        'Call list_deleted_files to see what is.',
      );
    });
  }
  const page = {
    filter: 'deleted',
    prefix: choice.pathPrefix ?? '',
    after: '',
    limit: restoreFilesMax + 1,
  } as const;
  const after = choice.deletedAfter ?? Number.NEGATIVE_INFINITY;
  const rows = pageOfFiles(index, project.id, page).filter((row) => (row.deletedAt ?? 0) >= after);
  if (rows.length <= restoreFilesMax) return rows;
  throw new CodekeepError(
    'LIMIT_EXCEEDED',
    `More than ${restoreFilesMax} files match.`,
    'Restore them folder by folder with path_prefix.',
  );
}

/** Everything that would make the restore fail, found out before the first byte is written. */
export function checkRestorable(index: IndexDatabase, project: Project, rows: readonly FileRow[]): void {
  const root = inspectRoot(project);
  if (root.kind === 'unavailable') throw rootUnavailable(root.reason);
  const observed = new TreePresence(project.rootDir);
  for (const row of rows) {
    assertRelativePath(row.path);
    const presence = observed.at(row.path);
    if (presence !== 'absent') throw refusal(row.path, presence);
    const image = imageOf(index, row);
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

function refusal(path: string, presence: string): CodekeepError {
  if (presence === 'blocked') {
    return new CodekeepError(
      'PATH_OUTSIDE_ROOT',
      `A parent of ${path} is a symlink or a file.`,
      'Move it out of the way; nothing was restored.',
      { path },
    );
  }
  if (presence.startsWith('unknown:'))
    return rootUnavailable(`${path}: ${presence.slice('unknown:'.length)}`);
  return new CodekeepError(
    'TARGET_FILE_EXISTS',
    `There is already something at "${path}" (${presence}).`,
    'Move it away or leave it out; nothing was restored.',
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
  const placer = new FilePlacer(await PinnedFolder.open(project.rootDir));
  const placed: { path: string; ino: string }[] = [];
  try {
    for (const row of rows) {
      const image = imageOf(index, row);
      if ('problem' in image) throw new Error(`${row.path} no longer renders: ${image.problem}`);
      await placer.place(row.path, image, randomUUID());
      placed.push({ path: row.path, ino: stampOf(`${project.rootDir}/${row.path}`)?.ino ?? '' });
    }
    await index.write(() => {
      for (const row of rows) markRestored(index, project, row, now());
    });
  } catch (error) {
    for (const { path, ino } of placed) takeBack(`${project.rootDir}/${path}`, ino);
    throw error;
  } finally {
    await placer.finish();
  }
}

export function markRestored(
  index: IndexDatabase,
  project: Pick<Project, 'rootDir'>,
  row: FileRow,
  now: number,
): void {
  clearDeleted(index, row.id, now);
  const stamp = stampOf(`${project.rootDir}/${row.path}`);
  if (stamp !== null) restampFile(index, row.id, { ...stamp, deviceId: null }, now);
}

/** Removes a file that was just placed, as long as it is still the one that was placed. */
export function takeBack(absolute: string, ino: string): void {
  try {
    if (String(lstatSync(absolute, { bigint: true }).ino) === ino) unlinkSync(absolute);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
}
