import { type BigIntStats, statSync } from 'node:fs';
import type Database from 'better-sqlite3';
import { CodekeepError, ignoreErrno } from '../base/errors.js';
import { sleep } from '../base/waiting.js';
import { isBusy } from './sqlite-errors.js';

/** A statement may block this process's event loop for a lock so long (ms), no longer; `write` waits asynchronously. */
export const busyTimeoutMs = 15;
/** How long a write keeps asking for the write lock (ms): longer than the longest transaction of any process. */
const writePatienceMs = 30_000;

/** What a statement gives, as better-sqlite3 types it. */
export type Statement<P extends unknown[], R> = Database.Statement<P, R>;

/** One process's connection to one of our databases: statements by their text, and transactions. */
export class Connection {
  readonly db: Database.Database;
  readonly path: string;
  /** Which file was opened. */
  readonly #file: string | null;
  readonly #statements = new Map<string, Database.Statement>();

  constructor(db: Database.Database, path: string) {
    this.db = db;
    this.path = path;
    this.#file = fileAt(path);
  }

  /** False where the file that was opened is not at its path any more: what is written now ends with this process. */
  get isInPlace(): boolean {
    return this.#file !== null && fileAt(this.path) === this.#file;
  }

  /** The prepared statement for `sql`, prepared once. */
  sql<P extends unknown[] = unknown[], R = unknown>(sql: string): Statement<P, R> {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.db.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement as Statement<P, R>;
  }

  /** Everything that `work` reads is of one state of the database. */
  read<T>(work: () => T): T {
    return this.db.transaction(work).deferred();
  }

  /**
   * Runs `work` in one immediate transaction; waits for other writers without blocking the event loop.
   * `work` is synchronous and short: while it runs, nobody else writes.
   * @throws CodekeepError TIMEOUT when the lock cannot be had in 30 s
   */
  protected async immediately<T>(work: () => T, signal?: AbortSignal): Promise<T> {
    const transaction = this.db.transaction(work);
    const giveUpAt = performance.now() + writePatienceMs;
    for (let pauseMs = 2; ; pauseMs = Math.min(pauseMs * 2, 50)) {
      signal?.throwIfAborted();
      try {
        return transaction.immediate();
      } catch (error) {
        if (!isBusy(error)) throw error;
        if (performance.now() > giveUpAt) {
          throw new CodekeepError(
            'TIMEOUT',
            'The index is locked by another process.',
            `Stop what else has ${this.path} open.`,
          );
        }
        await sleep(pauseMs, signal);
      }
    }
  }

  close(): void {
    this.#statements.clear();
    this.db.close();
  }
}

/** Which file is at a path; null where none is, or one with fewer bytes. */
export function inodeAt(path: string, bytesMin: bigint): string | null {
  const stats = statAt(path);
  return stats === null || stats.size < bytesMin ? null : `${stats.dev} ${stats.ino}`;
}

/** Null where nothing is there, also where what it would lie in is no folder. */
export function statAt(path: string): BigIntStats | null {
  try {
    return statSync(path, { bigint: true, throwIfNoEntry: false }) ?? null;
  } catch (error) {
    return ignoreErrno('ENOTDIR')(error) ?? null;
  }
}

/** One that is emptied is as good as removed: even a new database has its first page. */
export function fileAt(path: string): string | null {
  return inodeAt(path, 1n);
}
