import type { IndexDatabase } from './index-database.js';

/** A moment of a project that somebody wants to come back to. */
export interface Checkpoint {
  checkpointId: string;
  label: string | null;
  /** Milliseconds since 1970. */
  at: number;
}

const columns = 'checkpoint_id AS checkpointId, label, at';

/** Now, or the beginning of the newest state, which is later where the clock was set back; milliseconds since 1970. */
export function momentNow(index: IndexDatabase, projectId: string, now: number): number {
  const newest = index
    .sql<[object], number | null>(
      `SELECT max(at) FROM (SELECT max(seen_at) AS at FROM files WHERE project_id = @projectId AND came_by <> 'found'
         UNION ALL SELECT max(seen_at) FROM revisions WHERE project_id = @projectId)`,
    )
    .pluck()
    .get({ projectId });
  return Math.max(now, newest ?? 0);
}

/** @param checkpointId c and eight hex digits; one that is taken is refused by the database */
export function insertCheckpoint(
  index: IndexDatabase,
  projectId: string,
  { checkpointId, label, at }: Checkpoint,
): void {
  index
    .sql('INSERT INTO checkpoints (checkpoint_id, project_id, label, at) VALUES (?, ?, ?, ?)')
    .run(checkpointId, projectId, label, at);
}

/** The newest first, of those that come behind `after` in that order. */
export function listCheckpoints(
  index: IndexDatabase,
  projectId: string,
  limit: number,
  after: Pick<Checkpoint, 'at' | 'checkpointId'> | null = null,
): Checkpoint[] {
  return index
    .sql<[object], Checkpoint>(
      `SELECT ${columns} FROM checkpoints WHERE project_id = @projectId
         AND (@at IS NULL OR at < @at OR (at = @at AND checkpoint_id > @id))
       ORDER BY at DESC, checkpoint_id LIMIT @limit`,
    )
    .all({ projectId, limit, at: after?.at ?? null, id: after?.checkpointId ?? null });
}

/** Of all checkpoints of a project, in order. */
export function checkpointMoments(index: IndexDatabase, projectId: string): number[] {
  return index
    .sql<[string], number>('SELECT at FROM checkpoints WHERE project_id = ? ORDER BY at')
    .pluck()
    .all(projectId);
}

export function isCheckpoint(index: IndexDatabase, projectId: string, at: number): boolean {
  return (
    index.sql('SELECT 1 FROM checkpoints WHERE project_id = ? AND at = ?').get(projectId, at) !== undefined
  );
}

/** By its id, or the newest with that label. */
export function findCheckpoint(
  index: IndexDatabase,
  projectId: string,
  name: string,
): Checkpoint | undefined {
  return index
    .sql<[object], Checkpoint>(
      `SELECT ${columns} FROM checkpoints WHERE project_id = @projectId AND (checkpoint_id = @name OR label = @name)
       ORDER BY checkpoint_id = @name DESC, at DESC LIMIT 1`,
    )
    .get({ projectId, name });
}

/** Whether there was one. */
export function deleteCheckpoint(index: IndexDatabase, projectId: string, checkpointId: string): boolean {
  return (
    index
      .sql('DELETE FROM checkpoints WHERE project_id = ? AND checkpoint_id = ?')
      .run(projectId, checkpointId).changes > 0
  );
}
