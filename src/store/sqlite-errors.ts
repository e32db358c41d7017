/** What SQLite's errors mean for whoever has to act on them. */
import { closeSync, openSync, statSync } from 'node:fs';
import Database from 'better-sqlite3';
import { CodekeepError, errnoOf, reasonOf, systemErrorText } from '../base/errors.js';

export const damageHint =
  'Start the daemon: "codekeep rebuild" makes a new one of all that can be read, of the backups and of the disk; the damaged one is kept.';

export function damaged(path: string, error: unknown): CodekeepError {
  return new CodekeepError('DATABASE_CORRUPT', `${path} is damaged: ${String(error)}`, damageHint);
}

/** @throws CodekeepError INDEX_UNAVAILABLE */
export function assertNoFolder(path: string): void {
  if (!isFolder(path)) return;
  throw new CodekeepError('INDEX_UNAVAILABLE', `${path} is a folder.`, 'Move it away, then call again.');
}

function isFolder(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
  } catch {
    // Whoever opens it hears why nobody may look.
    return false;
  }
}

/** Opens a database; what is wrong with its place is said in words. */
export function guardOpening<T>(path: string, open: () => T): T {
  try {
    return open();
  } catch (error) {
    assertNoFolder(path);
    if (sqliteCode(error).startsWith('SQLITE_CANTOPEN') && hasNoDescriptor()) throw tooManyFiles(path);
    if (isDiskFull(error)) {
      throw new CodekeepError(
        'INDEX_UNAVAILABLE',
        `${path} cannot be written: the disk is full.`,
        'Free some space on its file system, then start again; a daemon that runs also tries it again by itself.',
      );
    }
    if (/^(?:SQLITE_(?:CANTOPEN|READONLY)|EROFS$|EACCES$)/u.test(errnoOf(error) ?? '')) {
      throw new CodekeepError(
        'INDEX_UNAVAILABLE',
        `${path} cannot be opened for writing: the folder or its file system is read-only, or not this user's.`,
        'Mend that, then start again; a daemon that runs also tries it again by itself.',
      );
    }
    throw isCorrupt(error) ? damaged(path, error) : error;
  }
}

/** SQLite does not say why a file cannot be opened. */
function hasNoDescriptor(): boolean {
  try {
    closeSync(openSync('/dev/null', 'r'));
    return false;
  } catch (error) {
    return ['EMFILE', 'ENFILE'].includes(errnoOf(error) ?? '');
  }
}

function tooManyFiles(path: string): CodekeepError {
  return new CodekeepError(
    'INDEX_UNAVAILABLE',
    `${path} cannot be opened: this process has too many files open.`,
    'Raise the limit (ulimit -n, or LimitNOFILE= of the systemd unit) and start again: each project takes some ten files.',
  );
}

export function sqliteCode(error: unknown): string {
  return error instanceof Database.SqliteError ? error.code : '';
}

export function isBusy(error: unknown): boolean {
  return sqliteCode(error).startsWith('SQLITE_BUSY');
}

/** SQLITE_BUSY is not corruption, and neither is a full disk: only these two codes are. */
export function isCorrupt(error: unknown): boolean {
  return sqliteCode(error).startsWith('SQLITE_CORRUPT') || sqliteCode(error) === 'SQLITE_NOTADB';
}

/** What SQLite's own codes mean, by their beginning. */
const sqliteTexts: readonly [string, string][] = [
  ['SQLITE_BUSY', 'another process has the database locked'],
  ['SQLITE_FULL', 'the disk is full'],
  ['SQLITE_READONLY', "the index cannot be written: its file system is read-only, or it is not this user's"],
  ['SQLITE_IOERR', 'the disk that holds the index reports an error'],
  ['SQLITE_CANTOPEN', "the index cannot be opened: its folder is gone or not this user's"],
];

function sqliteText(error: unknown): string | null {
  const code = sqliteCode(error);
  if (code.startsWith('SQLITE_CANTOPEN') && hasNoDescriptor())
    return 'this process has too many files open: raise the limit (ulimit -n, or LimitNOFILE= of the systemd unit)';
  return sqliteTexts.find(([prefix]) => code.startsWith(prefix))?.[1] ?? null;
}

/** As reasonOf, for what SQLite says as well. */
export function causeInWords(error: unknown): string {
  return sqliteText(error) ?? reasonOf(error);
}

/** A path by which people know the place; not that of a descriptor. */
function pathOf(error: unknown): string {
  const path = error instanceof Error && 'path' in error ? String(error.path) : '';
  return path === '' || path.startsWith('/proc/self/fd/') ? '' : ` (${path})`;
}

/** An error that comes from outside of the program, with its cause in words; null for any other, which is a defect. */
export function outsideCause(error: unknown): CodekeepError | null {
  if (isCorrupt(error)) {
    return new CodekeepError(
      'DATABASE_CORRUPT',
      `The index is damaged: ${String(error)}`,
      '"codekeep rebuild" makes a new one of all that can be read, of the backups and of the disk; the damaged one is kept.',
    );
  }
  const text = sqliteText(error) ?? systemErrorText(error);
  if (text === null) return null;
  const path = pathOf(error);
  return new CodekeepError(
    'INDEX_UNAVAILABLE',
    `It cannot be done: ${text}${path}.`,
    'Mend that on the file systems of the state directory and the project, then call again.',
  );
}

/** True for a full disk, whether SQLite or the file system says it. */
export function isDiskFull(error: unknown): boolean {
  const errno = errnoOf(error);
  return sqliteCode(error) === 'SQLITE_FULL' || errno === 'ENOSPC' || errno === 'EDQUOT';
}
