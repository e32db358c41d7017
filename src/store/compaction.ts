import type Database from 'better-sqlite3';
import { sleep } from '../base/waiting.js';
import type { Connection } from './connection.js';

/** Free pages (4 KiB) that a database keeps for what comes next. */
const keptPages = 256;
/** Pages given back in one step: about 2 ms. */
const stepPages = 256;

/** Of a new database free pages can be given back in steps; of one that is there already nothing is changed. */
export function makeCompactable(db: Database.Database): void {
  if (Number(db.pragma('page_count', { simple: true })) === 0) db.pragma('auto_vacuum = INCREMENTAL');
}

/** Between two steps (ms), so that whoever saves a file or asks something has most of the time. */
const stepPauseMs = 10;

/** A connection that others write beside. */
interface Writable extends Connection {
  write(work: () => void): Promise<void>;
}

/** Gives surplus pages back in small steps, until there are none, the file is not in its place any more, or `signal` aborts. */
export async function giveBackSurplus(connection: Writable, signal: AbortSignal): Promise<void> {
  while (!signal.aborted && connection.isInPlace && hasSurplusPages(connection)) {
    await connection.write(() => giveBackStep(connection));
    await sleep(stepPauseMs, signal);
  }
}

/** True where there is something to be given back. */
export function hasSurplusPages(connection: Connection): boolean {
  return Number(connection.db.pragma('freelist_count', { simple: true })) > keptPages + stepPages;
}

/** Gives some free pages back to the file system; to be called in a transaction. */
function giveBackStep(connection: Connection): void {
  connection.db.pragma(`incremental_vacuum(${stepPages})`);
}

/** Whether pages can be given back in steps: of a database that an older version made they cannot. */
export function canGiveBack(connection: Connection): boolean {
  return Number(connection.db.pragma('auto_vacuum', { simple: true })) === 2;
}

/**
 * Writes all of it anew, without its free pages, so that later ones can be given back in steps. Blocks until that is done;
 * no other process may have it open. Killed at any instant, nothing was done.
 */
export function compactWhole(connection: Connection): void {
  connection.db.pragma('auto_vacuum = INCREMENTAL');
  connection.db.exec('VACUUM');
}
