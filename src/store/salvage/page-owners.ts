import type { Slicer } from '../../base/waiting.js';
import { childPages, databaseHeader, headerStart, pageBytes, pageType } from './format.js';
import type { PageFile } from './page-file.js';

/** The page at which SQLite's own table of tables and indexes begins. */
const schemaRoot = 1;
export const schemaTable = 'sqlite_schema';
/** Pages that one page of the list of free ones can name. */
const freePagesMax = (pageBytes - 8) / 4;

/** Where the first page of pointers is, the bytes of an entry in it, and the pages that one tells of. */
const firstPointerMap = 2;
const pointerBytes = 5;
const mappedPages = Math.floor(pageBytes / pointerBytes);
/** Kinds of pages in an entry; 0 for none. */
const pointerKindMax = 5;

/** Told by its entries, where the header does not say whether there are such pages. */
function looksLikePointerMap(page: Buffer | null): boolean {
  if (page === null || page[0] === 0) return false;
  for (let entry = 0; entry < mappedPages; entry += 1)
    if ((page[entry * pointerBytes] ?? 0) > pointerKindMax) return false;
  return true;
}

/**
 * Which table or index each page belongs to: a page knows only those below it, so that what lies below a damaged one
 * belongs to nobody. That is told by its rows then.
 */
export class PageOwners {
  readonly #types: Uint8Array;
  readonly #parents: Uint32Array;
  readonly #free = new Set<number>();
  readonly #broken = new Set<number>();
  /** SQLite keeps pages that say where others hang, so that free ones can be given back. */
  readonly #hasPointerMap: boolean;
  /** Names by the page at which they begin. */
  readonly #roots = new Map<number, string>();
  /** What the schema says of each table, in SQL. */
  readonly declarations = new Map<string, string>();
  readonly pageCount: number;
  /** Null where the header is damaged. */
  readonly userVersion: number | null;

  private constructor(file: PageFile) {
    this.pageCount = file.pageCount;
    this.#types = new Uint8Array(file.pageCount + 1);
    this.#parents = new Uint32Array(file.pageCount + 1);
    const first = file.page(1);
    const header = first === null ? null : databaseHeader(first);
    this.userVersion = header?.userVersion ?? null;
    this.#hasPointerMap = header?.hasPointerMap === true || looksLikePointerMap(file.page(firstPointerMap));
  }

  static async of(file: PageFile, slicer: Slicer): Promise<PageOwners> {
    const owners = new PageOwners(file);
    for (let number = 1; number <= file.pageCount; number += 1) {
      owners.#note(file, number);
      await slicer.breathe();
    }
    owners.#noteFree(file);
    for (let number = 1; number <= file.pageCount; number += 1) {
      owners.#noteRoots(file, number);
      await slicer.breathe();
    }
    return owners;
  }

  #note(file: PageFile, number: number): void {
    const page = this.#isPointerMap(number) ? null : file.page(number);
    const type = page?.[headerStart(number)] ?? 0;
    this.#types[number] = type;
    if (page === null || (type !== pageType.tableInterior && type !== pageType.indexInterior)) return;
    const children = childPages(page, number, this.pageCount);
    if (children === null) this.#broken.add(number);
    for (const child of children ?? []) {
      if (this.#parents[child] === 0 && child !== number) this.#parents[child] = number;
    }
  }

  #noteFree(file: PageFile): void {
    const first = file.page(1);
    let next = (first === null ? null : databaseHeader(first))?.freeList ?? 0;
    while (next > 1 && next <= this.pageCount && !this.#free.has(next) && this.#parents[next] === 0) {
      const trunk = file.page(next);
      const count = trunk?.readUInt32BE(4) ?? freePagesMax + 1;
      if (trunk === null || count > freePagesMax) return;
      this.#free.add(next);
      for (let at = 0; at < count; at += 1) this.#free.add(trunk.readUInt32BE(8 + at * 4));
      next = trunk.readUInt32BE(0);
    }
  }

  #noteRoots(file: PageFile, number: number): void {
    const top = this.#topOf(number);
    if (this.#types[number] !== pageType.tableLeaf || (top !== schemaRoot && top !== number)) return;
    for (const { values } of file.records(number, pageType.tableLeaf).records) {
      const [type, name, , root, sql] = values;
      const isOne = (type === 'table' || type === 'index') && typeof name === 'string';
      if (!isOne || typeof root !== 'number' || values.length !== 5) continue;
      this.#roots.set(root, name);
      if (type === 'table' && typeof sql === 'string') this.declarations.set(name, sql);
    }
  }

  #topOf(number: number): number {
    let top = number;
    // A damaged page can name one above it.
    for (let depth = 0; depth < 20 && this.#parents[top] !== 0; depth += 1) top = this.#parents[top] ?? 0;
    return top;
  }

  /** The table or index that a page belongs to; null where that is not known. */
  ownerOf(number: number): string | null {
    const top = this.#topOf(number);
    return top === schemaRoot ? schemaTable : (this.#roots.get(top) ?? null);
  }

  /** The page at which a table or an index begins; null where that is not known, or the page is not there. */
  rootOf(name: string): number | null {
    return [...this.#roots].find(([root, begun]) => begun === name && root <= this.pageCount)?.[0] ?? null;
  }

  typeOf(number: number): number {
    return this.#types[number] ?? 0;
  }

  /** Nobody's: what is still in it is of a time that is over. */
  isFree(number: number): boolean {
    return (this.#free.has(number) && this.#parents[number] === 0) || this.#isPointerMap(number);
  }

  #isPointerMap(number: number): boolean {
    return this.#hasPointerMap && (number - firstPointerMap) % (mappedPages + 1) === 0;
  }

  /** It leads to others, and it cannot be told to which. */
  isBrokenInterior(number: number): boolean {
    return this.#broken.has(number) && !this.isFree(number);
  }
}
