import { randomInt } from 'node:crypto';
import { closeSync, existsSync, openSync, readFileSync, statSync, writeSync } from 'node:fs';
import { unlink } from 'node:fs/promises';
import Database from 'better-sqlite3';
import { CodekeepError, ignoreErrno } from '../base/errors.js';
import { writeDurably } from '../base/write-durably.js';
import type { IndexDatabase } from './index-database.js';

/**
 * Which index a state directory has, and how far it is: a number in its first page (application_id) and the number of its
 * last transaction, both also in a file beside it. SQLite takes any log that is whole for a database's own, and writes it
 * over the database when it is closed; and a log that is gone, or cut off, for one that has nothing more to say.
 */

/** The file is two decimal numbers of so many digits, a line each, so that the second can be written over. */
const identityDigits = 10;
const commitDigits = 16;
const noteFormat = /^(?<identity>\d{10})\n(?<commit>\d{16})\n$/u;

/** An index that is only being made has none: it is at a path of its own. */
function notePath(indexPath: string): string {
  return `${indexPath.replace(/\.db$/u, '')}.id`;
}

function noteText(identity: number, commit: number): string {
  return `${String(identity).padStart(identityDigits, '0')}\n${String(commit).padStart(commitDigits, '0')}\n`;
}

interface Noted {
  identity: number | null;
  commit: number;
  /** It can be written over. */
  isWhole: boolean;
}

function noted(indexPath: string): Noted {
  try {
    const text = readFileSync(notePath(indexPath), 'utf8');
    const groups = noteFormat.exec(text)?.groups;
    return {
      identity: Number.parseInt(text, 10) || null,
      commit: Number.parseInt(groups?.['commit'] ?? '0', 10),
      isWhole: groups !== undefined,
    };
  } catch {
    return { identity: null, commit: 0, isWhole: false };
  }
}

/** The number that was noted; null: none was. */
export function notedIdentity(indexPath: string): number | null {
  return noted(indexPath).identity;
}

/**
 * Says beside the index which transaction was its last. It is not made durable: after a power loss it may be of an earlier
 * one, never of a later one than the index has.
 */
export class CommitNote {
  readonly #path: string;
  #fd: number | null = null;

  constructor(indexPath: string) {
    this.#path = notePath(indexPath);
  }

  write(commit: number): void {
    try {
      this.#fd ??= openSync(this.#path, 'r+');
      writeSync(this.#fd, String(commit).padStart(commitDigits, '0'), identityDigits + 1);
    } catch {
      // Without a note nothing is noticed; what was written is written.
    }
  }

  close(): void {
    if (this.#fd !== null) closeSync(this.#fd);
    this.#fd = null;
  }
}

/**
 * Looks by a connection that writes nothing.
 * @throws CodekeepError DATABASE_CORRUPT where it is another index than was noted, has another one's log, or lacks its last
 *   changes
 */
export async function assertSameIndex(indexPath: string): Promise<void> {
  if (!existsSync(indexPath)) return await forgetIdentity(indexPath);
  const { identity } = noted(indexPath);
  if (identity === null) return;
  const found = stateOf(indexPath);
  if (found !== null && found.identity !== identity)
    throw new CodekeepError(
      'DATABASE_CORRUPT',
      found.identity === 0
        ? `${indexPath} is damaged: it is not the index that was here, or its log, which had all of it, is gone.`
        : `${indexPath} is damaged: it, or its log, is that of another index.`,
      '"codekeep rebuild" makes a new one of what is its own. If you put another index there, remove index.id beside it.',
    );
  // Twice: a note may be read while it is written.
  const missing = missingChanges(indexPath) > 0 ? missingChanges(indexPath) : 0;
  if (missing > 0)
    throw new CodekeepError(
      'DATABASE_CORRUPT',
      `${indexPath} is damaged: its last ${missing} changes are missing, because its log was removed, cut off or overwritten.`,
      '"codekeep rebuild" makes a new one of what is there, of the versions, the backups and the disk. If you put an older copy there, remove index.id beside it.',
    );
}

/**
 * How many transactions it had that it has no more.
 * @param look what it says of itself; null where it cannot be read
 */
export function missingChanges(
  indexPath: string,
  look: () => IndexState | null = () => stateOf(indexPath),
): number {
  // The note first: a transaction may end in between.
  const { identity, commit } = noted(indexPath);
  const found = look();
  return found === null || found.commit === null || found.identity !== identity
    ? 0
    : Math.max(commit - found.commit, 0);
}

function isEmptied(indexPath: string): boolean {
  return statSync(indexPath, { throwIfNoEntry: false })?.size === 0;
}

/** What an index says of itself. */
export interface IndexState {
  identity: number;
  /** Null: an older version did not count. */
  commit: number | null;
}

/** Null where it cannot be read, which is for who opens it to say. */
function stateOf(indexPath: string): IndexState | null {
  // SQLite removes the log of an empty file that it opens, however it opens it.
  if (isEmptied(indexPath)) return null;
  try {
    const db = new Database(indexPath, { readonly: true, fileMustExist: true });
    try {
      const identity = Number(db.pragma('application_id', { simple: true }));
      // An older version did not count.
      const counts = db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'commits'").get() !== undefined;
      const commit = counts ? db.prepare('SELECT number FROM commits').pluck().get() : null;
      return { identity, commit: typeof commit === 'number' ? commit : null };
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
  // Also where it is noted already: a page that every commit needs and that is damaged is found now.
  const commit = Number(index.sql('SELECT number FROM commits').pluck().get());
  const before = noted(index.path);
  if (before.isWhole && before.identity === identity) return;
  await writeDurably(notePath(index.path), noteText(identity, commit));
}

export function giveIdentity(index: IndexDatabase, identity: number): void {
  index.db.pragma(`application_id = ${identity}`);
}

/** Another index takes the place: it is noted when it is opened. */
export async function forgetIdentity(indexPath: string): Promise<void> {
  await unlink(notePath(indexPath)).catch(ignoreErrno('ENOENT'));
}
