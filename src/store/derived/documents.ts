import { RecentlyUsed } from '../../base/recently-used.js';
import { termsOf } from '../../base/search-terms.js';
import type { DerivedDatabase } from './derived-database.js';
import { encodeLayout, StoredLayout } from './layout-codec.js';
import { PostingsBatch } from './postings-batch.js';
import { noteDropped } from './segments.js';
import { levelOf } from './term-weights.js';
import { hasVectors } from './vectors.js';
import { packWords } from './word-packer.js';

/** A content as it was made searchable, ready to be stored. */
export interface NewDocument {
  /** Of the raw bytes. */
  readonly sha256: string;
  readonly language: string | null;
  readonly extractor: string;
  readonly chunks: number;
  /** Of its entities, as kindsOf gives them. */
  readonly kinds: number;
  /** As encodeLayout made it. */
  readonly layout: Uint8Array;
  /** As packWords made it. */
  readonly words: Uint8Array;
}

export interface DocumentRow {
  firstChunk: number;
  /** Hexadecimal. */
  sha256: string;
  language: string | null;
  extractor: string;
  chunks: number;
  kinds: number;
  /** When no file was found to have it (ms since 1970); null: one has. */
  unusedSince: number | null;
}

const columns = `first_chunk AS firstChunk, lower(hex(sha256)) AS sha256, nullif(language, '') AS language, extractor, chunks, kinds,
  unused_since AS unusedSince`;

/** What a content is searchable as in a language; undefined where it is not (yet). */
export function documentOf(
  derived: DerivedDatabase,
  sha256: string,
  language: string | null,
): DocumentRow | undefined {
  return derived
    .sql<[Buffer, string], DocumentRow>(`SELECT ${columns} FROM documents WHERE sha256 = ? AND language = ?`)
    .get(Buffer.from(sha256, 'hex'), language ?? '');
}

/** The document that a chunk is of. */
export function documentWithChunk(derived: DerivedDatabase, chunkId: number): DocumentRow | undefined {
  const row = derived
    .sql<[number], DocumentRow>(
      `SELECT ${columns} FROM documents WHERE first_chunk <= ? ORDER BY first_chunk DESC LIMIT 1`,
    )
    .get(chunkId);
  return row !== undefined && chunkId < row.firstChunk + row.chunks ? row : undefined;
}

/** Documents in the order of their chunks, from `firstChunk` on. */
export function documentsFrom(derived: DerivedDatabase, firstChunk: number, limit: number): DocumentRow[] {
  return derived
    .sql<[number, number], DocumentRow>(
      `SELECT ${columns} FROM documents WHERE first_chunk >= ? ORDER BY first_chunk LIMIT ?`,
    )
    .all(firstChunk, limit);
}

/** Of its objects, about. */
const layoutOwnBytes = 600;
/** Bytes of layouts that a connection remembers. */
const rememberedBytes = 8 * 1024 * 1024;
const remembered = new WeakMap<DerivedDatabase, RecentlyUsed<number, StoredLayout>>();
const noLayout = new StoredLayout(encodeLayout({ entities: [], chunks: [] }));

/**
 * Of a document; it never changes.
 * @throws DerivedDamageError
 */
export function layoutOf(derived: DerivedDatabase, firstChunk: number): StoredLayout {
  const layouts = remembered.get(derived) ?? new RecentlyUsed<number, StoredLayout>(rememberedBytes);
  remembered.set(derived, layouts);
  const known = layouts.get(firstChunk);
  if (known !== undefined) return known;
  const stored = derived
    .sql<[number], Buffer>('SELECT layout FROM layouts WHERE first_chunk = ?')
    .pluck()
    .get(firstChunk);
  const layout = stored === undefined ? noLayout : new StoredLayout(stored);
  layouts.set(firstChunk, layout, layout.bytes + layoutOwnBytes);
  return layout;
}

/** Terms of paths are told from those of texts by what no term begins with. */
const pathMark = '/';

/** What a word of a path is looked up as. */
export function pathTerm(term: string): string {
  return `${pathMark}${term}`;
}

/** Adds documents and paths, and their words, within a transaction. */
class DocumentWriter {
  readonly #derived: DerivedDatabase;
  readonly #postings = new PostingsBatch();
  #nextChunk: number;

  constructor(derived: DerivedDatabase) {
    this.#derived = derived;
    this.#nextChunk = derived.facts.nextChunk;
  }

  /**
   * One of another extractor is replaced. So is one without vectors: it may be passed over for them, as its content, which is
   * written with this one, was not there for long.
   */
  add({ sha256, language, extractor, chunks, kinds, layout, words }: NewDocument): void {
    const before = documentOf(this.#derived, sha256, language);
    if (before?.extractor === extractor && hasVectors(this.#derived, before)) return;
    if (before !== undefined) dropDocument(this.#derived, before);
    const firstChunk = this.#nextChunk;
    this.#nextChunk += Math.max(chunks, 1);
    this.#derived
      .sql(
        'INSERT INTO documents (first_chunk, sha256, language, extractor, chunks, kinds) VALUES (?, ?, ?, ?, ?, ?)',
      )
      .run(firstChunk, Buffer.from(sha256, 'hex'), language ?? '', extractor, chunks, kinds);
    this.#derived.sql('INSERT INTO layouts (first_chunk, layout) VALUES (?, ?)').run(firstChunk, layout);
    this.#postings.add(firstChunk, words);
  }

  addPath(path: string): void {
    if (hasPath(this.#derived, path)) return;
    const id = this.#nextChunk;
    this.#nextChunk += 1;
    this.#derived.sql('INSERT INTO paths (id, path) VALUES (?, ?)').run(id, path);
    const terms = termsOf(path);
    const levels = terms.map((term): [string, number] => [pathTerm(term), levelOf(0, 1, terms.length)]);
    this.#postings.add(id, packWords([new Map(levels)]));
  }

  flush(): void {
    this.#postings.flush(this.#derived);
  }
}

/** Paths in the order of their ids, from `id` on. */
export function pathsFrom(
  derived: DerivedDatabase,
  id: number,
  limit: number,
): { id: number; path: string; unusedSince: number | null }[] {
  return derived
    .sql<[number, number], { id: number; path: string; unusedSince: number | null }>(
      'SELECT id, path, unused_since AS unusedSince FROM paths WHERE id >= ? ORDER BY id LIMIT ?',
    )
    .all(id, limit);
}

/** Within a transaction. */
export function dropPath(derived: DerivedDatabase, id: number): void {
  derived.sql('DELETE FROM paths WHERE id = ?').run(id);
  noteDropped(derived, id, 1);
}

/** All within a range of chunk ids (both inclusive): first, count, first, count, … ascending, as SegmentMerger needs it. */
export function liveWithin(derived: DerivedDatabase, firstChunk: number, lastChunk: number): Uint32Array {
  const range = { firstChunk, lastChunk };
  const rows = derived
    .sql<[typeof range], { id: number; count: number }>(
      `SELECT first_chunk AS id, max(chunks, 1) AS count FROM documents
         WHERE first_chunk BETWEEN @firstChunk AND @lastChunk
       UNION ALL SELECT id, 1 AS count FROM paths WHERE id BETWEEN @firstChunk AND @lastChunk ORDER BY 1`,
    )
    .all(range);
  const live = new Uint32Array(2 * rows.length);
  rows.forEach(({ id, count }, at) => live.set([id, count], 2 * at));
  return live;
}

export function pathById(derived: DerivedDatabase, id: number): string | null {
  return derived.sql<[number], { path: string }>('SELECT path FROM paths WHERE id = ?').get(id)?.path ?? null;
}

function hasPath(derived: DerivedDatabase, path: string): boolean {
  return derived.sql('SELECT 1 FROM paths WHERE path = ?').get(path) !== undefined;
}

/** Within a transaction. */
export function dropDocument(derived: DerivedDatabase, { firstChunk, chunks }: DocumentRow): void {
  derived.sql('DELETE FROM documents WHERE first_chunk = ?').run(firstChunk);
  noteDropped(derived, firstChunk, Math.max(chunks, 1));
}

/** A file whose path, and whose content where it is new, are to be made searchable. */
export interface SearchableFile {
  /** Relative to the project's root. */
  path: string;
  document: NewDocument | null;
}

/**
 * @returns facts.number by which rows may rely on all of them
 * @throws DerivedDamageError; as DerivedDatabase.write
 */
export async function storeDocuments(
  derived: DerivedDatabase,
  files: readonly SearchableFile[],
  signal: AbortSignal,
): Promise<number> {
  const { news, number } = derived.read(() => ({
    news: files.filter(({ path, document }) => document !== null || !hasPath(derived, path)),
    number: derived.facts.number,
  }));
  if (news.length === 0) return number;
  return await derived.write(() => {
    const writer = new DocumentWriter(derived);
    for (const { path, document } of news) {
      if (document !== null) writer.add(document);
      writer.addPath(path);
    }
    writer.flush();
    derived.sql('UPDATE facts SET number = number + 1 WHERE id = 1').run();
    return derived.facts.number;
  }, signal);
}
