import type { IndexDatabase } from './index-database.js';

/** Contents that processes died with while they parsed them; forgiven once one is parsed in peace. */

/** How many processes died with it since it was last parsed in peace. */
export function deathsOf(index: IndexDatabase, hash: string): number {
  const row = index
    .sql<[string], { deaths: number }>('SELECT deaths FROM suspects WHERE sha256 = ?')
    .get(hash);
  return row?.deaths ?? 0;
}

/** @param at milliseconds since 1970 */
export function countDeath(index: IndexDatabase, hash: string, at: number): void {
  index
    .sql(
      `INSERT INTO suspects (sha256, deaths, last_at) VALUES (?, 1, ?)
       ON CONFLICT DO UPDATE SET deaths = deaths + 1, last_at = excluded.last_at`,
    )
    .run(hash, at);
}

export function forgive(index: IndexDatabase, hash: string): void {
  index.sql('DELETE FROM suspects WHERE sha256 = ?').run(hash);
}
