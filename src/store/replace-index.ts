import { closeSync, constants, existsSync, openSync, readSync, statSync } from 'node:fs';
import { copyFile, link, mkdir, rename, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { CodekeepError, ignoreErrno, messageOf } from '../base/errors.js';
import { timeStamp } from '../base/paths.js';
import { syncPath } from '../base/sync-path.js';
import { assertNoFolder, isDiskFull } from './sqlite-errors.js';
import { removeLeftOvers } from './place-copy.js';
import { isIndexSchema } from './schema-check.js';
import { forgetIdentity } from './index-identity.js';
import { migrations } from './schema.js';

/** How a database file begins. */
const databaseMagic = 'SQLite format 3\0';

/** Pages copied at once: nobody else is served by the process that does this. */
const copyPages = 16_000;

/**
 * Makes a new index and puts it in the place of the one that is there, which is kept with its log. No process may have the
 * index open. Killed at any instant, the old one or the new one is there, whole, once `settleReplacing` was called.
 * @param make writes the new one to the path that it is given
 * @param isTried the new one is only made, and removed again
 * @returns where the one that was there is now; null where there was none, or nothing was replaced
 */
export async function replaceIndex(
  indexPath: string,
  now: number,
  make: (path: string) => Promise<void>,
  isTried = false,
): Promise<string | null> {
  assertNoFolder(indexPath);
  await settleReplacing(indexPath);
  const incoming = incomingOf(indexPath);
  try {
    await make(incoming);
    if (isTried) return null;
    await syncPath(incoming);
    // From here on it takes the place, whatever happens.
    await rename(incoming, readyOf(indexPath));
    await syncPath(dirname(indexPath));
    return await takePlace(indexPath, now);
  } finally {
    await removeIncoming(indexPath);
  }
}

function incomingOf(indexPath: string): string {
  return `${indexPath}.incoming`;
}

function readyOf(indexPath: string): string {
  return `${indexPath}.ready`;
}

/** Ends what a process began that was killed: a new index that is whole takes its place, half of one is removed. */
export async function settleReplacing(indexPath: string): Promise<void> {
  if (existsSync(readyOf(indexPath))) await takePlace(indexPath, Date.now());
  // What was being purged may be in them.
  for (const folder of [dirname(indexPath), dirname(replacedPath(indexPath, 0))])
    await removeLeftOvers(folder).catch(() => undefined);
  await removeIncoming(indexPath);
}

async function removeIncoming(indexPath: string): Promise<void> {
  // On a read-only file system the name need not be there for that; whoever opens the index says so.
  for (const end of ['', '-wal', '-shm', '-journal'])
    await unlink(`${incomingOf(indexPath)}${end}`).catch(ignoreErrno('ENOENT', 'EROFS'));
}

async function takePlace(indexPath: string, now: number): Promise<string | null> {
  const kept = await keepOriginal(indexPath, now);
  await forgetIdentity(indexPath);
  await rename(readyOf(indexPath), indexPath);
  await syncPath(dirname(indexPath));
  return kept;
}

/**
 * Writes a copy of an index, once it was found to be sound. Where it lies alone nothing is made beside it: it may be on a
 * read-only disk.
 * @param longStep runs what holds the event loop for as long as the file takes to be read
 * @throws CodekeepError INVALID_PARAMS where it is none, damaged, or of a newer version; system errors of the copy
 */
export async function copySound(from: string, to: string, longStep: <T>(work: () => T) => T): Promise<void> {
  if (statSync(from, { throwIfNoEntry: false })?.isFile() !== true) throw unusable(from, 'is no file');
  if (!isDatabase(from)) throw unusable(from, 'is no database');
  if (isAlone(from)) await copyFile(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
  else await copyWithLog(from, to);
  const copy = new Database(to);
  try {
    const problem = longStep(() => problemOf(copy));
    if (problem !== null) throw unusable(from, problem);
    copy.pragma('journal_mode = DELETE');
  } finally {
    copy.close();
  }
}

function isDatabase(path: string): boolean {
  const head = Buffer.alloc(databaseMagic.length);
  const fd = openSync(path, 'r');
  try {
    readSync(fd, head, 0, head.length, 0);
  } finally {
    closeSync(fd);
  }
  return head.toString('latin1') === databaseMagic;
}

/** No log says anything that the file does not. */
function isAlone(path: string): boolean {
  return ['-wal', '-journal'].every(
    (end) => (statSync(`${path}${end}`, { throwIfNoEntry: false })?.size ?? 0) === 0,
  );
}

async function copyWithLog(from: string, to: string): Promise<void> {
  try {
    const source = new Database(from, { readonly: true, fileMustExist: true });
    try {
      await source.backup(to, { progress: () => copyPages });
    } finally {
      source.close();
    }
  } catch (error) {
    if (isDiskFull(error)) throw error;
    throw unusable(from, `cannot be read: ${messageOf(error)}`);
  }
}

function problemOf(copy: Database.Database): string | null {
  try {
    const version = Number(copy.pragma('user_version', { simple: true }));
    if (version > migrations.length)
      return `has schema version ${version}, this program knows ${migrations.length}`;
    if (!isIndexSchema(copy, version)) return 'is no index of codekeep';
    const [first] = copy.pragma('quick_check(1)') as { quick_check: string }[];
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

/** Gives it a second name, and takes its log there: beside the new one it would be taken for its own. */
async function keepOriginal(indexPath: string, now: number): Promise<string | null> {
  const isThere = existsSync(indexPath);
  if (!isThere && !existsSync(`${indexPath}-wal`)) return null;
  const kept = replacedPath(indexPath, now);
  const folder = dirname(kept);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  if (isThere) await link(indexPath, kept);
  await rename(`${indexPath}-wal`, `${kept}-wal`).catch(ignoreErrno('ENOENT'));
  await unlink(`${indexPath}-shm`).catch(ignoreErrno('ENOENT'));
  await syncPath(folder);
  return isThere ? kept : `${kept}-wal`;
}
