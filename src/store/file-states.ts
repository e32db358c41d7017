import { splitPath } from '../base/paths.js';
import type { FileStamp } from '../base/stamp.js';
import type { Cause, FileKind, FileRow } from './files.js';
import type { IndexDatabase } from './index-database.js';
import {
  type Beginning,
  type CameBy,
  dropUnused,
  endState,
  type EndingState,
  firstState,
  presentSql,
  renamedWithinMs,
  stateAtPath,
  stateOf,
} from './revisions.js';

/** All that changes what a path is. Whoever does it ends the state that it was in: nothing is overwritten without a revision. */

export interface FileUpsert extends FileStamp {
  path: string;
  kind: FileKind;
  deviceId: number | null;
  tracked: 0 | 1;
  xattrs: string | null;
  language: string | null;
  sha256: string | null;
  skipReason: string | null;
  /** Set where the project's derived database has what is made of the content. */
  extractor: string | null;
  /** Of that. */
  chunks: number;
}

/** How a file came to be there. */
export interface Coming {
  by: CameBy;
  /** What a renamed file was called before. */
  fromPath: string | null;
}

const edited: Coming = { by: 'edit', fromPath: null };

/**
 * Writes what a file is now: present, neither deleted nor ignored; gives its id. Of an empty folder in the place of what was
 * something else the row says that, and otherwise what was there.
 * @param comingOf asked where it became something else; whether nothing was there before
 */
export function upsertFile(
  index: IndexDatabase,
  projectId: string,
  file: FileUpsert,
  now: number,
  comingOf: (isNew: boolean) => Coming = () => edited,
): number {
  const before = stateAtPath(index, projectId, file.path);
  const isSame = before !== undefined && isSameState(before, file);
  const { by, fromPath } = isSame ? edited : comingOf(before?.deleted !== 0);
  const begun =
    before === undefined
      ? firstState(index, projectId, file.path, now)
      : isSame
        ? { seenAt: now, burstAt: now, dropped: null }
        : endState(index, before, by, now);
  if (before !== undefined && file.kind === 'folder' && (before.isInPlace === 1 || before.kind !== 'folder'))
    return putInPlace(index, before, file, isSame ? null : { ...begun, by }, now);
  const row = index
    .sql<[Record<string, unknown>], { id: number }>(
      `INSERT INTO files (project_id, path, kind, tracked, size, mtime_ns, ctime_ns, ino, device_id, nlink, mode, uid,
         gid, xattrs, language, sha256, skip_reason, extractor, chunks, updated_at, seen_at, burst_at, came_by, from_path)
       VALUES (@projectId, @path, @kind, @tracked, @size, CAST(@mtimeNs AS INTEGER), CAST(@ctimeNs AS INTEGER),
         CAST(@ino AS INTEGER), @deviceId, @nlink, @mode, @uid, @gid, @xattrs, @language, @sha256, @skipReason,
         @extractor, @chunks, @now, @seenAt, @burstAt, @by, @fromPath)
       ON CONFLICT (project_id, path) DO UPDATE SET kind = excluded.kind, deleted = 0, deleted_at = NULL, cause = NULL,
         ignored = 0, tracked = excluded.tracked, size = excluded.size, mtime_ns = excluded.mtime_ns,
         ctime_ns = excluded.ctime_ns, ino = excluded.ino, device_id = excluded.device_id, nlink = excluded.nlink,
         mode = excluded.mode, uid = excluded.uid, gid = excluded.gid, xattrs = excluded.xattrs,
         language = excluded.language, sha256 = excluded.sha256, skip_reason = excluded.skip_reason,
         extractor = excluded.extractor, chunks = excluded.chunks, copy_problem = NULL, moved_sha256 = NULL, folder = NULL,
         revived = max(files.revived, files.deleted), updated_at = excluded.updated_at,
         seen_at = iif(@isSame, files.seen_at, excluded.seen_at), burst_at = iif(@isSame, files.burst_at, excluded.burst_at),
         came_by = iif(@isSame, files.came_by, excluded.came_by), from_path = iif(@isSame, files.from_path, excluded.from_path)
       RETURNING id`,
    )
    .get({ projectId, now, ...file, ...begun, by, fromPath, isSame: isSame ? 1 : 0 });
  if (row === undefined) throw new Error('an upsert gave no row');
  dropUnused(index, begun.dropped);
  return row.id;
}

/** What is not marked deleted yet is so now. */
function putInPlace(
  index: IndexDatabase,
  { id, deleted }: EndingState,
  { size, mode, mtimeNs, uid, gid }: FileUpsert,
  begun: (Beginning & { by: CameBy }) | null,
  now: number,
): number {
  if (begun !== null) begin(index, id, begun, begun.by);
  if (deleted === 0) setDeleted(index, id, 'asked', now, 'it was replaced, and has no copy yet');
  const folder = JSON.stringify({ size, mode, mtimeNs, uid, gid });
  index.sql('UPDATE files SET folder = ?, updated_at = ? WHERE id = ?').run(folder, now, id);
  return id;
}

/** Of what was deleted nothing is known any more: the empty folder in its place has the row. False where none is there. */
export function becomeFolder(index: IndexDatabase, id: number): boolean {
  const { size, mode, mtimeNs, uid, gid } = presentSql;
  const { changes } = index
    .sql(
      `UPDATE files SET kind = 'folder', deleted = 0, deleted_at = NULL, cause = NULL, folder = NULL, sha256 = NULL,
         moved_sha256 = NULL, copy_problem = NULL, skip_reason = NULL, language = NULL, extractor = NULL, chunks = 0, xattrs = NULL,
         size = ${size}, mode = ${mode}, mtime_ns = ${mtimeNs}, uid = ${uid}, gid = ${gid} WHERE id = ? AND folder IS NOT NULL`,
    )
    .run(id);
  return changes > 0;
}

/** Other paths that are, or just were, names of the same file with the same content; a few. */
export function pathsOfSameFile(
  index: IndexDatabase,
  projectId: string,
  { path, sha256, kind, ino, deviceId }: FileUpsert,
  now: number,
): string[] {
  if (sha256 === null) return [];
  return index
    .sql<[Record<string, unknown>], string>(
      `SELECT path FROM files INDEXED BY files_by_content WHERE sha256 = @sha256 AND project_id = @projectId
         AND ino = CAST(@ino AS INTEGER) AND device_id IS @deviceId AND kind = @kind AND path <> @path
         AND (deleted = 0 OR deleted_at > @since) ORDER BY path LIMIT 5`,
    )
    .pluck()
    .all({ projectId, path, sha256, kind, ino, deviceId, since: now - renamedWithinMs });
}

/** What has no content is told by its size. */
function isSameState(before: EndingState, file: FileUpsert): boolean {
  const isThere = before.isInPlace === 1 || (before.deleted === 0 && before.ignored === 0);
  if (!isThere || before.kind !== file.kind || before.mode !== file.mode) return false;
  if (file.kind === 'folder') return true;
  return before.sha256 === file.sha256 && (file.sha256 !== null || before.size === file.size);
}

/** The file holds the same bytes as before, but lstat says something else now. */
export function restampFile(
  index: IndexDatabase,
  id: number,
  stamp: FileStamp & Pick<FileRow, 'deviceId' | 'xattrs'>,
  now: number,
): void {
  // Another mode is another state.
  change(index, id, ({ deleted, mode }) => deleted === 0 && mode !== stamp.mode, 'edit', now);
  index
    .sql(
      `UPDATE files SET size = @size, mtime_ns = CAST(@mtimeNs AS INTEGER), ctime_ns = CAST(@ctimeNs AS INTEGER),
         ino = CAST(@ino AS INTEGER), device_id = @deviceId, nlink = @nlink, mode = @mode, uid = @uid, gid = @gid,
         xattrs = @xattrs, updated_at = @now WHERE id = @id`,
    )
    .run({ ...stamp, id, now });
}

/** The row says already what it is from now on, or will within the transaction. */
function begin(index: IndexDatabase, id: number, { seenAt, burstAt }: Beginning, by: CameBy): void {
  index
    .sql('UPDATE files SET seen_at = ?, burst_at = ?, came_by = ?, from_path = NULL WHERE id = ?')
    .run(seenAt, burstAt, by, id);
}

/** Ends the state that a row is in where `isOver` says so; call it before what the row says is changed. */
function change(
  index: IndexDatabase,
  id: number,
  isOver: (before: EndingState) => boolean,
  by: CameBy,
  now: number,
): void {
  const before = stateOf(index, id);
  if (before !== undefined && isOver(before)) begin(index, id, endState(index, before, by, now), by);
}

/**
 * Of a row that has an empty folder in the place of what was deleted only that goes.
 * @param copyProblem why its content could not be put into versions; null where it is there
 */
export function markDeleted(
  index: IndexDatabase,
  id: number,
  cause: Cause,
  now: number,
  copyProblem: string | null = null,
  by: 'deletion' | 'rewind' = 'deletion',
): void {
  const before = stateOf(index, id);
  if (before?.isInPlace === 1) return outgrow(index, before, now, by);
  change(index, id, ({ deleted }) => deleted === 0, by, now);
  setDeleted(index, id, cause, now, copyProblem);
}

function setDeleted(
  index: IndexDatabase,
  id: number,
  cause: Cause,
  now: number,
  copyProblem: string | null,
): void {
  index
    .sql(
      `UPDATE files SET deleted = 1, deleted_at = @now, cause = @cause, ignored = 0, revived = 0,
         copy_problem = @copyProblem, updated_at = @now WHERE id = @id`,
    )
    .run({ id, cause, copyProblem, now });
}

/** Its file is there (again). What was made of its content may be gone by now, which is for the next comparison. */
export function clearDeleted(index: IndexDatabase, id: number, by: CameBy, now: number): void {
  change(index, id, ({ deleted }) => deleted === 1, by, now);
  index
    .sql(
      `UPDATE files SET deleted = 0, deleted_at = NULL, cause = NULL, copy_problem = NULL, revived = 1,
         folder = NULL, extractor = NULL, updated_at = ? WHERE id = ?`,
    )
    .run(now, id);
}

/** What says of a row that its file is gone, and why. */
export type Marks = Pick<FileRow, 'deleted' | 'deletedAt' | 'cause' | 'revived' | 'copyProblem'>;

export function marksOf({ deleted, deletedAt, cause, revived, copyProblem }: FileRow): Marks {
  return { deleted, deletedAt, cause, revived, copyProblem };
}

export function setMarks(index: IndexDatabase, id: number, marks: Marks, now: number): void {
  const by = marks.deleted === 1 ? 'deletion' : 'repair';
  change(index, id, ({ deleted }) => deleted !== marks.deleted, by, now);
  index
    .sql(
      `UPDATE files SET deleted = @deleted, deleted_at = @deletedAt, cause = @cause, revived = @revived,
         copy_problem = @copyProblem, updated_at = @now, folder = iif(@deleted = 1, folder, NULL),
         extractor = CASE WHEN @deleted = 0 THEN NULL ELSE extractor END WHERE id = @id`,
    )
    .run({ ...marks, id, now });
}

/** Rules ignore it by now: it is not searched, and what it was stays restorable. */
export function markIgnored(index: IndexDatabase, id: number, now: number): void {
  change(index, id, ({ deleted, ignored }) => deleted === 0 && ignored === 0, 'rules', now);
  index.sql('UPDATE files SET ignored = 1, updated_at = ? WHERE id = ?').run(now, id);
}

/** Something is at this path, so that the folders it is in are no empty ones, and are there even where they were marked. */
export function forgetEmptyFolders(index: IndexDatabase, projectId: string, path: string, now: number): void {
  for (let { folder } = splitPath(path); folder !== ''; folder = splitPath(folder).folder) {
    const row = stateAtPath(index, projectId, folder);
    if (row?.kind === 'folder') outgrow(index, row, now);
  }
}

/** Forgets a folder that is no entry of its own any more, because something is in it: it was one until now. */
export function forgetFolder(index: IndexDatabase, id: number, now: number): void {
  const before = stateOf(index, id);
  if (before !== undefined) outgrow(index, before, now);
}

/** In whose place it was, is deleted as before. */
function outgrow(
  index: IndexDatabase,
  before: EndingState,
  now: number,
  by: 'deletion' | 'rewind' = 'deletion',
): void {
  const begun = endState(index, before, by, now);
  if (before.isInPlace === 0) return void index.sql('DELETE FROM files WHERE id = ?').run(before.id);
  begin(index, before.id, begun, by);
  index.sql('UPDATE files SET folder = NULL, updated_at = ? WHERE id = ?').run(now, before.id);
}
