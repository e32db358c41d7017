import { existsSync, statSync } from 'node:fs';
import { link, mkdir, rename, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { CodekeepError, ignoreErrno, messageOf } from '../base/errors.js';
import { timeStamp } from '../base/paths.js';
import { syncPath } from '../base/sync-path.js';
import { migrations } from './schema.js';

/** Pages copied at once: nobody else is served by the process that does this. */
const copyPages = 16_000;

/**
 * Puts a copy of the index in its place; what was there is kept. No process may have the index open. Killed at any
 * instant, the old one or the new one is there, whole.
 * @param longStep runs what holds the event loop for as long as the file takes to be read
 * @returns where the one that was there is now; null where there was none
 * @throws CodekeepError INVALID_PARAMS where the copy is none, damaged, or of a newer version
 */
export async function replaceIndex(
  indexPath: string,
  copyPath: string,
  now: number,
  longStep: <T>(work: () => T) => T,
): Promise<string | null> {
  const incoming = incomingOf(indexPath);
  await removeIncoming(indexPath);
  try {
    await copySound(copyPath, incoming, longStep);
    await syncPath(incoming);
    const kept = await keepOriginal(indexPath, now);
    await rename(incoming, indexPath);
    await syncPath(dirname(indexPath));
    return kept;
  } finally {
    await removeIncoming(indexPath);
  }
}

function incomingOf(indexPath: string): string {
  return `${indexPath}.incoming`;
}

/** What a process left that was killed while it put a copy in place. */
export async function removeIncoming(indexPath: string): Promise<void> {
  for (const end of ['', '-wal', '-shm', '-journal'])
    await unlink(`${incomingOf(indexPath)}${end}`).catch(ignoreErrno('ENOENT'));
}

async function copySound(from: string, to: string, longStep: <T>(work: () => T) => T): Promise<void> {
  if (statSync(from, { throwIfNoEntry: false })?.isFile() !== true) throw unusable(from, 'is no file');
  let source: Database.Database;
  try {
    source = new Database(from, { readonly: true, fileMustExist: true });
  } catch (error) {
    throw unusable(from, `cannot be opened: ${messageOf(error)}`);
  }
  try {
    const problem = longStep(() => problemOf(source));
    if (problem !== null) throw unusable(from, problem);
    await source.backup(to, { progress: () => copyPages });
  } finally {
    source.close();
  }
}

function problemOf(source: Database.Database): string | null {
  try {
    const version = Number(source.pragma('user_version', { simple: true }));
    const isIndex = source.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'contents'").get() !== undefined;
    if (!isIndex || version < 1) return 'is no index of codekeep';
    if (version > migrations.length)
      return `has schema version ${version}, this program knows ${migrations.length}`;
    const [first] = source.pragma('quick_check(1)') as { quick_check: string }[];
    return first?.quick_check === 'ok' ? null : `is damaged: ${first?.quick_check ?? ''}`;
  } catch (error) {
    return `cannot be read: ${messageOf(error)}`;
  }
}

function unusable(path: string, problem: string): CodekeepError {
  return new CodekeepError(
    'INVALID_PARAMS',
    `${path} ${problem}.`,
    'Nothing was changed. Give another file of the backups folder.',
    { issues: [{ param: 'path', message: problem }] },
  );
}

/** Where an index is kept that another one takes the place of. */
export function replacedPath(indexPath: string, now: number): string {
  return join(dirname(indexPath), 'replaced', `index-${timeStamp(now)}.db`);
}

/** Gives it a second name, and takes its log out of the way: with that it would not be whole, and the next one neither. */
async function keepOriginal(indexPath: string, now: number): Promise<string | null> {
  if (!existsSync(indexPath)) return null;
  checkpoint(indexPath);
  const kept = replacedPath(indexPath, now);
  const folder = dirname(kept);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await link(indexPath, kept);
  await rename(`${indexPath}-wal`, `${kept}-wal`).catch(ignoreErrno('ENOENT'));
  await unlink(`${indexPath}-shm`).catch(ignoreErrno('ENOENT'));
  await syncPath(folder);
  return kept;
}

/** Where it can be opened at all, its log is brought into it. */
function checkpoint(indexPath: string): void {
  try {
    const db = new Database(indexPath, { fileMustExist: true, timeout: 5_000 });
    try {
      db.pragma('wal_checkpoint(TRUNCATE)');
    } finally {
      db.close();
    }
  } catch {
    // Damaged: it is kept with its log as it is.
  }
}
