import type { FileKind } from './files.js';
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

/** What is known of contents that cannot be given out any more, whoever found it; of those that left meanwhile nothing. */
export function noteDamaged(index: IndexDatabase, { sha256, problem }: DamagedContent, now: number): void {
  if (!isWanted(index, sha256)) return;
  index
    .sql('INSERT INTO damaged_contents (sha256, problem, found_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING')
    .run(sha256, problem, now);
}

/** Whether there is such a content, or should be: one that is neither has left with the last state that had it. */
export function isWanted(index: IndexDatabase, hash: string): boolean {
  return ['contents', 'files', 'revisions'].some(
    (table) => index.sql(`SELECT 1 FROM ${table} WHERE sha256 = ? LIMIT 1`).get(hash) !== undefined,
  );
}

/** All of them were looked at, and these are the damaged ones. */
export function replaceDamaged(index: IndexDatabase, found: readonly DamagedContent[], now: number): void {
  index.sql('DELETE FROM damaged_contents').run();
  for (const content of found) noteDamaged(index, content, now);
}

export function forgetDamaged(index: IndexDatabase, hash: string): void {
  index.sql('DELETE FROM damaged_contents WHERE sha256 = ?').run(hash);
}

export function isKnownDamaged(index: IndexDatabase, hash: string): boolean {
  return index.sql('SELECT 1 FROM damaged_contents WHERE sha256 = ?').get(hash) !== undefined;
}

/** Damaged or missing ones that are known. */
export function countDamaged(index: IndexDatabase): number {
  const row = index.sql<[], { count: number }>('SELECT count(*) AS count FROM damaged_contents').get();
  return row?.count ?? 0;
}

const isMissing =
  'sha256 IS NOT NULL AND NOT EXISTS (SELECT 1 FROM contents c WHERE c.sha256 = files.sha256)';

/** Contents that files have, and that are not in the index. */
export function missingContents(index: IndexDatabase, limit: number): string[] {
  return index
    .sql<[number], { sha256: string }>(`SELECT DISTINCT sha256 FROM files WHERE ${isMissing} LIMIT ?`)
    .all(limit)
    .map(({ sha256 }) => sha256);
}

export function damagedContents(index: IndexDatabase, limit: number): DamagedContent[] {
  return index
    .sql<[number], DamagedContent>('SELECT sha256, problem FROM damaged_contents ORDER BY found_at LIMIT ?')
    .all(limit);
}

export function countContents(index: IndexDatabase): number {
  return index.sql<[], { count: number }>('SELECT count(*) AS count FROM contents').get()?.count ?? 0;
}

const placeColumns = 'project_id AS projectId, path, size';

/** A path that has a content, and how large it is. */
export interface Place {
  projectId: string;
  path: string;
  size: number;
}

type PlaceOfContent = Place & { sha256: string };

/** Of all contents that are known to be damaged, or are missing. */
export function placesOfDamaged(index: IndexDatabase): PlaceOfContent[] {
  return index
    .sql<[], PlaceOfContent>(
      `SELECT ${placeColumns}, sha256 FROM files
       WHERE sha256 IN (SELECT sha256 FROM damaged_contents) OR (${isMissing})`,
    )
    .all();
}

/** Of all contents that are missing, in the order of their paths. */
export function placesOfMissing(index: IndexDatabase): (PlaceOfContent & { kind: FileKind })[] {
  return index
    .sql<[], PlaceOfContent & { kind: FileKind }>(
      `SELECT ${placeColumns}, sha256, kind FROM files WHERE ${isMissing} ORDER BY project_id, path`,
    )
    .all();
}

/** The paths that have a content. */
export function placesOf(index: IndexDatabase, hash: string): Place[] {
  return index.sql<[string], Place>(`SELECT ${placeColumns} FROM files WHERE sha256 = ?`).all(hash);
}

/** What is there of it is parsed again by the next comparison: it may be kept as one token only. */
export function reparse(index: IndexDatabase, hash: string): void {
  index.sql("UPDATE files SET extractor = NULL WHERE sha256 = ? AND kind = 'file' AND deleted = 0").run(hash);
}
