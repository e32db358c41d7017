import { randomInt } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { open, rename, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { CodekeepError, ignoreErrno } from '../base/errors.js';
import { syncPath } from '../base/sync-path.js';
import type { IndexDatabase } from './index-database.js';

/**
 * Which index a state directory has: a number in its first page (application_id), and in a file beside it. SQLite takes any
 * log that is whole for a database's own, and writes it over the database when it is closed.
 */

function notePath(indexPath: string): string {
  return join(dirname(indexPath), 'index.id');
}

/** The number that was noted; null: none was. */
export function notedIdentity(indexPath: string): number | null {
  try {
    return Number.parseInt(readFileSync(notePath(indexPath), 'utf8'), 10) || null;
  } catch {
    return null;
  }
}

/**
 * Looks by a connection that writes nothing.
 * @throws CodekeepError DATABASE_CORRUPT where it is another index than was noted, or has another one's log
 */
export async function assertSameIndex(indexPath: string): Promise<void> {
  if (!existsSync(indexPath)) return await forgetIdentity(indexPath);
  const noted = notedIdentity(indexPath);
  const found = noted === null ? null : identityIn(indexPath);
  if (found === null || found === 0 || found === noted) return;
  throw new CodekeepError(
    'DATABASE_CORRUPT',
    `${indexPath} is damaged: it, or its log, is that of another index.`,
    '"codekeep rebuild" makes a new one of what is its own. If you put another index there, remove index.id beside it.',
  );
}

/** Null where it cannot be read, which is for who opens it to say. */
function identityIn(indexPath: string): number | null {
  try {
    const db = new Database(indexPath, { readonly: true, fileMustExist: true });
    try {
      return Number(db.pragma('application_id', { simple: true }));
    } finally {
      db.close();
    }
  } catch {
    return null;
  }
}

/** Gives the index a number if it has none, and notes it. */
export async function noteIdentity(index: IndexDatabase): Promise<void> {
  const given = Number(index.db.pragma('application_id', { simple: true }));
  const identity = given === 0 ? randomInt(1, 2 ** 31 - 1) : given;
  if (given === 0) giveIdentity(index, identity);
  if (notedIdentity(index.path) === identity) return;
  const path = notePath(index.path);
  const file = await open(`${path}.new`, 'w', 0o600);
  try {
    await file.writeFile(`${identity}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
  await syncPath(dirname(path));
}

export function giveIdentity(index: IndexDatabase, identity: number): void {
  index.db.pragma(`application_id = ${identity}`);
}

/** Another index takes the place: it is noted when it is opened. */
export async function forgetIdentity(indexPath: string): Promise<void> {
  await unlink(notePath(indexPath)).catch(ignoreErrno('ENOENT'));
}
