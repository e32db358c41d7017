import { statSync } from 'node:fs';
import Database from 'better-sqlite3';
import { CodekeepError, errnoOf, reasonOf, systemErrorText } from '../base/errors.js';
import { sleep } from '../base/waiting.js';
import { CommitNote } from './index-identity.js';
import { isIndexSchema } from './schema-check.js';
import { migrations } from './schema.js';
import { type DamagedContent, noteDamaged } from './scrub.js';

/** A statement may block this process's event loop for a lock so long (ms), no longer; `write` waits asynchronously. */
const busyTimeoutMs = 15;
/** How long `write` keeps asking for the write lock (ms): longer than the longest transaction of any process. */
const writePatienceMs = 30_000;
/** Pages (4 KiB) after which SQLite copies the WAL back by itself. */
const checkpointPages = 4_000;

/** What a statement gives, as better-sqlite3 types it. */
export type Statement<P extends unknown[], R> = Database.Statement<P, R>;

/** One process's connection to the index: statements by their text, short write transactions. */
export class IndexDatabase {
  readonly db: Database.Database;
  readonly path: string;
  /** Which file was opened. */
  readonly #file: string | null;
  /** Which log it was first seen with. */
  #log: string | null = null;
  readonly #note: CommitNote;
  readonly #statements = new Map<string, Database.Statement>();

  /** Told where a content could not be read because a page is damaged: that is a result for whoever wanted it, and no error. */
  onDamage: () => void = () => undefined;
  /** Contents that somebody could not be given, and that are not noted yet. */
  readonly #found = new Map<string, DamagedContent>();

  /** It was opened with a log beside it, as where somebody else has it open, or ended without closing it. */
  readonly hadLog: boolean;

  private constructor(db: Database.Database, path: string, hadLog: boolean) {
    this.db = db;
    this.path = path;
    this.hadLog = hadLog;
    this.#file = fileAt(path);
    this.#note = new CommitNote(path);
    this.#log = logAt(path);
  }

  /**
   * Opens the index and brings its schema up to date.
   * @throws CodekeepError DATABASE_CORRUPT when the file is no database or was written by a newer version
   */
  static open(path: string, mayBeNew = true): IndexDatabase {
    return guardOpening(path, () => {
      if (isRobbed(path)) throw robbed(path);
      const hadLog = (sizeOf(`${path}-wal`) ?? 0) > 0;
      const db = new Database(path, { timeout: 5_000 });
      if (!mayBeNew) assertFilled(db);
      db.pragma('journal_mode = WAL');
      // FULL: a commit survives a power loss. The index is the last copy of a file that is gone from disk.
      db.pragma('synchronous = FULL');
      db.pragma('foreign_keys = ON');
      db.pragma(`wal_autocheckpoint = ${checkpointPages}`);
      db.pragma('journal_size_limit = 67108864');
      migrate(db);
      db.pragma(`busy_timeout = ${busyTimeoutMs}`);
      return new IndexDatabase(db, path, hadLog);
    });
  }

  /**
   * Opens the index that index_service has made: a new one in its place would be empty, and called true.
   * @throws CodekeepError INDEX_UNAVAILABLE where it is gone; as `open`
   */
  static openExisting(path: string): IndexDatabase {
    if (fileAt(path) === null) throw isGone(path);
    return IndexDatabase.open(path, false);
  }

  /** False where the file that was opened is not at its path any more: what is written now ends with this process. */
  get isInPlace(): boolean {
    return this.#file !== null && fileAt(this.path) === this.#file && this.#isLogInPlace();
  }

  /** It stays as long as anybody has the index open; other processes would begin another one. */
  #isLogInPlace(): boolean {
    const log = logAt(this.path);
    this.#log ??= log;
    return this.#log === log;
  }

  /** INDEX_UNAVAILABLE with what to do, to be thrown or told; null while it is in its place. */
  get placeProblem(): CodekeepError | null {
    return this.isInPlace ? null : isGone(this.path);
  }

  /** Opens the index for looking only: a connection that cannot write, as a dry run needs. */
  static openReadOnly(path: string): IndexDatabase {
    return guardOpening(path, () => {
      const db = new Database(path, { readonly: true, fileMustExist: true, timeout: 5_000 });
      const version = Number(db.pragma('user_version', { simple: true }));
      if (version !== migrations.length) throw schemaMismatch(path, version);
      return new IndexDatabase(db, path, false);
    });
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

  /**
   * Runs `work` in one immediate transaction; waits for other writers without blocking the event loop.
   * `work` is synchronous and short: while it runs, nobody else writes.
   * @throws CodekeepError TIMEOUT when the lock cannot be had in 30 s
   */
  async write<T>(work: () => T, signal?: AbortSignal): Promise<T> {
    // Noted before the work, which may mend some of them, and find others.
    const found = [...this.#found.values()];
    const transaction = this.db.transaction((): { result: T; number: number | null } => {
      const before = this.#changes();
      for (const content of found) noteDamaged(this, content, Date.now());
      const result = work();
      return { result, number: this.#changes() === before ? null : this.#count() };
    });
    const giveUpAt = performance.now() + writePatienceMs;
    for (let pauseMs = 2; ; pauseMs = Math.min(pauseMs * 2, 50)) {
      signal?.throwIfAborted();
      try {
        const { result, number } = transaction.immediate();
        for (const { sha256 } of found) this.#found.delete(sha256);
        // What is written to a file that somebody removed ends with it, and the copy that is saved of it is not to be called old.
        if (number !== null && this.isInPlace) this.#note.write(number);
        return result;
      } catch (error) {
        if (!isBusy(error)) throw error;
        if (performance.now() > giveUpAt) {
          throw new CodekeepError(
            'TIMEOUT',
            'The index is locked by another process.',
            'Stop what else has index.db open.',
          );
        }
        await sleep(pauseMs, signal);
      }
    }
  }

  /** It is noted with the next write, whoever's that is: a read writes nothing. */
  foundDamaged(content: DamagedContent): void {
    this.#found.set(content.sha256, content);
  }

  get hasFoundDamaged(): boolean {
    return this.#found.size > 0;
  }

  /** Rows that this connection has changed. */
  #changes(): number {
    return this.sql<[], { changes: number }>('SELECT total_changes() AS changes').get()?.changes ?? 0;
  }

  #count(): number | null {
    const row = this.sql<[], { number: number }>(
      'UPDATE commits SET number = number + 1 RETURNING number',
    ).get();
    return row?.number ?? null;
  }

  close(): void {
    this.#note.close();
    this.#statements.clear();
    this.db.close();
  }
}

/** Which file is at a path; null where none is, or one with fewer bytes. */
function inodeAt(path: string, bytesMin: bigint): string | null {
  const stats = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stats === undefined || stats.size < bytesMin ? null : `${stats.dev} ${stats.ino}`;
}

/** One that is emptied is as good as removed: even a new index has its first page. */
function fileAt(path: string): string | null {
  return inodeAt(path, 1n);
}

function logAt(path: string): string | null {
  return inodeAt(`${path}-wal`, 0n);
}

function isGone(path: string): CodekeepError {
  return new CodekeepError(
    'INDEX_UNAVAILABLE',
    `${path} or its log was removed, emptied or replaced while codekeep runs.`,
    'Do not stop codekeep yet: "codekeep backup" saves what it still has open. Then stop it, put that copy there, and start again.',
  );
}

/** Somebody has emptied it, or taken it away from its log: a new one in its place would be called true. */
function isRobbed(path: string): boolean {
  return sizeOf(path) === 0 || (sizeOf(path) === undefined && (sizeOf(`${path}-wal`) ?? 0) > 0);
}

function sizeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.size;
}

function robbed(path: string): CodekeepError {
  return new CodekeepError(
    'DATABASE_CORRUPT',
    `${path} is damaged: it is empty, or gone from beside its log.`,
    'Start the daemon: "codekeep rebuild" makes a new one of its log, the backups and the disk. To begin anew, remove index.db, index.db-wal, index.db-shm and index.id.',
  );
}

/** Somebody has emptied it: to make a new one of it would lose what its log still has. */
function assertFilled(db: Database.Database): void {
  if (Number(db.pragma('user_version', { simple: true })) > 0) return;
  db.close();
  throw isGone(db.name);
}

/** Whether opening it would change its schema. What cannot be read is for `open` to say. */
export function isOlder(path: string): boolean {
  if ((sizeOf(path) ?? 0) === 0) return false;
  try {
    const db = new Database(path, { readonly: true, fileMustExist: true });
    try {
      const version = Number(db.pragma('user_version', { simple: true }));
      return version > 0 && version < migrations.length;
    } finally {
      db.close();
    }
  } catch {
    return false;
  }
}

function migrate(db: Database.Database): void {
  const apply = db.transaction(() => {
    const version = Number(db.pragma('user_version', { simple: true }));
    if (version > migrations.length) throw schemaMismatch(db.name, version);
    for (const migration of migrations.slice(version)) db.exec(migration);
    db.pragma(`user_version = ${migrations.length}`);
  });
  assertOurs(db);
  if (Number(db.pragma('user_version', { simple: true })) === migrations.length) return;
  try {
    apply.immediate();
  } catch (error) {
    // Its tables are not those of the version that it says.
    throw sqliteCode(error) === 'SQLITE_ERROR' ? notOurs(db) : error;
  }
}

/** A database of another program, or one whose header is damaged, is neither filled nor believed. */
function assertOurs(db: Database.Database): void {
  const version = Number(db.pragma('user_version', { simple: true }));
  const isEmpty = db.prepare('SELECT 1 FROM sqlite_schema LIMIT 1').get() === undefined;
  if (version > migrations.length || (version === 0 ? isEmpty : isIndexSchema(db, version))) return;
  throw notOurs(db);
}

function notOurs(db: Database.Database): CodekeepError {
  return new CodekeepError(
    'DATABASE_CORRUPT',
    `${db.name} is damaged: it is no index of codekeep, or its first page is not what was written.`,
    damageHint,
  );
}

const damageHint =
  'Start the daemon: "codekeep rebuild" makes a new one of all that can be read, of the backups and of the disk; the damaged one is kept.';

export function schemaMismatch(path: string, version: number): CodekeepError {
  return new CodekeepError(
    'INDEX_UNAVAILABLE',
    `${path} has schema version ${version}, this program knows ${migrations.length}.`,
    'Start the version of codekeep that wrote it, or give another --state-dir.',
  );
}

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
    if (/^SQLITE_(?:CANTOPEN|READONLY)/u.test(sqliteCode(error))) {
      throw new CodekeepError(
        'INDEX_UNAVAILABLE',
        `${path} cannot be opened for writing: the folder or its file system is read-only, or not this user's.`,
        'Mend that, then start again; a daemon that runs also tries it again by itself.',
      );
    }
    throw isCorrupt(error) ? damaged(path, error) : error;
  }
}

function sqliteCode(error: unknown): string {
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
  ['SQLITE_FULL', 'the disk is full'],
  ['SQLITE_READONLY', "the index cannot be written: its file system is read-only, or it is not this user's"],
  ['SQLITE_IOERR', 'the disk that holds the index reports an error'],
  ['SQLITE_CANTOPEN', "the index cannot be opened: its folder is gone or not this user's"],
];

function sqliteText(error: unknown): string | null {
  const code = sqliteCode(error);
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
