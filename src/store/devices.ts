import type { IndexDatabase } from './index-database.js';

/** A file system that rows of a project lie on. */
export interface Device {
  id: number;
  /** See base/mounts.ts; it outlives device numbers. */
  identity: string;
  /** Where it was seen, relative to root_dir; '' for the root. */
  folder: string;
}

export function devicesOf(index: IndexDatabase, projectId: string): Device[] {
  return index
    .sql<[string], Device>('SELECT id, identity, folder FROM devices WHERE project_id = ?')
    .all(projectId);
}

/** The id of a file system, which is written down where it is new; call it inside a transaction. */
export function deviceIdOf(
  index: IndexDatabase,
  projectId: string,
  { identity, folder }: Pick<Device, 'identity' | 'folder'>,
): number {
  const row = index
    .sql<[string, string, string], { id: number }>(
      `INSERT INTO devices (project_id, identity, folder) VALUES (?, ?, ?)
       ON CONFLICT (project_id, identity) DO UPDATE SET folder = excluded.folder RETURNING id`,
    )
    .get(projectId, identity, folder);
  if (row === undefined) throw new Error('an upsert gave no row');
  return row.id;
}

/** What lay on the file system that the root was on lies on this one by now. */
export function rehouse(
  index: IndexDatabase,
  projectId: string,
  before: string | null,
  deviceId: number,
): void {
  index
    .sql(
      `UPDATE files SET device_id = @deviceId WHERE project_id = @projectId AND device_id IN
         (SELECT id FROM devices WHERE project_id = @projectId AND identity = @before AND id <> @deviceId)`,
    )
    .run({ projectId, before, deviceId });
}
