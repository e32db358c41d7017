import { statSync } from 'node:fs';
import Database from 'better-sqlite3';
import { CodekeepError } from '../base/errors.js';
import { makeCompactable } from './compaction.js';
import { busyTimeoutMs, Connection, fileAt, inodeAt } from './connection.js';
import { CommitNote } from './index-identity.js';
import { isIndexSchema } from './schema-check.js';
import { defaultPace, type Pace } from './revisions.js';
import { migrations } from './schema.js';
import { type DamagedContent, noteDamaged } from './scrub.js';
import { damageHint, guardOpening, isCorrupt, sqliteCode } from './sqlite-errors.js';

/** Pages (4 KiB) after which SQLite copies the WAL back by itself. */
const checkpointPages = 4_000;

/** One process's connection to the index. */
export class IndexDatabase extends Connection {
  /** Which log it was first seen with. */
  #log: string | null = null;
  readonly #note: CommitNote;

  /** How often states of a path are kept that follow each other. */
  pace: Pace = defaultPace;

  /** Told where a content could not be read because a page is damaged: that is a result for whoever wanted it, and no error. */
  onDamage: () => void = () => undefined;
  /** Contents that somebody could not be given, and that are not noted yet. */
  readonly #found = new Map<string, DamagedContent>();

  /** It was opened with a log beside it, as where somebody else has it open, or ended without closing it. */
  readonly hadLog: boolean;

  private constructor(db: Database.Database, path: string, hadLog: boolean) {
    super(db, path);
    this.hadLog = hadLog;
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
      makeCompactable(db);
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
  override get isInPlace(): boolean {
    return super.isInPlace && this.#isLogInPlace();
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

  /**
   * Runs `work` in one immediate transaction; waits for other writers without blocking the event loop.
   * `work` is synchronous and short: while it runs, nobody else writes.
   * @throws CodekeepError TIMEOUT when the lock cannot be had in 30 s
   */
  async write<T>(work: () => T, signal?: AbortSignal): Promise<T> {
    // Noted before the work, which may mend some of them, and find others.
    const found = [...this.#found.values()];
    const { result, number } = await this.immediately(() => {
      const before = this.#changes();
      for (const content of found) noteDamaged(this, content, Date.now());
      const made = work();
      return { result: made, number: this.#changes() === before ? null : this.#count() };
    }, signal);
    for (const { sha256 } of found) this.#found.delete(sha256);
    // What is written to a file that somebody removed ends with it, and the copy that is saved of it is not to be called old.
    if (number !== null && this.isInPlace) this.#note.write(number);
    return result;
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

  override close(): void {
    this.#note.close();
    super.close();
  }
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

/**
 * Whether opening it would change its schema; of a damaged one `open` says what is wrong.
 * @throws what keeps it from being read now: it may be older
 */
export function isOlder(path: string): boolean {
  if ((sizeOf(path) ?? 0) === 0) return false;
  return guardOpening(path, () => {
    let db: Database.Database | null = null;
    try {
      db = new Database(path, { readonly: true, fileMustExist: true, timeout: busyTimeoutMs });
      const version = Number(db.pragma('user_version', { simple: true }));
      return version > 0 && version < migrations.length;
    } catch (error) {
      if (isCorrupt(error)) return false;
      throw error;
    } finally {
      db?.close();
    }
  });
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

export function schemaMismatch(path: string, version: number): CodekeepError {
  return new CodekeepError(
    'INDEX_UNAVAILABLE',
    `${path} has schema version ${version}, this program knows ${migrations.length}.`,
    'Start the version of codekeep that wrote it, or give another --state-dir.',
  );
}
