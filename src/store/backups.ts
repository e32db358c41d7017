import { readdirSync, type Stats, statSync } from 'node:fs';
import { mkdir, readdir, rename, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { CodekeepError, ignoreErrno } from '../base/errors.js';
import { syncPath } from '../base/sync-path.js';
import { checkFile } from './check-thread.js';
import { causeInWords, IndexDatabase } from './index-database.js';
import { copySound } from './replace-index.js';

/** Backups that are kept in the state directory. */
const backupsKept = 7;
/** Pages copied in one step of a backup (4 KiB each): 16 MB, well below a tenth of a second. */
const backupPages = 4_000;

export interface Backup {
  path: string;
  bytes: number;
  /** What is damaged in the copy, as it is in the index; none: it is whole. */
  problems: string[];
}

export function backupFolder(index: IndexDatabase): string {
  return join(dirname(index.path), 'backups');
}

/**
 * Copies the live database page by page (SQLite's online backup: never a file copy), under a temporary name until it is
 * whole, durable and checked.
 * @param to a file that does not exist yet; without it one in backups/ beside the index, of which the newest seven are kept
 * @throws CodekeepError TARGET_FILE_EXISTS; system errors as they come
 */
export async function backup(
  index: IndexDatabase,
  now: number,
  to: string | null = null,
  signal?: AbortSignal,
): Promise<Backup> {
  const folder = to === null ? backupFolder(index) : dirname(to);
  if (to === null) await mkdir(folder, { recursive: true, mode: 0o700 });
  const path = to ?? join(folder, nameOf(now));
  assertFree(path);
  await removeLeftOvers(folder);
  const partial = `${path}.partial`;
  try {
    await copyStill(index, partial, signal);
    await syncPath(partial);
    const { problems } = await checkFile(partial, false, signal);
    await rename(partial, path);
    await syncPath(folder);
    // A copy of what is damaged must not push out one that is sound.
    if (to === null && problems.length === 0) await dropSurplus(folder);
    return { path, bytes: (await stat(path)).size, problems };
  } finally {
    await removeCopy(partial);
  }
}

/**
 * Backs up an index that an older version wrote, before its schema is changed. No process may have it open.
 * @param longStep runs what holds the event loop for as long as the file takes to be read
 * @throws CodekeepError INDEX_UNAVAILABLE where it cannot be backed up: then it must not be changed
 */
export async function backupBeforeMigration(
  indexPath: string,
  now: number,
  longStep: <T>(work: () => T) => T,
): Promise<string> {
  const folder = join(dirname(indexPath), 'backups');
  const path = join(folder, nameOf(now));
  const partial = `${path}.partial`;
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await removeLeftOvers(folder);
    await copySound(indexPath, partial, longStep);
    await syncPath(partial);
    await rename(partial, path);
    await syncPath(folder);
    await dropSurplus(folder);
    return path;
  } catch (error) {
    throw new CodekeepError(
      'INDEX_UNAVAILABLE',
      `The index is of an older version, and could not be backed up before it is brought up to date: ${causeInWords(error)}.`,
      'Nothing was changed. Free some space in the state directory; it is tried again by itself.',
    );
  } finally {
    await removeCopy(partial);
  }
}

/** What is left of one that failed, and what reading it has made. */
async function removeCopy(path: string): Promise<void> {
  for (const end of ['', '-wal', '-shm'])
    await unlink(`${path}${end}`).catch(ignoreErrno('ENOENT', 'ENOTDIR'));
}

function nameOf(now: number): string {
  return `index-${new Date(now).toISOString().replaceAll(/[:.]/g, '-')}.db`;
}

/** @throws CodekeepError INVALID_PARAMS where there is no such folder, TARGET_FILE_EXISTS */
function assertFree(path: string): void {
  if (statOf(dirname(path))?.isDirectory() !== true)
    throw new CodekeepError(
      'INVALID_PARAMS',
      `There is no folder ${dirname(path)}.`,
      'Make it, or give another path.',
      {
        issues: [{ param: 'path', message: `there is no folder ${dirname(path)}` }],
      },
    );
  if (statOf(path) === null) return;
  throw new CodekeepError(
    'TARGET_FILE_EXISTS',
    `There is already something at ${path}.`,
    'Give another path.',
    {
      path,
    },
  );
}

function statOf(path: string): Stats | null {
  try {
    return statSync(path, { throwIfNoEntry: false }) ?? null;
  } catch (error) {
    return ignoreErrno('ENOTDIR')(error) ?? null;
  }
}

/** Those that are kept in the state directory, the newest first; whether they are sound, nobody has looked. */
export function backupsBeside(indexPath: string): string[] {
  const folder = join(dirname(indexPath), 'backups');
  return namesIn(folder)
    .filter((name) => backupName.test(name))
    .sort()
    .reverse()
    .map((name) => join(folder, name));
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    return ignoreErrno('ENOENT', 'ENOTDIR')(error) ?? [];
  }
}

/** What processes left that were killed: nobody takes so long (ms) for a step of a copy. */
const leftOverMs = 3_600_000;

async function removeLeftOvers(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    const stats = /^index-.*\.db\.partial/u.test(name) ? statOf(path) : null;
    if (stats !== null && Date.now() - stats.mtimeMs > leftOverMs)
      await unlink(path).catch(ignoreErrno('ENOENT'));
  }
}

/** Copies one state of the index: without a read transaction SQLite begins anew after each commit of another process. */
async function copyStill(index: IndexDatabase, target: string, signal?: AbortSignal): Promise<void> {
  const progress = (): number => {
    signal?.throwIfAborted();
    return backupPages;
  };
  // A file that somebody removed lives on in the connection that has it open.
  if (!index.isInPlace) return void (await index.db.backup(target, { progress }));
  const source = IndexDatabase.openReadOnly(index.path);
  try {
    source.db.exec('BEGIN');
    source.sql('SELECT count(*) FROM sqlite_schema').get();
    await source.db.backup(target, { progress });
  } finally {
    source.close();
  }
}

async function dropSurplus(folder: string): Promise<void> {
  const names = (await readdir(folder)).filter((name) => backupName.test(name));
  for (const name of surplusOf(names, backupsKept))
    await unlink(join(folder, name)).catch(ignoreErrno('ENOENT'));
}

const backupName = /^index-(?<day>\d{4}-\d\d-\d\d)T[\d-]+Z\.db$/u;

/**
 * Which backups go so that no more than `kept` are left; pure. Days count more than hours: of a day with many, as one with
 * many repairs, the older ones go first, and then the oldest days.
 */
export function surplusOf(names: readonly string[], kept: number): string[] {
  const left = names.map((name) => basename(name)).sort();
  const surplus: string[] = [];
  while (left.length > kept) {
    const ofOneDay = left.findIndex((name, at) => dayOf(name) === dayOf(left[at + 1] ?? ''));
    surplus.push(...left.splice(Math.max(ofOneDay, 0), 1));
  }
  return surplus;
}

function dayOf(name: string): string {
  return backupName.exec(name)?.groups?.['day'] ?? '';
}
