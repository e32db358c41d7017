/**
 * derived/<project_id>.db: what is made of a project's contents so that they can be searched. Nothing in it is anybody's
 * only copy, so it is neither backed up nor repaired: what is damaged or outdated is thrown away and made again.
 *
 * How it stays true: it is written before the row in index.db that relies on it (`files.extractor` is set), and what it says
 * of a content never changes. So a process that is killed in between leaves something that nobody needs, and never a row
 * without what it says that it has. What a power loss takes is told by `facts.boot`; a database that is another one than
 * index.db relied on, by `facts.token`: then every row of the project has to be looked at again.
 */
import { randomUUID } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { CodekeepError, messageOf } from '../../base/errors.js';
import { makeCompactable } from '../compaction.js';
import { busyTimeoutMs, Connection, statAt } from '../connection.js';
import type { IndexDatabase } from '../index-database.js';
import { guardOpening, isCorrupt } from '../sqlite-errors.js';
import { DerivedDamageError } from './damage.js';
import { derivedSchema, derivedVersion } from './schema.js';

/** Of the machine's current run; what was written in another one may not all have reached the disk. */
const bootId = readBootId();
/** Pages (4 KiB) after which SQLite copies the log back by itself, with two syncs. */
const checkpointPages = 4_000;
/** Bytes of the log that are kept for the next writes. */
const logBytesMax = 4_096 * checkpointPages;
/** KiB of pages that a connection keeps: the words of a burst of files. */
const cacheKib = 16 * 1024;

export function derivedPath(indexPath: string, projectId: string): string {
  return join(dirname(indexPath), 'derived', `${projectId}.db`);
}

/** Beside it: what git said of the project, see reconcile/git-memory.ts. */
export function gitAnswersPath(indexPath: string, projectId: string): string {
  return `${derivedPath(indexPath, projectId)}-git`;
}

interface Facts {
  token: string;
  boot: string;
  /** Transactions that added documents. */
  number: number;
  nextChunk: number;
  chunks: number;
}

/** Everything goes through `read` and `write`, so that damage here is never taken for damage of index.db. */
export class DerivedDatabase extends Connection {
  /** Null where there is none (yet), or one that this version cannot read. */
  static openReadOnly(path: string): DerivedDatabase | null {
    return openExisting(path, true);
  }

  /** As openReadOnly, for a process that adds to what is there. */
  static openForAdding(path: string): DerivedDatabase | null {
    return openExisting(path, false);
  }

  /** For the process that keeps it: makes a new one where there is none, or one that cannot be used. */
  static openOrMake(path: string): DerivedDatabase {
    makeFolder(dirname(path));
    try {
      return make(path);
    } catch (error) {
      if (!isUseless(error)) throw error;
      removeDerived(path);
      return make(path);
    }
  }

  /** @throws DerivedDamageError; as Connection.immediately */
  async write<T>(work: () => T, signal?: AbortSignal): Promise<T> {
    try {
      return await this.immediately(work, signal);
    } catch (error) {
      throw this.#asDamage(error);
    }
  }

  /** @throws DerivedDamageError */
  override read<T>(work: () => T): T {
    try {
      return super.read(work);
    } catch (error) {
      throw this.#asDamage(error);
    }
  }

  get facts(): Facts {
    const row = this.sql<[], Facts>(
      'SELECT token, boot, number, next_chunk AS nextChunk, chunks FROM facts WHERE id = 1',
    ).get();
    if (row === undefined) throw new DerivedDamageError('it says nothing of itself');
    return row;
  }

  /**
   * Makes sure that the index relies on this very database, for as long as the machine runs; where it does not, all of its
   * rows of the project have to be looked at again, which is told by true.
   */
  async beginKeeping(index: IndexDatabase, projectId: string): Promise<boolean> {
    const { token, boot, number } = this.read(() => this.facts);
    const relied = reliedOn(index, projectId);
    // One with a smaller number is an older copy, or has lost the end of its log.
    const isSame = relied.token === token && relied.number <= number;
    const isKnown = isSame && (boot === '' || boot === bootId);
    if (isKnown && boot === bootId) return false;
    await this.durably(async () => {
      if (isKnown) await this.write(() => this.#set(token, bootId));
      else await this.#introduce(index, projectId);
      // The log alone says nothing of it then: an older copy that is put beside that log would take its word for its own.
      this.db.pragma('wal_checkpoint(TRUNCATE)');
    });
    return !isKnown;
  }

  async #introduce(index: IndexDatabase, projectId: string): Promise<void> {
    const token = randomUUID();
    await index.write(() => {
      this.#set(token, bootId);
      index.sql('UPDATE projects SET derived = ?, derived_number = 0 WHERE id = ?').run(token, projectId);
      index.sql("UPDATE files SET extractor = NULL WHERE project_id = ? AND kind = 'file'").run(projectId);
    });
  }

  #set(token: string, boot: string): void {
    this.sql('UPDATE facts SET token = ?, boot = ? WHERE id = 1').run(token, boot);
  }

  /** Everything that was written has reached the disk when this resolves. */
  async endKeeping(): Promise<void> {
    await this.durably(
      async () => await this.write(() => this.sql("UPDATE facts SET boot = '' WHERE id = 1").run()),
    );
  }

  #asDamage(error: unknown): unknown {
    const isDamage = isCorrupt(error) || (error instanceof DerivedDamageError && error.path === null);
    return isDamage
      ? new DerivedDamageError(`${this.path}: ${messageOf(error)}`, { cause: error, path: this.path })
      : error;
  }

  /** Runs writes that survive a power loss, with all that were written before. */
  async durably<T>(work: () => Promise<T>): Promise<T> {
    this.db.pragma('synchronous = FULL');
    try {
      return await work();
    } finally {
      this.db.pragma('synchronous = NORMAL');
    }
  }
}

/** What a database of another version is opened with. */
class OutdatedError extends Error {}

function isUseless(error: unknown): boolean {
  return error instanceof OutdatedError || isCorrupt(error);
}

function make(path: string): DerivedDatabase {
  const db = guardOpening(path, () => new Database(path, { timeout: 5_000 }));
  try {
    makeCompactable(db);
    db.pragma('journal_mode = WAL');
    db.transaction(() => {
      const version = versionOf(db);
      if (version === derivedVersion) return;
      if (version !== 0 || db.prepare('SELECT 1 FROM sqlite_schema LIMIT 1').get() !== undefined)
        throw new OutdatedError();
      db.exec(derivedSchema);
      db.prepare(
        "INSERT INTO facts (id, token, boot, number, next_chunk, chunks) VALUES (1, ?, '', 0, 1, 0)",
      ).run(randomUUID());
      db.pragma(`user_version = ${derivedVersion}`);
    }).immediate();
    return prepared(db, path);
  } catch (error) {
    db.close();
    throw error;
  }
}

function openExisting(path: string, readonly: boolean): DerivedDatabase | null {
  if (statAt(path)?.isFile() !== true) return null;
  let db: Database.Database | null = null;
  try {
    db = new Database(path, { readonly, fileMustExist: true, timeout: 5_000 });
    if (versionOf(db) === derivedVersion) return prepared(db, path);
  } catch (error) {
    db?.close();
    if (!isCorrupt(error) && existsSync(path)) throw error;
    return null;
  }
  db.close();
  return null;
}

function prepared(db: Database.Database, path: string): DerivedDatabase {
  // NORMAL: what a power loss takes is made again.
  db.pragma('synchronous = NORMAL');
  db.pragma(`journal_size_limit = ${logBytesMax}`);
  db.pragma(`cache_size = -${cacheKib}`);
  db.pragma(`wal_autocheckpoint = ${checkpointPages}`);
  db.pragma(`busy_timeout = ${busyTimeoutMs}`);
  return new DerivedDatabase(db, path);
}

function versionOf(db: Database.Database): number {
  return Number(db.pragma('user_version', { simple: true }));
}

/** Whoever has it open goes on with what nobody finds any more. */
export function removeDerived(path: string): void {
  if (!isFolder(dirname(path))) return;
  for (const end of ['', '-wal', '-shm', '-journal', '-git']) rmSync(`${path}${end}`, { force: true });
}

/** @throws CodekeepError INDEX_UNAVAILABLE where something else is in its place */
function makeFolder(folder: string): void {
  if (lstatSync(folder, { throwIfNoEntry: false }) === undefined) mkdirSync(folder, { recursive: true });
  if (isFolder(folder)) return;
  throw new CodekeepError(
    'INDEX_UNAVAILABLE',
    `${folder} is no folder: what search needs to know cannot be written there.`,
    'Move it away; codekeep makes a folder of that name by itself.',
  );
}

function isFolder(path: string): boolean {
  return statAt(path)?.isDirectory() === true;
}

/** What is left of projects that are not registered any more. */
export function removeOrphans(indexPath: string, projectIds: ReadonlySet<string>): void {
  const folder = dirname(derivedPath(indexPath, ''));
  if (!isFolder(folder)) return;
  for (const name of readdirSync(folder)) {
    const id = /^(?<id>[\da-f-]{36})\.db(?:-wal|-shm|-journal|-git)?$/u.exec(name)?.groups?.['id'];
    if (id !== undefined && !projectIds.has(id)) rmSync(join(folder, name), { force: true });
  }
}

/** What rows of the project rely on. */
function reliedOn(index: IndexDatabase, projectId: string): { token: string | null; number: number } {
  const row = index
    .sql<[string], { token: string | null; number: number }>(
      'SELECT derived AS token, derived_number AS number FROM projects WHERE id = ?',
    )
    .get(projectId);
  return row ?? { token: null, number: 0 };
}

/** Rows that are written in the same transaction rely on what the database has by now. */
export function noteRelied(index: IndexDatabase, projectId: string, number: number): void {
  index
    .sql('UPDATE projects SET derived_number = max(derived_number, ?) WHERE id = ?')
    .run(number, projectId);
}

function readBootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
  } catch {
    // Without it every start is taken for one after a power loss: slower, and never wrong.
    return randomUUID();
  }
}
