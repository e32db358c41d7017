import { Slicer } from '../base/waiting.js';
import type { IndexDatabase } from './index-database.js';

/** How a folder is made again: permission bits and owner. */
export interface FolderAttributes {
  mode: number;
  uid: number;
  gid: number;
}

export function folderAttributes(
  index: IndexDatabase,
  projectId: string,
  path: string,
): FolderAttributes | null {
  return (
    index
      .sql<[string, string], FolderAttributes>(
        'SELECT mode, uid, gid FROM folders WHERE project_id = ? AND path = ?',
      )
      .get(projectId, path) ?? null
  );
}

export type FolderRow = FolderAttributes & { path: string };

/** Paths of all folders that a project has or had, in the order of their bytes; '' is the root. */
export function knownFolders(index: IndexDatabase, projectId: string): string[] {
  // As one text: rows one by one take several times as long.
  const row = index
    .sql<[string], { paths: string }>(
      `SELECT json_group_array(path) AS paths
       FROM (SELECT path FROM folders WHERE project_id = ? ORDER BY path)`,
    )
    .get(projectId);
  return JSON.parse(row?.paths ?? '[]') as string[];
}

/**
 * Of those given the ones that are not known so, in the order given. Asked one by one and in slices: a project may have 100,000.
 * @throws the signal's reason
 */
export async function changedFolders(
  index: IndexDatabase,
  projectId: string,
  folders: readonly FolderRow[],
  signal: AbortSignal,
): Promise<FolderRow[]> {
  const slicer = new Slicer(signal);
  const known = index.sql<[string, string, number, number, number], { found: 1 }>(
    'SELECT 1 AS found FROM folders WHERE project_id = ? AND path = ? AND mode = ? AND uid = ? AND gid = ?',
  );
  const changed: FolderRow[] = [];
  for (const folder of folders) {
    const { path, mode, uid, gid } = folder;
    if (known.get(projectId, path, mode, uid, gid) === undefined) changed.push(folder);
    if (slicer.isDue()) await slicer.breathe();
  }
  return changed;
}

/** A folder that is gone keeps its row: what was in it may come back. Call it inside a transaction. */
export function putFolders(index: IndexDatabase, projectId: string, folders: readonly FolderRow[]): void {
  for (const { path, mode, uid, gid } of folders) {
    index
      .sql(
        `INSERT INTO folders (project_id, path, mode, uid, gid) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET mode = excluded.mode, uid = excluded.uid, gid = excluded.gid`,
      )
      .run(projectId, path, mode, uid, gid);
  }
}
