import { readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import { CodekeepError } from '../base/errors.js';
import { guardOpening, isBusy } from './index-database.js';

/** Held until `release` or until the process is gone, however it went. */
export interface StateLock {
  release(): void;
}

/**
 * Takes the lock of a state directory: a write transaction on a database that holds nothing else, so that the kernel
 * frees it with its holder, SIGKILL included. Never waits. IMMEDIATE and not EXCLUSIVE: of two that begin in the same
 * instant EXCLUSIVE lets both fail now and then, because each meets the other's first step; IMMEDIATE never did.
 * @throws CodekeepError INDEX_UNAVAILABLE when another process holds it, or the folder cannot be written
 */
export function holdStateLock(path: string): StateLock {
  return guardOpening(path, () => hold(path));
}

function hold(path: string): StateLock {
  const db = new Database(path, { timeout: 0 });
  try {
    db.exec('BEGIN IMMEDIATE');
  } catch (error) {
    db.close();
    if (!isBusy(error)) throw error;
    const holder = lockHolder(path);
    throw new CodekeepError(
      'INDEX_UNAVAILABLE',
      `${dirname(path)} is held by another codekeep supervisor${holder === null ? '' : ` (pid ${holder})`}.`,
      'Use the one that runs, stop it first, or give another --state-dir.',
    );
  }
  return { release: () => db.close() };
}

/**
 * Who holds the lock, as the kernel says; null where it does not know (a process of another container, a file system
 * that numbers its devices otherwise). A pid that somebody wrote down could be an earlier one's.
 */
function lockHolder(path: string): number | null {
  const { dev, ino } = statSync(path);
  const [major, minor] = [(dev >> 8) & 0xfff, (dev & 0xff) | ((dev >> 12) & 0xfff00)];
  const inode = [major, minor].map((part) => part.toString(16).padStart(2, '0')).concat(String(ino));
  for (const line of readFileSync('/proc/locks', 'latin1').split('\n')) {
    // 1: POSIX  ADVISORY  WRITE 20345 fe:00:2147286 1073741824 1073742335
    const [, kind, , access, pid, file] = line.split(/\s+/);
    if (kind === 'POSIX' && access === 'WRITE' && file === inode.join(':') && Number(pid) > 0)
      return Number(pid);
  }
  return null;
}
