import { closeSync, copyFileSync, openSync, readSync, statSync } from 'node:fs';
import { rm, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { CodekeepError, ignoreErrno } from '../base/errors.js';
import { IndexDatabase } from './index-database.js';
import { checkStructure } from './maintenance.js';
import { besideIt, replaceWithCopy } from './place-copy.js';
import { ContentRows } from './purging.js';
import { copySound } from './replace-index.js';

/** Looks into whole databases for what is to be purged, and writes them anew without it. */

/** Runs what holds the event loop for as long as a whole file takes to be read and written. */
export type LongStep = <T>(work: () => T) => T;

/** Where a database says how it is written (https://www.sqlite.org/fileformat.html#file_format_version_numbers); 2: with a log. */
const writeVersionAt = 18;

/**
 * Reads an index that nobody has open. One that is written with a log is looked at in a copy, since SQLite would make a log beside
 * it.
 * @throws what keeps it from being read
 */
export async function lookInto<T>(path: string, look: (rows: ContentRows) => T): Promise<T> {
  if (!hasLogMode(path)) return read(path, look);
  return await besideIt(path, async (folder) => {
    const copy = join(folder, 'index.db');
    for (const end of ['', '-wal'])
      if (statSync(`${path}${end}`, { throwIfNoEntry: false }) !== undefined)
        copyFileSync(`${path}${end}`, `${copy}${end}`);
    return await Promise.resolve(read(copy, look));
  });
}

function read<T>(path: string, look: (rows: ContentRows) => T): T {
  const db = new Database(path, { readonly: true, fileMustExist: true });
  try {
    return look(new ContentRows(db));
  } finally {
    db.close();
  }
}

function hasLogMode(path: string): boolean {
  const head = Buffer.alloc(1);
  const fd = openSync(path, 'r');
  try {
    readSync(fd, head, 0, 1, writeVersionAt);
  } finally {
    closeSync(fd);
  }
  return head[0] === 2;
}

/**
 * Writes an index anew without what `purge` takes out of it: neither a free page nor the room between rows has it any more.
 * Nobody may have it open. Killed at any instant, the old one or the new one is there, whole. One that an older version wrote
 * is brought up to date.
 * @throws CodekeepError INVALID_PARAMS, REPAIR_DATABASE_ERROR where it, or what became of it, is damaged; system errors
 */
export async function writeWithout(
  path: string,
  purge: (index: IndexDatabase) => Promise<void>,
  longStep: LongStep,
): Promise<void> {
  await endLog(path);
  await replaceWithCopy(path, async (folder) => {
    const copy = join(folder, 'index.db');
    const clean = join(folder, 'clean.db');
    await copySound(path, copy, longStep);
    const index = IndexDatabase.open(copy);
    try {
      index.db.pragma('secure_delete = ON');
      await purge(index);
      // Not VACUUM, whose own copy would lie in the folder for temporary files.
      longStep(() => index.db.prepare('VACUUM INTO ?').run(clean));
    } finally {
      index.close();
    }
    assertSound(clean, longStep);
    return clean;
  });
}

/** What a log has to say is in the file then, and it is gone: beside a new one it would be taken for its own. */
async function endLog(path: string): Promise<void> {
  if (statSync(`${path}-wal`, { throwIfNoEntry: false }) === undefined) return;
  const db = new Database(path, { fileMustExist: true });
  try {
    db.pragma('wal_checkpoint(TRUNCATE)');
  } finally {
    db.close();
  }
  if ((statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0)
    throw unwritable(path, 'its log cannot be ended');
  for (const end of ['-wal', '-shm']) await unlink(`${path}${end}`).catch(ignoreErrno('ENOENT'));
}

function assertSound(path: string, longStep: LongStep): void {
  const index = IndexDatabase.openReadOnly(path);
  try {
    const [problem] = longStep(() => checkStructure(index));
    if (problem !== undefined) throw unwritable(path, problem);
  } finally {
    index.close();
  }
}

function unwritable(path: string, problem: string): CodekeepError {
  return new CodekeepError(
    'REPAIR_DATABASE_ERROR',
    `${path} cannot be written anew: ${problem}.`,
    'It is as it was. Look into the disk of the state directory, then call again.',
  );
}

/** Removes a copy of the index with its log. */
export async function removeCopy(path: string): Promise<void> {
  for (const end of ['', '-wal', '-shm', '-journal']) await rm(`${path}${end}`, { force: true });
}
