import { accessSync, constants } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import { CodekeepError } from '../base/errors.js';
import { lockHolder } from '../base/lock-holder.js';
import { sleep } from '../base/waiting.js';
import { guardOpening, isBusy } from './sqlite-errors.js';

const pollMs = 20;

/** Held until `release` or until the process is gone, however it went. */
export interface StateLock {
  release(): void;
}

/**
 * Takes the lock of a state directory: a write transaction on a database that holds nothing else, so that the kernel
 * frees it with its holder, SIGKILL included. IMMEDIATE and not EXCLUSIVE: of two that begin in the same
 * instant EXCLUSIVE lets both fail now and then, because each meets the other's first step; IMMEDIATE never did.
 * @param patienceMs so long one that holds it may take to end; 0: it never waits
 * @throws CodekeepError INDEX_UNAVAILABLE when another process holds it, or the folder cannot be written
 */
export async function holdStateLock(path: string, patienceMs = 0): Promise<StateLock> {
  const giveUpAt = performance.now() + patienceMs;
  const db = guardOpening(path, () => new Database(path, { timeout: 0 }));
  try {
    while (!guardOpening(path, () => begins(db))) {
      if (performance.now() >= giveUpAt) throw held(path);
      await sleep(pollMs);
    }
  } catch (error) {
    db.close();
    throw error;
  }
  return { release: () => db.close() };
}

/** False where another process has it. */
function begins(db: Database.Database): boolean {
  // What cannot be written SQLite opens for reading, and then BEGIN IMMEDIATE is a BEGIN, which anybody can have.
  accessSync(db.name, constants.W_OK);
  try {
    db.exec('BEGIN IMMEDIATE');
    return true;
  } catch (error) {
    if (isBusy(error)) return false;
    throw error;
  }
}

function held(path: string): CodekeepError {
  const holder = lockHolder(path);
  return new CodekeepError(
    'INDEX_UNAVAILABLE',
    `${dirname(path)} is held by another codekeep supervisor${holder === null ? '' : ` (pid ${holder})`}.`,
    'Use the one that runs, stop it first, or give another --state-dir.',
  );
}
