/**
 * Reading the inverted index. Nothing is kept between queries: all that one query reads is to be read in one read
 * transaction, in which segments neither come nor go.
 */
import { assertWhole, BlockCursor, type StoredBlock } from './postings-block.js';
import { DerivedDamageError } from './damage.js';
import { compareBytes, EntryCursor, wordBytes } from './postings-codec.js';
import type { DerivedConnection } from './postings-schema.js';

/** A segment in which some chunk has the word. */
interface SegmentPostings {
  /** Chunk ids, both inclusive. */
  readonly firstChunk: number;
  readonly lastChunk: number;
  readonly count: number;
  readonly entries: Uint8Array;
}

/** Finds a word in every segment. To be called in a read transaction, in which segments neither come nor go. */
export function readWord(db: DerivedConnection, word: string): WordPostings {
  const bytes = wordBytes(word);
  const found: SegmentPostings[] = [];
  for (const block of blocksWith(db, bytes)) {
    assertWhole(block);
    const { firstChunk, lastChunk, entries } = block;
    const cursor = new BlockCursor(block.word, block.directory, entries.length);
    while (cursor.next()) {
      const order = compareBytes(cursor.word.bytes, 0, cursor.word.length, bytes, 0, bytes.length);
      if (order === 0) {
        const { count, start, end } = cursor;
        found.push({ firstChunk, lastChunk, count, entries: entries.subarray(start, end) });
      }
      if (order >= 0) break;
    }
  }
  return new WordPostings(found);
}

type BlockRow = StoredBlock & Pick<SegmentPostings, 'firstChunk' | 'lastChunk'>;

/** Of each live segment, in order of chunks, the block that has the word where the segment has it. */
function blocksWith(db: DerivedConnection, word: Buffer): BlockRow[] {
  return db
    .sql<[Buffer], BlockRow>(
      `SELECT s.first_chunk AS firstChunk, s.last_chunk AS lastChunk, b.word, b.checksum, b.directory, b.entries
       FROM posting_segments s CROSS JOIN posting_blocks b ON b.id = (
         SELECT id FROM posting_blocks WHERE segment = s.id AND word <= ? ORDER BY word DESC LIMIT 1)
       WHERE s.state = 'live' ORDER BY s.first_chunk`,
    )
    .all(word);
}

/** The chunks that have a word. Among them are some that were dropped and are not merged away yet. */
export class WordPostings {
  readonly #segments: readonly SegmentPostings[];
  /** How many these are. */
  readonly count: number;

  constructor(segments: readonly SegmentPostings[]) {
    this.#segments = segments;
    this.count = segments.reduce((sum, { count }) => sum + count, 0);
  }

  /**
   * Calls back for each chunk in ascending order.
   * @throws DerivedDamageError for entries that do not decode
   */
  forEach(callback: (chunk: number, level: number) => void): void {
    for (const segment of this.#segments) {
      const cursor = new EntryCursor(segment.entries);
      let count = 0;
      for (; cursor.next(); count++) callback(cursor.chunk, cursor.level);
      if (count !== segment.count) throw new DerivedDamageError(`${count} entries of ${segment.count}`);
    }
  }

  /**
   * The word's level in each of these chunks, 0 where it is not in it.
   * @param chunks ids in ascending order; segments that none of them is in are not read
   * @throws DerivedDamageError for entries that do not decode
   */
  levelsOf(chunks: Uint32Array): Uint8Array {
    const levels = new Uint8Array(chunks.length);
    let at = 0;
    for (const segment of this.#segments) {
      at = lowerBound(chunks, segment.firstChunk, at);
      const end = lowerBound(chunks, segment.lastChunk + 1, at);
      if (at === end) continue;
      const cursor = new EntryCursor(segment.entries);
      let wanted = chunks[at] ?? 0;
      while (at < end && cursor.next()) {
        while (wanted < cursor.chunk && ++at < end) wanted = chunks[at] ?? 0;
        while (at < end && wanted === cursor.chunk) {
          levels[at++] = cursor.level;
          wanted = chunks[at] ?? 0;
        }
      }
    }
    return levels;
  }
}

/** The first index from `from` on whose id is not below `chunk`. */
export function lowerBound(chunks: Uint32Array, chunk: number, from = 0): number {
  let low = from;
  let high = chunks.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((chunks[middle] ?? 0) < chunk) low = middle + 1;
    else high = middle;
  }
  return low;
}
