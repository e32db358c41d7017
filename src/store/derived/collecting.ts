/**
 * What no file uses any more leaves the derived database after a while: until then a branch that is switched to and back, or
 * a file that is put back, costs nothing.
 */
import { hasPathWith, isActive } from '../active-contents.js';
import type { IndexDatabase } from '../index-database.js';
import type { DerivedDatabase } from './derived-database.js';
import { dropDocument, documentsFrom, dropPath, pathsFrom } from './documents.js';

/** How long (ms) something is kept that no file uses. */
export const unusedKeptMs = 86_400_000;

/** Rows looked at in one step: about 2 ms. */
const stepRows = 200;

type Row = { id: number; unusedSince: number | null; isUsed: boolean; drop: () => void };

/** One pass over all documents and paths of a project. */
export class Collecting {
  readonly #index: IndexDatabase;
  readonly #derived: DerivedDatabase;
  readonly #projectId: string;
  #phase: 'documents' | 'paths' = 'documents';
  #from = 0;

  constructor(index: IndexDatabase, derived: DerivedDatabase, projectId: string) {
    this.#index = index;
    this.#derived = derived;
    this.#projectId = projectId;
  }

  /**
   * Looks at some more rows. Nothing may be indexed meanwhile: what is found unused must not be used a moment later.
   * @param now milliseconds since 1970
   * @returns whether there are more
   */
  async step(now: number): Promise<boolean> {
    const rows = this.#derived.read(() => (this.#phase === 'documents' ? this.#documents() : this.#paths()));
    const changes = rows.flatMap((row) => changeOf(row, now));
    if (changes.length > 0) {
      const table = this.#phase === 'documents' ? 'documents' : 'paths';
      const key = this.#phase === 'documents' ? 'first_chunk' : 'id';
      await this.#derived.write(() => {
        for (const { row, to } of changes) {
          if (to === 'dropped') row.drop();
          else this.#derived.sql(`UPDATE ${table} SET unused_since = ? WHERE ${key} = ?`).run(to, row.id);
        }
      });
    }
    this.#from = (rows.at(-1)?.id ?? 0) + 1;
    if (rows.length === stepRows) return true;
    if (this.#phase === 'paths') return false;
    this.#phase = 'paths';
    this.#from = 0;
    return true;
  }

  #documents(): Row[] {
    return documentsFrom(this.#derived, this.#from, stepRows).map((document) => ({
      id: document.firstChunk,
      unusedSince: document.unusedSince,
      isUsed: hasPathWith(this.#index, this.#projectId, document),
      drop: () => dropDocument(this.#derived, document),
    }));
  }

  #paths(): Row[] {
    return pathsFrom(this.#derived, this.#from, stepRows).map(({ id, path, unusedSince }) => ({
      id,
      unusedSince,
      isUsed: isActive(this.#index, this.#projectId, path),
      drop: () => dropPath(this.#derived, id),
    }));
  }
}

/** Times that were put back count as long ago: then it is made once more. */
function changeOf(row: Row, now: number): { row: Row; to: number | null | 'dropped' }[] {
  const { isUsed, unusedSince } = row;
  if (isUsed) return unusedSince === null ? [] : [{ row, to: null }];
  if (unusedSince === null) return [{ row, to: now }];
  return Math.abs(now - unusedSince) >= unusedKeptMs ? [{ row, to: 'dropped' }] : [];
}
