/** What a derived database says, without the ids that depend on when it was written. */
import type { DerivedDatabase } from '#src/store/derived/derived-database.js';
import { documentOf, layoutOf, liveWithin } from '#src/store/derived/documents.js';
import type { Layout, LayoutChunk, StoredLayout } from '#src/store/derived/layout-codec.js';
import { EntryCursor } from '#src/store/derived/postings-codec.js';
import { readSegments, SegmentCursor } from '#src/store/derived/segments.js';
import { SegmentMerger } from '#src/store/derived/segments-merge.js';
import type { FileRow } from '#src/store/files.js';

/** Of one chunk: `word level`, in the order of words. */
export type WordsOfChunk = string[];

export interface FileContents {
  path: string;
  extractor: string | null;
  chunks: number;
  layout: Layout;
  words: WordsOfChunk[];
}

export async function mergeAll(derived: DerivedDatabase): Promise<void> {
  const merger = new SegmentMerger((first, last) => liveWithin(derived, first, last));
  while (await derived.write(() => merger.step(derived)));
}

/** Words and levels of every chunk, by its id. */
export function wordsByChunk(derived: DerivedDatabase): Map<number, WordsOfChunk> {
  const words = new Map<number, WordsOfChunk>();
  for (const { id, state } of readSegments(derived)) {
    if (state !== 'live') continue;
    for (const cursor = new SegmentCursor(derived, id, null); cursor.isAtWord; cursor.next()) {
      const word = Buffer.from(cursor.word.written()).toString();
      const entries = new EntryCursor(Buffer.from(cursor.entries.subarray(cursor.start, cursor.end)));
      while (entries.next())
        words.set(entries.chunk, [...(words.get(entries.chunk) ?? []), `${word} ${entries.level}`]);
    }
  }
  for (const list of words.values()) list.sort();
  return words;
}

export function wholeLayout(layout: StoredLayout): Layout {
  const chunks: LayoutChunk[] = [];
  for (let chunk = layout.chunk(0); chunk !== undefined; chunk = layout.chunk(chunks.length))
    chunks.push(chunk);
  return { entities: Array.from({ length: layout.entities }, (_, at) => layout.entity(at)), chunks };
}

/** What search knows of active files; throws where it knows nothing of one that has a content. */
export function contentsOf(derived: DerivedDatabase, rows: readonly FileRow[]): FileContents[] {
  const words = wordsByChunk(derived);
  return rows.map(({ path, sha256, language, extractor, chunks }) => {
    const document = documentOf(derived, sha256 ?? '', language);
    if (document === undefined) throw new Error(`nothing is known of ${path}`);
    const ids = Array.from({ length: document.chunks }, (_, at) => document.firstChunk + at);
    const layout = wholeLayout(layoutOf(derived, document.firstChunk));
    return { path, extractor, chunks, layout, words: ids.map((id) => words.get(id) ?? []) };
  });
}
