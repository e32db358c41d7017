import { accessSync, constants } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import { CodekeepError } from '../base/errors.js';
import { lockHolder } from '../base/lock-holder.js';
import { guardOpening, isBusy } from './sqlite-errors.js';

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
    // What cannot be written SQLite opens for reading, and then BEGIN IMMEDIATE is a BEGIN, which anybody can have.
    accessSync(path, constants.W_OK);
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
