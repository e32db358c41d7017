import { statSync } from 'node:fs';
import { mkdir, readdir, rename, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ignoreErrno, messageOf } from '../base/errors.js';
import { Slicer } from '../base/waiting.js';
import { hashesAfter, renderContent } from './contents.js';
import { IndexDatabase, isCorrupt } from './index-database.js';

/** Backups kept in the state directory; the oldest goes when one more is made. */
const backupsKept = 3;
/** Pages copied in one step of a backup (4 KiB each): 16 MB, well below a tenth of a second. */
const backupPages = 4_000;
const problemsMax = 100;
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
 * @returns problems, none for a sound database
 */
export function checkStructure(index: IndexDatabase): string[] {
  try {
    const rows = index.db.pragma(`quick_check(${problemsMax})`) as { quick_check: string }[];
    const broken = index.db.pragma('foreign_key_check') as { table: string; rowid: number | null }[];
    return [
      ...rows.map((row) => row.quick_check).filter((line) => line !== 'ok'),
      ...broken
        .slice(0, problemsMax)
        .map((row) => `${row.table} row ${row.rowid ?? '?'} refers to a row that is not there`),
    ];
  } catch (error) {
    if (isCorrupt(error)) return [messageOf(error)];
    throw error;
  }
}

/** Renders and hashes every stored content, in slices: this is what sees a flipped bit. */
export async function checkContents(
  index: IndexDatabase,
  signal?: AbortSignal,
): Promise<{ problems: string[]; checked: number }> {
  const slicer = new Slicer(signal);
  const problems: string[] = [];
  let checked = 0;
  for (let after = ''; ;) {
    const page = hashesAfter(index, after, 20);
    for (const sha256 of page) {
      const rendering = renderContent(index, sha256);
      if ('problem' in rendering && problems.length < problemsMax)
        problems.push(`content ${sha256}: ${rendering.problem}`);
      checked += 1;
      after = sha256;
      await slicer.breathe();
    }
    if (page.length < 20) return { problems, checked };
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

/**
 * Copies the live database page by page into backups/ beside it (SQLite's online backup: never a file
 * copy), under a temporary name until it is whole, and drops all but the newest three.
 * @param keepsAll drops none
 */
export async function backup(
  index: IndexDatabase,
  now: number,
  keepsAll = false,
): Promise<{ path: string; bytes: number }> {
  const folder = join(dirname(index.path), 'backups');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, `index-${new Date(now).toISOString().replaceAll(/[:.]/g, '-')}.db`);
  const partial = `${path}.partial`;
  try {
    await copyStill(index, partial);
    await rename(partial, path);
  } catch (error) {
    await unlink(partial).catch(ignoreErrno('ENOENT'));
    throw error;
  }
  if (keepsAll) return { path, bytes: (await stat(path)).size };
  const names = (await readdir(folder)).filter((name) => /^index-.*\.db$/.test(name)).sort();
  for (const name of names.slice(0, -backupsKept))
    await unlink(join(folder, name)).catch(ignoreErrno('ENOENT'));
  return { path, bytes: (await stat(path)).size };
}

/** Copies one state of the index: without a read transaction SQLite begins anew after each commit of another process. */
async function copyStill(index: IndexDatabase, target: string): Promise<void> {
  // A file that somebody removed lives on in the connection that has it open.
  if (!index.isInPlace) return void (await index.db.backup(target, { progress: () => backupPages }));
  const source = IndexDatabase.openReadOnly(index.path);
  try {
    source.db.exec('BEGIN');
    source.sql('SELECT count(*) FROM sqlite_schema').get();
    await source.db.backup(target, { progress: () => backupPages });
  } finally {
    source.close();
  }
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
      `SELECT (SELECT count(*) FROM projects) AS projects, (SELECT count(*) FROM files) AS files,
         (SELECT count(*) FROM chunks) AS chunks, (SELECT count(*) FROM contents) AS contents`,
    )
    .get();
  return row ?? { projects: 0, files: 0, chunks: 0, contents: 0 };
}
