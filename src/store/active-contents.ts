import type { FileRow } from './files.js';
import type { IndexDatabase } from './index-database.js';

/** Which active files have which content: that is what search asks of the index. */

const isActiveFile = "deleted = 0 AND ignored = 0 AND kind = 'file'";

/** Paths of active files that have a content in a language, in order. */
export function pathsWith(
  index: IndexDatabase,
  projectId: string,
  { sha256, language }: Pick<FileRow, 'sha256' | 'language'>,
  limit: number,
): string[] {
  return index
    .sql<[string | null, string, string | null, number], string>(
      `SELECT path FROM files INDEXED BY files_by_content WHERE sha256 = ? AND project_id = ? AND language IS ?
         AND ${isActiveFile} ORDER BY path LIMIT ?`,
    )
    .pluck()
    .all(sha256, projectId, language, limit);
}

/** Whether an active file has a content in a language. */
export function hasPathWith(
  index: IndexDatabase,
  projectId: string,
  content: Pick<FileRow, 'sha256' | 'language'>,
): boolean {
  return pathsWith(index, projectId, content, 1).length > 0;
}

export function isActive(index: IndexDatabase, projectId: string, path: string): boolean {
  const row = index
    .sql<[string, string], { id: number }>(
      'SELECT id FROM files WHERE project_id = ? AND path = ? AND deleted = 0 AND ignored = 0',
    )
    .get(projectId, path);
  return row !== undefined;
}

/** What active files are of: contents, each with its language. */
export type ActiveContent = Pick<FileRow, 'path' | 'language'> & { sha256: string };

/** Of active files whose paths start with `prefix`, in the order of their paths, behind `after`. */
export function activeContents(
  index: IndexDatabase,
  projectId: string,
  { prefix, after, limit }: { prefix: string; after: string; limit: number },
): ActiveContent[] {
  return index
    .sql<[Record<string, unknown>], ActiveContent>(
      `SELECT path, sha256, language FROM files
       WHERE project_id = @projectId AND path > @after AND path >= @prefix AND path < @end
         AND ${isActiveFile} AND sha256 IS NOT NULL ORDER BY path LIMIT @limit`,
    )
    .all({ projectId, prefix, end: endOfPrefix(prefix), after, limit });
}

/** What comes right behind all paths that start with it: texts are compared as bytes. */
function endOfPrefix(prefix: string): Buffer | string {
  // Any text comes before any blob.
  if (prefix === '') return Buffer.alloc(0);
  return `${prefix}\u{10FFFF}`;
}

/** The content of the active file at a path; null where there is none. */
export function activeContentAt(index: IndexDatabase, projectId: string, path: string): ActiveContent | null {
  const row = index
    .sql<[string, string], ActiveContent>(
      `SELECT path, sha256, language FROM files WHERE project_id = ? AND path = ?
         AND ${isActiveFile} AND sha256 IS NOT NULL`,
    )
    .get(projectId, path);
  return row ?? null;
}
