import type { IndexDatabase } from './index-database.js';

/** How far the pass over all contents is; times in milliseconds since 1970. */
export interface ScrubState {
  /** Contents up to this hash were looked at. */
  after: string;
  checked: number;
  mended: number;
  begunAt: number;
  /** When the last whole pass ended. */
  endedAt: number | null;
}

export function scrubState(index: IndexDatabase, now: number): ScrubState {
  const row = index
    .sql<[], ScrubState>(
      'SELECT after, checked, mended, begun_at AS begunAt, ended_at AS endedAt FROM scrub WHERE id = 1',
    )
    .get();
  return row ?? { after: '', checked: 0, mended: 0, begunAt: now, endedAt: null };
}

export function setScrubState(index: IndexDatabase, state: ScrubState): void {
  index
    .sql(
      `INSERT INTO scrub (id, after, checked, mended, begun_at, ended_at)
       VALUES (1, @after, @checked, @mended, @begunAt, @endedAt)
       ON CONFLICT DO UPDATE SET after = excluded.after, checked = excluded.checked, mended = excluded.mended,
         begun_at = excluded.begun_at, ended_at = excluded.ended_at`,
    )
    .run(state);
}

export interface DamagedContent {
  sha256: string;
  problem: string;
}

export function noteDamaged(index: IndexDatabase, { sha256, problem }: DamagedContent, now: number): void {
  index
    .sql('INSERT INTO damaged_contents (sha256, problem, found_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING')
    .run(sha256, problem, now);
}

export function forgetDamaged(index: IndexDatabase, hash: string): void {
  index.sql('DELETE FROM damaged_contents WHERE sha256 = ?').run(hash);
}

export function damagedContents(index: IndexDatabase, limit: number): DamagedContent[] {
  return index
    .sql<[number], DamagedContent>('SELECT sha256, problem FROM damaged_contents ORDER BY found_at LIMIT ?')
    .all(limit);
}

export function countContents(index: IndexDatabase): number {
  return index.sql<[], { count: number }>('SELECT count(*) AS count FROM contents').get()?.count ?? 0;
}

/** The paths that have a content, and how large it is. */
export function placesOf(
  index: IndexDatabase,
  hash: string,
): { projectId: string; path: string; size: number }[] {
  return index
    .sql<[string], { projectId: string; path: string; size: number }>(
      'SELECT project_id AS projectId, path, size FROM files WHERE sha256 = ?',
    )
    .all(hash);
}

/** What is there of it is parsed again by the next comparison: it may be kept as one token only. */
export function reparse(index: IndexDatabase, hash: string): void {
  index.sql("UPDATE files SET extractor = NULL WHERE sha256 = ? AND kind = 'file' AND deleted = 0").run(hash);
}
