import { statSync } from 'node:fs';
import { messageOf } from '../base/errors.js';
import { Slicer } from '../base/waiting.js';
import { hashesAfter, problemOfContent } from './contents.js';
import { type IndexDatabase } from './index-database.js';
import { isCorrupt } from './sqlite-errors.js';
import { type DamagedContent, damagedContents, isWanted, missingContents, placesOf } from './scrub.js';
import { tableShapes } from './salvage/shapes.js';

const problemsMax = 100;
/** Damaged contents that a check gives. */
const damagedMax = 10_000;
/** A check reads the whole file; the slowest disk in use, busy with other things, gives so much (bytes per ms). */
const slowestReadBytesPerMs = 5_000;
/** What a check takes beside reading (ms). */
const checkFloorMs = 60_000;

/** The longest that checkStructure may take (ms). */
export function checkStepMs(index: IndexDatabase): number {
  return checkFloorMs + Math.round(statSync(index.path).size / slowestReadBytesPerMs);
}

/**
 * SQLite's own check, which sees structure but hardly ever content. Blocks while it reads the file.
 * @param isDeep compares each index of a table with its rows, too
 * @returns problems, none for a sound database
 */
export function checkStructure(index: IndexDatabase, isDeep = false): string[] {
  try {
    const check = isDeep ? 'integrity_check' : 'quick_check';
    const rows = index.db.pragma(`${check}(${problemsMax})`) as Record<string, string>[];
    const broken = index.db.pragma('foreign_key_check') as { table: string; rowid: number | null }[];
    return [
      ...rows.map((row) => row[check] ?? '').filter((line) => line !== 'ok'),
      ...broken
        .slice(0, problemsMax)
        .map((row) => `${row.table} row ${row.rowid ?? '?'} refers to a row that is not there`),
    ];
  } catch (error) {
    if (isCorrupt(error)) return [messageOf(error)];
    throw error;
  }
}

/** Proves every stored content by its hash, in slices: this is what sees a flipped bit. */
export async function checkContents(
  index: IndexDatabase,
  signal?: AbortSignal,
): Promise<{ problems: string[]; damaged: DamagedContent[]; checked: number }> {
  const slicer = new Slicer(signal);
  const damaged = missingContents(index, damagedMax).map((sha256) => ({
    sha256,
    problem: 'its content is not in the index',
  }));
  let checked = 0;
  for (let after = ''; ;) {
    const page = hashesAfter(index, after, 20);
    for (const sha256 of page) {
      const problem = problemOfContent(index, sha256);
      if (problem !== null && damaged.length < damagedMax && isWanted(index, sha256))
        damaged.push({ sha256, problem });
      checked += 1;
      after = sha256;
      await slicer.breathe();
    }
    if (page.length < 20) break;
  }
  const problems = damaged.slice(0, problemsMax).map((content) => inWords(index, content));
  return { problems, damaged, checked };
}

/** Contents that are known to be damaged, in words. */
export function knownDamage(index: IndexDatabase): string[] {
  return damagedContents(index, problemsMax).map((content) => inWords(index, content));
}

function inWords(index: IndexDatabase, { sha256, problem }: DamagedContent): string {
  return `content ${sha256}${pathWith(index, sha256)}: ${problem}`;
}

/** People know a file by its path: of several with this content the first. */
function pathWith(index: IndexDatabase, hash: string): string {
  try {
    const [place] = placesOf(index, hash);
    return place === undefined ? '' : ` (${place.path})`;
  } catch {
    return '';
  }
}

export function recordMaintenance(
  index: IndexDatabase,
  kind: 'check' | 'backup',
  outcome: string,
  now: number,
): void {
  index
    .sql(
      `INSERT INTO maintenance (kind, at, outcome) VALUES (?, ?, ?)
       ON CONFLICT DO UPDATE SET at = excluded.at, outcome = excluded.outcome`,
    )
    .run(kind, now, outcome);
}

export function lastMaintenance(
  index: IndexDatabase,
  kind: 'check' | 'backup',
): { at: number; outcome: string } | undefined {
  return index
    .sql<[string], { at: number; outcome: string }>('SELECT at, outcome FROM maintenance WHERE kind = ?')
    .get(kind);
}

export interface DatabaseCounts {
  projects: number;
  files: number;
  chunks: number;
  contents: number;
}

export function countAll(index: IndexDatabase): DatabaseCounts {
  const row = index
    .sql<[], DatabaseCounts>(
      `SELECT (SELECT count(*) FROM projects) AS projects, (SELECT coalesce(sum(total), 0) FROM file_counts) AS files,
         (SELECT coalesce(sum(chunks), 0) FROM file_counts) AS chunks, (SELECT count(*) FROM contents) AS contents`,
    )
    .get();
  return row ?? { projects: 0, files: 0, chunks: 0, contents: 0 };
}

/** How many rows each table has whose rows nothing else could give back. */
export function countRows(index: IndexDatabase): Record<string, number> {
  return Object.fromEntries(
    tableShapes(index.db).map(({ name }) => {
      const row = index.sql<[], { count: number }>(`SELECT count(*) AS count FROM ${name}`).get();
      return [name, row?.count ?? 0];
    }),
  );
}
