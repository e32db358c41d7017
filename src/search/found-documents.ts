import type { DerivedDatabase } from '../store/derived/derived-database.js';
import { type DocumentRow, documentOf, documentWithChunk, layoutOf } from '../store/derived/documents.js';
import { kindBit, type LayoutChunk, type StoredLayout } from '../store/derived/layout-codec.js';
import { activeContents, pathsWith } from '../store/active-contents.js';
import type { IndexDatabase } from '../store/index-database.js';
import { ChunkRanges } from './chunk-ranges.js';

export interface SearchFilter {
  /** Paths that start with it, as bytes do: no pattern. */
  pathPrefix?: string | undefined;
  language?: string | undefined;
  /** Kind of the chunk's entity. */
  kind?: string | undefined;
}

/** Files with the very same content that are looked at. */
const sameFilesMax = 100;
/** Files below a prefix whose chunks are looked up beforehand; with more of them what is found is mostly below it anyway. */
const filesBelowMax = 5_000;

/** A chunk as it is in a file that is there. */
export interface FoundChunk {
  readonly path: string;
  readonly chunkId: number;
  readonly startLine: number;
  readonly endLine: number;
  /** Qualified name of its entity. */
  readonly entity: string | null;
  readonly document: DocumentRow;
  readonly chunk: LayoutChunk;
}

interface FoundDocument {
  row: DocumentRow;
  paths: readonly string[];
  layout: StoredLayout | null;
}

/**
 * Which files the chunks are of that a search finds: what is derived knows contents, and only the index knows which file has
 * one now. What nobody has any more is no answer. For one question: documents are looked up once.
 */
export class FoundDocuments {
  readonly #index: IndexDatabase;
  readonly #derived: DerivedDatabase;
  readonly #projectId: string;
  readonly #filter: SearchFilter;
  readonly #byFirstChunk = new Map<number, FoundDocument>();

  constructor(index: IndexDatabase, derived: DerivedDatabase, projectId: string, filter: SearchFilter) {
    this.#index = index;
    this.#derived = derived;
    this.#projectId = projectId;
    this.#filter = filter;
  }

  /** The chunks that can be an answer, where that can be told beforehand; each one is still to be asked for. */
  ranges(): ChunkRanges {
    const { pathPrefix } = this.#filter;
    if (pathPrefix === undefined || pathPrefix === '') return ChunkRanges.all;
    const page = { prefix: pathPrefix, after: '', limit: filesBelowMax + 1 };
    const contents = activeContents(this.#index, this.#projectId, page);
    if (contents.length > filesBelowMax) return ChunkRanges.all;
    const rows = new Map<number, DocumentRow>();
    for (const { sha256, language } of contents) {
      const row = documentOf(this.#derived, sha256, language);
      if (row !== undefined) rows.set(row.firstChunk, row);
    }
    return ChunkRanges.of([...rows.values()]);
  }

  /** A chunk in each file that has it and passes the filter; none where nobody has it any more. */
  withChunk(chunkId: number): FoundChunk[] {
    const document = this.#documentWith(chunkId);
    if (document === null || document.paths.length === 0) return [];
    const { row, paths } = document;
    const { kind } = this.#filter;
    if (kind !== undefined && (row.kinds & kindBit(kind)) === 0) return [];
    document.layout ??= layoutOf(this.#derived, row.firstChunk);
    const { layout } = document;
    const chunk = layout.chunk(chunkId - row.firstChunk);
    if (chunk === undefined) return [];
    const entity = layout.entityOf(chunk);
    if (kind !== undefined && entity?.kind !== kind) return [];
    const { startLine, endLine } = chunk;
    const name = entity?.qualifiedName ?? null;
    return paths.map((path) => ({ path, chunkId, startLine, endLine, entity: name, document: row, chunk }));
  }

  #documentWith(chunkId: number): FoundDocument | null {
    const row = documentWithChunk(this.#derived, chunkId);
    if (row === undefined) return null;
    const known = this.#byFirstChunk.get(row.firstChunk);
    if (known !== undefined) return known;
    const found = { row, paths: this.#pathsOf(row), layout: null };
    this.#byFirstChunk.set(row.firstChunk, found);
    return found;
  }

  #pathsOf(row: DocumentRow): string[] {
    const { language, pathPrefix = '' } = this.#filter;
    if (language !== undefined && row.language !== language) return [];
    const paths = pathsWith(this.#index, this.#projectId, row, sameFilesMax);
    return paths.filter((path) => path.startsWith(pathPrefix));
  }
}
