import type { IndexDatabase } from './index-database.js';

/** Something in a project that could not be brought back, and why. */
export interface Unprotected {
  path: string;
  reason: string;
}

/** Writes what the last comparison found, in one transaction of the caller's; what is the same stays as it is. */
export function replaceUnprotected(
  index: IndexDatabase,
  projectId: string,
  entries: readonly Unprotected[],
): void {
  const known = new Map(
    index
      .sql<[string], Unprotected>('SELECT path, reason FROM unprotected WHERE project_id = ?')
      .all(projectId)
      .map(({ path, reason }) => [path, reason]),
  );
  for (const { path, reason } of entries) {
    if (known.get(path) !== reason)
      index
        .sql(
          `INSERT INTO unprotected (project_id, path, reason) VALUES (?, ?, ?)
           ON CONFLICT DO UPDATE SET reason = excluded.reason`,
        )
        .run(projectId, path, reason);
    known.delete(path);
  }
  for (const path of known.keys())
    index.sql('DELETE FROM unprotected WHERE project_id = ? AND path = ?').run(projectId, path);
}

/** Whether the last comparison listed it. */
export function isUnprotected(index: IndexDatabase, projectId: string, path: string): boolean {
  const found = index.sql('SELECT 1 FROM unprotected WHERE project_id = ? AND path = ?').get(projectId, path);
  return found !== undefined;
}

/** Also files that are tracked without content, or whose content is damaged; in the order of paths, behind `after`. */
export function unprotectedAfter(
  index: IndexDatabase,
  projectId: string,
  after: string,
  limit: number,
): Unprotected[] {
  return index
    .sql<[Record<string, unknown>], Unprotected>(
      `SELECT path, reason FROM unprotected WHERE project_id = @projectId AND path > @after
       UNION ALL
       SELECT path, coalesce(skip_reason, 'its content was never stored') FROM files
       WHERE project_id = @projectId AND path > @after AND sha256 IS NULL AND deleted = 0
       UNION ALL
       SELECT path, problem FROM files JOIN damaged_contents USING (sha256)
       WHERE project_id = @projectId AND path > @after
       ORDER BY path LIMIT @limit`,
    )
    .all({ projectId, after, limit });
}
