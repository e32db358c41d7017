import type { IndexDatabase } from '../index-database.js';
import { DerivedDatabase, derivedPath, removeDerived } from './derived-database.js';

/** The derived databases that a process keeps, one a project, each opened when it is needed. */
export class DerivedDatabases {
  readonly #index: IndexDatabase;
  readonly #open = new Map<string, DerivedDatabase>();

  constructor(index: IndexDatabase) {
    this.#index = index;
  }

  /** The project's, made (again) where there is none: then all of its rows in the index are to be looked at again. */
  async of(projectId: string): Promise<DerivedDatabase> {
    const known = this.#open.get(projectId);
    if (known?.isInPlace === true) return known;
    this.#forget(projectId);
    const derived = DerivedDatabase.openOrMake(derivedPath(this.#index.path, projectId));
    this.#open.set(projectId, derived);
    await derived.beginKeeping(this.#index, projectId);
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
