import { RecentlyUsed } from '../../base/recently-used.js';
import { decodeSource } from '../../syntax/source.js';
import { unprovenSource } from '../contents.js';
import type { IndexDatabase } from '../index-database.js';
import type { DerivedDatabase } from './derived-database.js';
import { type DocumentRow, layoutOf } from './documents.js';
import type { LayoutChunk } from './layout-codec.js';

/** A piece of a content as it is embedded and shown. */
export interface ChunkText {
  /** The entity's qualified name, '' where there is none. */
  name: string;
  text: string;
}

/** UTF-16 units of texts that are remembered: those of the answers to some questions. */
const rememberedUnits = 8 * 1024 * 1024;
/** By their hash: it says all. */
const remembered = new RecentlyUsed<string, string>(rememberedUnits);

/** The text of a stored content, see unprovenSource; null where the index cannot give it. */
export function textOf(index: IndexDatabase, sha256: string): string | null {
  const known = remembered.get(sha256);
  if (known !== undefined) return known;
  const source = unprovenSource(index, sha256);
  if (source === null) return null;
  const { text } = decodeSource(source);
  remembered.set(sha256, text, text.length);
  return text;
}

/** The chunks of a document in order; none where the index cannot give its content. */
export function chunkTexts(
  index: IndexDatabase,
  derived: DerivedDatabase,
  document: Pick<DocumentRow, 'firstChunk' | 'sha256'>,
): ChunkText[] {
  const text = textOf(index, document.sha256);
  if (text === null) return [];
  const layout = derived.read(() => layoutOf(derived, document.firstChunk));
  return Array.from({ length: layout.chunks }, (_, at) => {
    const chunk = layout.chunk(at);
    if (chunk === undefined) return { name: '', text: '' };
    return { name: layout.entityOf(chunk)?.qualifiedName ?? '', text: pieceOf(text, chunk) };
  });
}

export function pieceOf(text: string, { startOffset, endOffset }: LayoutChunk): string {
  return text.slice(startOffset, endOffset);
}
