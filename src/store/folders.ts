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

/** Of those given the ones that are not known so, in the order given. */
export function changedFolders(
  index: IndexDatabase,
  projectId: string,
  folders: readonly FolderRow[],
): FolderRow[] {
  const known = new Map(
    index
      .sql<[string], FolderRow>('SELECT path, mode, uid, gid FROM folders WHERE project_id = ?')
      .all(projectId)
      .map((row) => [row.path, row]),
  );
  return folders.filter(({ path, mode, uid, gid }) => {
    const row = known.get(path);
    return row === undefined || row.mode !== mode || row.uid !== uid || row.gid !== gid;
  });
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
