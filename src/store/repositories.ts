import type { IndexDatabase } from './index-database.js';

/** Where git's HEAD was when somebody looked. */
export interface HeadMark {
  /** Its commit, or the name of its branch while that has none; null: not known. */
  head: string | null;
  /** The newest entry of HEAD's log, see git-left.ts; null: none. */
  headLog: string | null;
}

/**
 * Of a project's repositories at the last comparison, by the folder that they begin with, relative to the root; '' for
 * the one that the root lies in.
 */
export type HeadMarks = ReadonlyMap<string, HeadMark>;

export function headMarks(index: IndexDatabase, projectId: string): HeadMarks {
  const rows = index
    .sql<[string], HeadMark & { folder: string }>(
      'SELECT folder, head, head_log AS headLog FROM repositories WHERE project_id = ?',
    )
    .all(projectId);
  return new Map(rows.map(({ folder, ...mark }) => [folder, mark]));
}

/** Takes the place of what is known; call it inside a transaction. */
export function replaceHeads(index: IndexDatabase, projectId: string, marks: HeadMarks): void {
  index.sql('DELETE FROM repositories WHERE project_id = ?').run(projectId);
  for (const [folder, { head, headLog }] of marks)
    index
      .sql('INSERT INTO repositories (project_id, folder, head, head_log) VALUES (?, ?, ?, ?)')
      .run(projectId, folder, head, headLog);
}
