import { sha256 } from '../base/hash.js';
import { type GreenTree, oneTokenTree, render } from '../syntax/green-tree.js';
import { decodeSource } from '../syntax/source.js';
import { decodeDelta } from '../syntax/source-delta.js';
import { decodeTree, encodeTree, sourceIn, TreeFormatError } from '../syntax/tree-codec.js';
import { type IndexDatabase } from './index-database.js';
import { isCorrupt } from './sqlite-errors.js';
import { forgetDamaged } from './scrub.js';

/** A content as it is stored whole: the encoded lossless tree and the size of the raw bytes. */
export interface StoredContent {
  sha256: string;
  size: number;
  tree: Buffer;
  /** What made the tree, see syntax/extractor.ts; null for one that was not parsed. */
  extractor: string | null;
}

export function hasContent(index: IndexDatabase, hash: string): boolean {
  return index.sql('SELECT 1 FROM contents WHERE sha256 = ?').get(hash) !== undefined;
}

/** Whether there is such a content, and it is not stored as the difference to another one. */
export function hasWhole(index: IndexDatabase, hash: string): boolean {
  return index.sql('SELECT 1 FROM contents WHERE sha256 = ? AND base IS NULL').get(hash) !== undefined;
}

/** What made the stored tree; undefined where there is none. */
export function extractorOfContent(index: IndexDatabase, hash: string): string | null | undefined {
  return index
    .sql<[string], { extractor: string | null }>('SELECT extractor FROM contents WHERE sha256 = ?')
    .get(hash)?.extractor;
}

/** The encoded tree as it is stored, unproven; null where there is none, or where it is not stored whole. */
export function treeOf(index: IndexDatabase, hash: string): Buffer | null {
  const row = storedAs(index, hash);
  return row?.base === null ? row.tree : null;
}

/** A content that nothing has parsed (yet). */
export function unparsedContent(bytes: Buffer, hash: string): StoredContent {
  const tree = encodeTree(oneTokenTree(decodeSource(bytes), 'no_grammar'));
  return { sha256: hash, size: bytes.length, tree, extractor: null };
}

/** Adds a content; one that is there already stays as it is. */
export function putContent(index: IndexDatabase, content: StoredContent, now: number): void {
  const { changes } = index
    .sql(
      `INSERT INTO contents (sha256, size, tree, extractor, added_at) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT DO NOTHING`,
    )
    .run(content.sha256, content.size, content.tree, content.extractor, now);
  if (changes > 0) forgetDamaged(index, content.sha256);
}

/** Replaces a stored tree that no longer renders to its hash, or that is made anew, once the bytes are at hand. */
export function healContent(index: IndexDatabase, content: StoredContent, now: number): void {
  index
    .sql(
      `INSERT INTO contents (sha256, size, tree, extractor, added_at) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET size = excluded.size, tree = excluded.tree, extractor = excluded.extractor, base = NULL`,
    )
    .run(content.sha256, content.size, content.tree, content.extractor, now);
  forgetDamaged(index, content.sha256);
}

/** Bytes that were rendered from the stored tree and have the hash asked for, or why there are none. */
export type Rendering = { tree: GreenTree; bytes: Buffer; sha256: string } | { problem: string };

/**
 * Reads a content and proves it: nothing is ever given out that does not have its hash.
 * Damage is a result and not an exception, because a repair has to go on with the other files.
 */
export function renderContent(index: IndexDatabase, hash: string | null): Rendering {
  if (hash === null) return { problem: 'its content was never stored' };
  const rendering = tryRender(index, hash);
  if ('problem' in rendering) index.foundDamaged({ sha256: hash, problem: rendering.problem });
  return rendering;
}

function tryRender(index: IndexDatabase, hash: string): Rendering {
  try {
    const row = storedAs(index, hash);
    if (row === undefined) return { problem: 'its content is not in the index' };
    return row.base === null ? renderStored(row.tree, hash) : renderDelta(row, hash);
  } catch (error) {
    if (!isCorrupt(error)) throw error;
    index.onDamage();
    return { problem: 'the page of the index that holds it is damaged' };
  }
}

/** A row of contents, with that of its base. */
interface StoredRow {
  size: number;
  tree: Buffer;
  /** The content that `tree` is the difference to, see syntax/source-delta.ts; null: it is a tree. */
  base: string | null;
  /** Null where the base is missing, or is not stored whole itself. */
  baseSize: number | null;
  baseTree: Buffer | null;
}

function storedAs(index: IndexDatabase, hash: string): StoredRow | undefined {
  return index.sql<[string], StoredRow>(storedSql('main', true)).get(hash);
}

/** @param hasBases earlier versions stored every content whole */
function storedSql(database: 'main' | 'backup', hasBases: boolean): string {
  const table = `${database}.contents`;
  return hasBases
    ? `SELECT c.size, c.tree, c.base, b.size AS baseSize, b.tree AS baseTree
       FROM ${table} c LEFT JOIN ${table} b ON b.sha256 = c.base AND b.base IS NULL WHERE c.sha256 = ?`
    : `SELECT size, tree, NULL AS base, NULL AS baseSize, NULL AS baseTree FROM ${table} WHERE sha256 = ?`;
}

/**
 * A content as the attached backup can give it, proven by its hash; null where it cannot.
 * @param hasBases whether its version is one that has contents.base
 */
export function contentInBackup(
  { db }: IndexDatabase,
  hash: string,
  hasBases: boolean,
): StoredContent | null {
  const row = db.prepare<[string], StoredRow>(storedSql('backup', hasBases)).get(hash);
  if (row === undefined) return null;
  if (row.base === null)
    return isProven(row.tree, hash)
      ? { sha256: hash, size: row.size, tree: row.tree, extractor: null }
      : null;
  const rendering = renderDelta(row, hash);
  return 'problem' in rendering ? null : unparsedContent(rendering.bytes, hash);
}

function renderDelta(row: StoredRow, hash: string): Rendering {
  try {
    const bytes = sourceStored(row);
    if (bytes === null)
      return { problem: 'the content that it is kept as a difference to is not in the index' };
    if (sha256(bytes) !== hash)
      return { problem: 'its stored difference gives other bytes than were indexed' };
    return { tree: oneTokenTree(decodeSource(bytes), 'no_grammar'), bytes, sha256: hash };
  } catch (error) {
    if (error instanceof TreeFormatError)
      return { problem: `its stored difference, or what that is to, is damaged: ${error.message}` };
    throw error;
  }
}

/** @throws TreeFormatError */
function sourceStored({ size, tree, base, baseSize, baseTree }: StoredRow): Buffer | null {
  if (base === null) return sourceIn(tree, size);
  return baseSize === null || baseTree === null
    ? null
    : decodeDelta(tree, sourceIn(baseTree, baseSize), size);
}

/**
 * A content's bytes as they are stored, not proven by their hash: for showing and comparing, never for giving back a file.
 * Null where the index cannot give them.
 * @throws SqliteError SQLITE_CORRUPT
 */
export function unprovenSource(index: IndexDatabase, hash: string): Buffer | null {
  const row = storedAs(index, hash);
  try {
    return row === undefined ? null : sourceStored(row);
  } catch (error) {
    if (error instanceof TreeFormatError) return null;
    throw error;
  }
}

/**
 * A content's bytes, proven without building its tree: what is compressed proves itself by its checksum, and the text by its
 * hash. Null where that cannot be done; renderContent says why.
 */
export function sourceOf(index: IndexDatabase, hash: string): Buffer | null {
  try {
    const bytes = unprovenSource(index, hash);
    return bytes !== null && sha256(bytes) === hash ? bytes : null;
  } catch (error) {
    if (!isCorrupt(error)) throw error;
    return null;
  }
}

/** Why a content cannot be given; null: it can. */
export function problemOfContent(index: IndexDatabase, hash: string): string | null {
  if (sourceOf(index, hash) !== null) return null;
  // It says what is wrong; and an older version may have written another size.
  const rendering = renderContent(index, hash);
  return 'problem' in rendering ? rendering.problem : null;
}

/** Whether a stored tree renders to the bytes of that hash. */
export function isProven(tree: Buffer, hash: string): boolean {
  return 'bytes' in renderStored(tree, hash);
}

/** Renders an encoded tree, and proves that it gives the bytes of that hash. */
export function renderStored(stored: Buffer, hash: string): Rendering {
  try {
    const tree = decodeTree(stored);
    const bytes = render(tree);
    if (sha256(bytes) !== hash)
      return { problem: 'its stored tree renders to other bytes than were indexed' };
    return { tree, bytes, sha256: hash };
  } catch (error) {
    if (error instanceof TreeFormatError) return { problem: `its stored tree is damaged: ${error.message}` };
    throw error;
  }
}

/**
 * Hashes of contents in key order, behind `after`, for checking all of them in steps. They are in an index of their own, so
 * that a damaged page of contents does not end the list.
 */
export function hashesAfter(index: IndexDatabase, after: string, limit: number): string[] {
  return index
    .sql<[string, number], { sha256: string }>(
      'SELECT sha256 FROM contents WHERE sha256 > ? ORDER BY sha256 LIMIT ?',
    )
    .all(after, limit)
    .map(({ sha256: hash }) => hash);
}
