import { sleep } from '../../base/waiting.js';
import type { IndexDatabase } from '../index-database.js';
import { isBusy } from '../sqlite-errors.js';
import { requireProject } from '../projects.js';
import { DerivedDatabase, derivedPath, removeDerived } from './derived-database.js';

/** How often a locked database is tried, with a pause (ms) in between. */
const openTries = 50;
const openPauseMs = 20;

/** Databases that stay open for looking; each holds three descriptors and some memory. */
const readersMax = 64;

/** The derived databases that a process keeps, one a project, each opened when it is needed. */
export class DerivedDatabases {
  readonly #index: IndexDatabase;
  readonly #open = new Map<string, DerivedDatabase>();
  readonly #opening = new Map<string, Promise<DerivedDatabase>>();
  readonly #made = new Map<string, number>();

  constructor(index: IndexDatabase) {
    this.#index = index;
  }

  /** How often a project's was found to be another one than the index relied on: a comparison of all rows has to follow. */
  timesMade(projectId: string): number {
    return this.#made.get(projectId) ?? 0;
  }

  /**
   * The project's, made (again) where there is none: then all of its rows in the index are to be looked at again.
   * @throws CodekeepError PROJECT_NOT_FOUND where it was removed meanwhile
   */
  async of(projectId: string): Promise<DerivedDatabase> {
    const known = this.#open.get(projectId);
    if (known?.isInPlace === true) return known;
    // Whoever asks meanwhile waits for the same one.
    const opening = this.#opening.get(projectId) ?? this.#openOne(projectId);
    this.#opening.set(projectId, opening);
    return await opening.finally(() => this.#opening.delete(projectId));
  }

  async #openOne(projectId: string): Promise<DerivedDatabase> {
    requireProject(this.#index, { project_id: projectId });
    const path = derivedPath(this.#index.path, projectId);
    const before = tokenOf(this.#open.get(projectId));
    this.#forget(projectId);
    let derived = await openPatiently(path);
    // Another file that says that it is the one that was open: a copy, whose number may come from the log of that one.
    if (before !== null && tokenOf(derived) === before) {
      derived.close();
      removeDerived(path);
      derived = await openPatiently(path);
    }
    try {
      if (await derived.beginKeeping(this.#index, projectId))
        this.#made.set(projectId, this.timesMade(projectId) + 1);
    } catch (error) {
      derived.close();
      throw error;
    }
    this.#open.set(projectId, derived);
    return derived;
  }

  /** False where somebody removed it: nobody else knows that rows rely on what is gone. */
  isInPlace(projectId: string): boolean {
    return this.#open.get(projectId)?.isInPlace ?? true;
  }

  /** Throws away what is damaged; `of` makes another one. */
  discard(projectId: string): void {
    this.#forget(projectId);
    removeDerived(derivedPath(this.#index.path, projectId));
  }

  /** Only these projects are left. */
  retain(projectIds: ReadonlySet<string>): void {
    for (const id of this.#open.keys()) if (!projectIds.has(id)) this.#forget(id);
  }

  async close(): Promise<void> {
    for (const [id, derived] of this.#open) {
      // A database that cannot be written any more is looked at again after the next start of the machine.
      if (derived.isInPlace) await derived.endKeeping().catch(() => undefined);
      this.#forget(id);
    }
  }

  #forget(projectId: string): void {
    this.#open.get(projectId)?.close();
    this.#open.delete(projectId);
  }
}

/** Null where none is open, or it cannot be read. */
function tokenOf(derived: DerivedDatabase | undefined): string | null {
  try {
    return derived?.read(() => derived.facts.token) ?? null;
  } catch {
    return null;
  }
}

/** Whoever else has the one open that it takes the place of may hold a lock for a moment. */
async function openPatiently(path: string): Promise<DerivedDatabase> {
  for (let tries = 1; ; tries += 1) {
    try {
      return DerivedDatabase.openOrMake(path);
    } catch (error) {
      if (!isBusy(error) || tries === openTries) throw error;
      await sleep(openPauseMs);
    }
  }
}

interface Reader {
  derived: DerivedDatabase;
  /** Pieces of work that use it. */
  uses: number;
  /** Nobody finds it any more: it is closed when the last one is done. */
  isLeft: boolean;
}

/** Derived databases for looking only, one a project, each opened when somebody asks. */
export class DerivedReaders {
  readonly #indexPath: string;
  readonly #open = new Map<string, Reader>();

  constructor(indexPath: string) {
    this.#indexPath = indexPath;
  }

  /**
   * Runs `work` with those of some projects, which stay open until it ends, whatever becomes of them. A project that has none
   * (yet) is left out.
   */
  async use<T>(
    projectIds: readonly string[],
    work: (open: ReadonlyMap<string, DerivedDatabase>) => Promise<T> | T,
  ): Promise<T> {
    const readers = new Map<string, Reader>();
    for (const id of projectIds) {
      const reader = this.#readerOf(id);
      if (reader === null) continue;
      reader.uses += 1;
      readers.set(id, reader);
    }
    try {
      return await work(new Map([...readers].map(([id, { derived }]) => [id, derived])));
    } finally {
      for (const reader of readers.values()) {
        reader.uses -= 1;
        closeUnused(reader);
      }
      this.#trim();
    }
  }

  /** For one look at once; null where there is none (yet). */
  look<T>(projectId: string, work: (derived: DerivedDatabase) => T): T | null {
    const reader = this.#readerOf(projectId);
    return reader === null ? null : work(reader.derived);
  }

  /** Throws away what is damaged; the process that keeps it makes another one. */
  discard(projectId: string): void {
    this.#forget(projectId);
    removeDerived(derivedPath(this.#indexPath, projectId));
  }

  close(): void {
    for (const id of this.#open.keys()) this.#forget(id);
  }

  #readerOf(projectId: string): Reader | null {
    const known = this.#open.get(projectId);
    if (known?.derived.isInPlace === true) {
      // The map is in the order of use.
      this.#open.delete(projectId);
      this.#open.set(projectId, known);
      return known;
    }
    this.#forget(projectId);
    const derived = DerivedDatabase.openReadOnly(derivedPath(this.#indexPath, projectId));
    if (derived === null) return null;
    const reader = { derived, uses: 0, isLeft: false };
    this.#open.set(projectId, reader);
    return reader;
  }

  #trim(): void {
    for (const id of this.#open.keys()) {
      if (this.#open.size <= readersMax) return;
      this.#forget(id);
    }
  }

  #forget(projectId: string): void {
    const reader = this.#open.get(projectId);
    if (reader === undefined) return;
    this.#open.delete(projectId);
    reader.isLeft = true;
    closeUnused(reader);
  }
}

function closeUnused({ derived, uses, isLeft }: Reader): void {
  if (isLeft && uses === 0) derived.close();
}
