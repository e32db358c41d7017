import Database from 'better-sqlite3';
import { CodekeepError } from '../base/errors.js';
import { isBusy } from './index-database.js';

/** Held until `release` or until the process is gone, however it went. */
export interface StateLock {
  release(): void;
}

/**
 * Takes the lock of a state directory: an exclusive transaction on a database that holds nothing else, so
 * that the kernel frees it with its holder, SIGKILL included. Never waits.
 * @throws CodekeepError INDEX_UNAVAILABLE when another process holds it
 */
export function holdStateLock(path: string): StateLock {
  const db = new Database(path, { timeout: 0 });
  try {
    // In WAL mode an exclusive transaction would let readers in; a rollback journal does not.
    db.pragma('journal_mode = DELETE');
    db.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    db.close();
    if (!isBusy(error)) throw error;
    throw new CodekeepError(
      'INDEX_UNAVAILABLE',
      'Another codekeep supervisor holds this state directory.',
      'Use the one that runs, stop it first, or give another --state-dir.',
    );
  }
  return { release: () => db.close() };
}
