import { CodekeepError } from '../base/errors.js';
import type { IndexDatabase } from './index-database.js';

export type FileKind = 'file' | 'symlink' | 'folder';

/**
 * Why a row was marked deleted: a watcher saw it go, it went while nobody watched, git switched to a state without it,
 * somebody asked for it, or a repair concluded it.
 */
export type Cause = 'seen' | 'unseen' | 'git' | 'asked' | 'repair';

/** A row of `files`. 64-bit numbers come as decimal text. */
export interface FileRow {
  id: number;
  path: string;
  kind: FileKind;
  deleted: 0 | 1;
  deletedAt: number | null;
  cause: Cause | null;
  /** Permission bits of the empty folder that is in the place of what was deleted; null: none is. */
  folderMode: number | null;
  ignored: 0 | 1;
  /** By git, at the last comparison. */
  tracked: 0 | 1;
  size: number;
  mtimeNs: string;
  ctimeNs: string;
  ino: string;
  deviceId: number | null;
  nlink: number;
  mode: number;
  uid: number | null;
  gid: number | null;
  /** JSON object of name → base64, or null. */
  xattrs: string | null;
  language: string | null;
  sha256: string | null;
  skipReason: string | null;
  /** Set where the project's derived database has what is made of the content. */
  extractor: string | null;
  /** Of its content there. */
  chunks: number;
  /** It was deleted or lost, and came back: a copy in versions from then is no sign of another deletion. */
  revived: 0 | 1;
  copyProblem: string | null;
  movedSha256: string | null;
  updatedAt: number;
}

/** By the index there is something at the path, if only an empty folder in the place of what was deleted. */
export function isThere({ deleted, folderMode }: Pick<FileRow, 'deleted' | 'folderMode'>): boolean {
  return deleted === 0 || folderMode !== null;
}

const columns = `id, path, kind, deleted, deleted_at AS deletedAt, cause, folder ->> 'mode' AS folderMode, ignored, tracked, size,
  CAST(mtime_ns AS TEXT) AS mtimeNs, CAST(ctime_ns AS TEXT) AS ctimeNs, CAST(ino AS TEXT) AS ino,
  device_id AS deviceId, nlink, mode, uid, gid, xattrs, language, sha256, skip_reason AS skipReason, extractor,
  chunks,  revived, copy_problem AS copyProblem, moved_sha256 AS movedSha256, updated_at AS updatedAt`;

export function fileByPath(index: IndexDatabase, projectId: string, path: string): FileRow | undefined {
  return index
    .sql<[string, string], FileRow>(`SELECT ${columns} FROM files WHERE project_id = ? AND path = ?`)
    .get(projectId, path);
}

/** @throws CodekeepError FILE_NOT_FOUND */
export function requireFile(index: IndexDatabase, projectId: string, path: string): FileRow {
  const row = fileByPath(index, projectId, path);
  if (row !== undefined) return row;
  throw new CodekeepError(
    'FILE_NOT_FOUND',
    `The index has no file ${JSON.stringify(path)} in this project.`,
    'Call list_files to see what is indexed; the path is relative to root_dir.',
  );
}

/** Its content is known to be damaged or missing. */
const lostClause = 'sha256 IN (SELECT sha256 FROM damaged_contents)';
/** A file that was too large or could not be read when it was there has no content, unless it was moved into versions. */
const keptClause = `(sha256 IS NOT NULL AND NOT ${lostClause} OR moved_sha256 IS NOT NULL OR kind = 'folder')`;

/** Whether to look at all rows, or only at those with or without the deleted mark. */
export type DeletedFilter = 'all' | 'active' | 'deleted';

const deletedClause: Record<DeletedFilter, string> = {
  all: '',
  active: 'AND deleted = 0 AND ignored = 0',
  deleted: 'AND deleted = 1',
};

export interface FilePage {
  filter: DeletedFilter;
  /** Only paths that start with this; '' for all. */
  prefix: string;
  /** Only paths behind this one; '' for the first page. */
  after: string;
  limit: number;
  /** Only those marked deleted then or later; milliseconds since 1970. */
  deletedAfter?: number | undefined;
  cause?: Cause | undefined;
  /** Only those of which there is something that could come back. */
  isKept?: boolean;
}

/** Rows in the order of their paths' bytes, a page at a time. */
export function pageOfFiles(index: IndexDatabase, projectId: string, page: FilePage): FileRow[] {
  const { filter, prefix, after, limit, deletedAfter = null, cause = null, isKept = false } = page;
  return index
    .sql<unknown[], FileRow>(
      `SELECT ${columns} FROM files
       WHERE project_id = @projectId AND path > @after AND path >= @prefix
         AND substr(path, 1, length(@prefix)) = @prefix ${deletedClause[filter]}
         AND (@deletedAfter IS NULL OR deleted_at >= @deletedAfter) AND (@cause IS NULL OR cause = @cause)
         ${isKept ? `AND ${keptClause}` : ''}
       ORDER BY path LIMIT @limit`,
    )
    .all({ projectId, after, prefix, limit, deletedAfter, cause });
}

/** Rows read at once. */
const pageRows = 1_000;

/** All active rows in the order of their paths. Between two of them rows may come and go, and be written. */
export function* activeRows(index: IndexDatabase, projectId: string): Generator<FileRow> {
  for (let after = ''; ;) {
    const page = pageOfFiles(index, projectId, { filter: 'active', prefix: '', after, limit: pageRows });
    yield* page;
    if (page.length < pageRows) return;
    after = page.at(-1)?.path ?? after;
  }
}

export type TrackedRow = Pick<FileRow, 'id' | 'path' | 'tracked'>;

/** Of all active rows whether git tracks them; a page is one JSON text, which takes a tenth of the time of whole rows. */
export function* trackedRows(index: IndexDatabase, projectId: string): Generator<TrackedRow> {
  for (let after = ''; ;) {
    const page = index
      .sql<[string, string, number], { rows: string }>(
        `SELECT json_group_array(json_array(id, path, tracked)) AS rows FROM (
           SELECT id, path, tracked FROM files
           WHERE project_id = ? AND path > ? AND deleted = 0 AND ignored = 0 ORDER BY path LIMIT ?)`,
      )
      .get(projectId, after, pageRows);
    const rows = JSON.parse(page?.rows ?? '[]') as [id: number, path: string, tracked: 0 | 1][];
    for (const [id, path, tracked] of rows) yield { id, path, tracked };
    if (rows.length < pageRows) return;
    after = rows.at(-1)?.[1] ?? after;
  }
}

export function fileById(index: IndexDatabase, id: number): FileRow | undefined {
  return index.sql<[number], FileRow>(`SELECT ${columns} FROM files WHERE id = ?`).get(id);
}

export function activeFilesBelow(index: IndexDatabase, projectId: string, folder: string): FileRow[] {
  return index
    .sql<[string, string, string], FileRow>(
      `SELECT ${columns} FROM files WHERE project_id = ? AND deleted = 0 AND ignored = 0
         AND path >= ? || '/' AND path < ? || '0'`,
    )
    .all(projectId, folder, folder);
}

/** A file without content was moved into versions; its hash there. */
export function setMoved(index: IndexDatabase, id: number, sha256: string): void {
  index.sql('UPDATE files SET moved_sha256 = ? WHERE id = ?').run(sha256, id);
}

/** It is not known any more on which file system its file was. */
export function forgetDevice(index: IndexDatabase, id: number): void {
  index.sql('UPDATE files SET device_id = NULL WHERE id = ?').run(id);
}

export function setCopyProblem(index: IndexDatabase, id: number, problem: string | null): void {
  index.sql('UPDATE files SET copy_problem = ? WHERE id = ?').run(problem, id);
}

/** Deleted rows whose content could not be put into versions. */
export function rowsWithoutCopy(index: IndexDatabase, projectId: string, limit: number): FileRow[] {
  return index
    .sql<[string, number], FileRow>(
      `SELECT ${columns} FROM files WHERE project_id = ? AND deleted = 1 AND copy_problem IS NOT NULL LIMIT ?`,
    )
    .all(projectId, limit);
}

/** Marks as git's doing what a watcher saw go while git was at work. */
export function blameGit(index: IndexDatabase, rows: readonly { id: number }[]): void {
  for (const { id } of rows) index.sql("UPDATE files SET cause = 'git' WHERE id = ? AND deleted = 1").run(id);
}

export interface DeletedRow {
  id: number;
  path: string;
  cause: Cause | null;
  deletedAt: number;
  tracked: 0 | 1;
  /** Whether there is anything of it that could come back. */
  isKept: 0 | 1;
}

/** What was marked deleted since then, the newest first. */
export function deletedSince(
  index: IndexDatabase,
  projectId: string,
  since: number,
  limit: number,
): DeletedRow[] {
  return index
    .sql<[string, number, number], DeletedRow>(
      `SELECT id, path, cause, deleted_at AS deletedAt, tracked, ${keptClause} AS isKept FROM files
       WHERE project_id = ? AND deleted = 1 AND deleted_at >= ? ORDER BY deleted_at DESC, path LIMIT ?`,
    )
    .all(projectId, since, limit);
}

/** What was marked deleted before then; milliseconds since 1970. */
export function* deletedBefore(index: IndexDatabase, projectId: string, before: number): Generator<FileRow> {
  yield* deletedBetween(index, projectId, 0, before, '');
}

/**
 * Files and symlinks that were marked deleted between these times, whose content the index has and of which a copy was put into
 * versions.
 */
export function* copiedBetween(
  index: IndexDatabase,
  projectId: string,
  from: number,
  before: number,
): Generator<FileRow> {
  yield* deletedBetween(
    index,
    projectId,
    from,
    before,
    "AND kind <> 'folder' AND sha256 IS NOT NULL AND moved_sha256 IS NULL AND copy_problem IS NULL",
  );
}

function* deletedBetween(
  index: IndexDatabase,
  projectId: string,
  from: number,
  before: number,
  clause: string,
): Generator<FileRow> {
  for (let after = { deletedAt: from as number | null, id: 0 }; ;) {
    const page = index
      .sql<[object], FileRow>(
        `SELECT ${columns} FROM files WHERE project_id = @projectId AND deleted = 1 AND deleted_at < @before
           AND (deleted_at, id) > (@deletedAt, @id) AND seen_at < @before ${clause}
         ORDER BY deleted_at, id LIMIT ${pageRows}`,
      )
      .all({ projectId, before, deletedAt: after.deletedAt, id: after.id });
    yield* page;
    const last = page.at(-1);
    if (last === undefined || page.length < pageRows) return;
    after = last;
  }
}

/** Whether the index has, or had, the very same file by another name, as far as that can be told of one that was there before. */
export function hasOtherName(index: IndexDatabase, id: number): boolean {
  return (
    index
      .sql<[object]>(
        `SELECT 1 FROM files f CROSS JOIN files o INDEXED BY files_by_content ON o.sha256 = f.sha256
         WHERE f.id = @id AND o.project_id = f.project_id AND o.ino = f.ino AND o.device_id IS f.device_id AND o.id <> f.id
         UNION ALL
         SELECT 1 FROM files f CROSS JOIN revisions r INDEXED BY revisions_by_content ON r.sha256 = f.sha256
         WHERE f.id = @id AND r.project_id = f.project_id AND r.mtime_ns = f.mtime_ns AND r.path <> f.path LIMIT 1`,
      )
      .get({ id }) !== undefined
  );
}

/** Files that have more names than one, which may lie where nobody watches. */
export function linkedFiles(index: IndexDatabase, projectId: string, limit: number): FileRow[] {
  return index
    .sql<[string, number], FileRow>(
      `SELECT ${columns} FROM files WHERE project_id = ? AND nlink > 1 AND deleted = 0 AND kind = 'file'
         AND ignored = 0 LIMIT ?`,
    )
    .all(projectId, limit);
}

/** What git tracks by now, and what it does not any more. */
export function setTracked(index: IndexDatabase, id: number, tracked: 0 | 1): void {
  index.sql('UPDATE files SET tracked = ? WHERE id = ?').run(tracked, id);
}

export interface FileCounts {
  total: number;
  active: number;
  deleted: number;
  ignored: number;
  notRestorable: number;
  withoutCopy: number;
  linked: number;
  /** Of active files. */
  chunks: number;
}

const noFiles: FileCounts = {
  total: 0,
  active: 0,
  deleted: 0,
  ignored: 0,
  notRestorable: 0,
  withoutCopy: 0,
  linked: 0,
  chunks: 0,
};

/** Costs as much as there are damaged contents, however large the project is. */
export function countFiles(index: IndexDatabase, projectId: string): FileCounts {
  const row = index
    .sql<[{ projectId: string }], FileCounts>(
      `SELECT total, active, deleted, ignored, without_copy AS withoutCopy, linked, chunks, without_content +
         (SELECT count(*) FROM damaged_contents d CROSS JOIN files f ON f.sha256 = d.sha256
          WHERE f.project_id = @projectId AND f.moved_sha256 IS NULL AND f.kind <> 'folder') AS notRestorable
       FROM file_counts WHERE project_id = @projectId`,
    )
    .get({ projectId });
  return row ?? noFiles;
}
