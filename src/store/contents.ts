import { sha256 } from '../base/hash.js';
import { type GreenTree, render } from '../syntax/green-tree.js';
import { decodeTree, sourceIn, TreeFormatError } from '../syntax/tree-codec.js';
import { type IndexDatabase } from './index-database.js';
import { isCorrupt } from './sqlite-errors.js';
import { forgetDamaged } from './scrub.js';

/** A content as it is stored: the encoded lossless tree and the size of the raw bytes. */
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

/** What made the stored tree; undefined where there is none. */
export function extractorOfContent(index: IndexDatabase, hash: string): string | null | undefined {
  return index
    .sql<[string], { extractor: string | null }>('SELECT extractor FROM contents WHERE sha256 = ?')
    .get(hash)?.extractor;
}

/** The encoded tree as it is stored, unproven; null where there is none. */
export function treeOf(index: IndexDatabase, hash: string): Buffer | null {
  const row = index.sql<[string], { tree: Buffer }>('SELECT tree FROM contents WHERE sha256 = ?').get(hash);
  return row?.tree ?? null;
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
       ON CONFLICT DO UPDATE SET size = excluded.size, tree = excluded.tree, extractor = excluded.extractor`,
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
    const row = index.sql<[string], { tree: Buffer }>('SELECT tree FROM contents WHERE sha256 = ?').get(hash);
    if (row === undefined) return { problem: 'its content is not in the index' };
    return renderStored(row.tree, hash);
  } catch (error) {
    if (!isCorrupt(error)) throw error;
    index.onDamage();
    return { problem: 'the page of the index that holds it is damaged' };
  }
}

/**
 * A content's bytes, proven without building its tree: what is compressed proves itself by its checksum, and the text by its
 * hash. Null where that cannot be done; renderContent says why.
 */
export function sourceOf(index: IndexDatabase, hash: string): Buffer | null {
  try {
    const row = index
      .sql<[string], { tree: Buffer; size: number }>('SELECT tree, size FROM contents WHERE sha256 = ?')
      .get(hash);
    const bytes = row === undefined ? null : sourceIn(row.tree, row.size);
    return bytes !== null && sha256(bytes) === hash ? bytes : null;
  } catch (error) {
    if (!(error instanceof TreeFormatError) && !isCorrupt(error)) throw error;
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
