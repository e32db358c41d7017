import { Slicer } from '../../base/waiting.js';
import type { Document } from '../../embedding/provider.js';
import { chunkTexts } from '../../store/derived/chunk-texts.js';
import type { DerivedDatabase } from '../../store/derived/derived-database.js';
import { type DocumentRow, documentsFrom, documentWithChunk } from '../../store/derived/documents.js';
import type { IndexDatabase } from '../../store/index-database.js';

/**
 * About `documentsMax` chunks of a project, evenly spread in the order in which they came, so that no folder is left out;
 * all of a smaller one. The same documents give the same sample. It reads what it gives, and no list of all.
 */
export async function* sampledChunks(
  index: IndexDatabase,
  derived: DerivedDatabase,
  documentsMax: number,
  signal: AbortSignal,
): AsyncGenerator<Document> {
  if (documentsMax === 0) return;
  const slicer = new Slicer(signal);
  const { chunks, nextChunk } = derived.read(() => derived.facts);
  // Ids that are no chunks (any more) count as far as they are spread evenly: as many more are looked at.
  const step = Math.max(1, chunks / documentsMax);
  let position = 0;
  const idAt = (at: number): number => 1 + Math.floor(at * step);
  while (idAt(position) < nextChunk) {
    const document = documentAt(derived, idAt(position));
    if (document === undefined) return;
    const end = document.firstChunk + Math.max(document.chunks, 1);
    position = Math.max(position, Math.ceil((document.firstChunk - 1) / step));
    const texts = idAt(position) < end ? chunkTexts(index, derived, document) : [];
    for (; idAt(position) < end; position += 1) {
      const text = texts[idAt(position) - document.firstChunk];
      if (text !== undefined) yield text;
    }
    await slicer.breathe();
  }
}

/** The one that the chunk is of, or else the next one. */
function documentAt(derived: DerivedDatabase, chunkId: number): DocumentRow | undefined {
  return derived.read(() => documentWithChunk(derived, chunkId) ?? documentsFrom(derived, chunkId, 1)[0]);
}
