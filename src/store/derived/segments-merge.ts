import { compareBytes, EntryCursor, GrowingBytes } from './postings-codec.js';
import type { DerivedConnection } from './postings-schema.js';
import { deleteBlocks, insertSegment, readSegments, SegmentCursor, SegmentWriter } from './segments.js';
import type { SegmentRow } from './segments.js';
import { chooseMerge } from './segments-policy.js';

/**
 * The documents whose chunks are all within a range of ids (both inclusive) and not dropped: for each the id of its
 * first chunk and the number of its chunks, ascending: [first, count, first, count, ...].
 */
export type LiveDocuments = (firstChunk: number, lastChunk: number) => Uint32Array;

/** What a step reads, writes and deletes (bytes) before it ends: 2 ms, at times 5. */
export const stepBudgetBytes = 256 * 1024;

/**
 * Merges segments in steps. Where a merge has got to is in the tables alone, so that any process, and one whose last
 * step was rolled back, goes on where the last step that was committed ended; what a reader reads changes with the
 * last step of a merge only. One process merges at a time.
 */
export class SegmentMerger {
  readonly #liveDocuments: LiveDocuments;
  #live: LiveChunks | null = null;

  constructor(liveDocuments: LiveDocuments) {
    this.#liveDocuments = liveDocuments;
  }

  /**
   * Does a bounded piece of what is to be done, to be called in a transaction of its own; a word is never left half,
   * so one that a million chunks have takes 15 to 50 ms by itself.
   * @returns whether there is more to do
   * @throws DerivedDamageError for segments that do not decode
   */
  step(db: DerivedConnection, budgetBytes = stepBudgetBytes): boolean {
    for (let spent = 0; spent < budgetBytes;) {
      const segments = readSegments(db);
      const replaced = segments.find(({ state }) => state === 'replaced');
      const target = segments.find(({ state }) => state === 'building');
      if (replaced !== undefined) {
        spent += deleteBlocks(db, replaced.id, budgetBytes - spent);
      } else if (target !== undefined) {
        const inputs = segments.filter(({ mergedInto }) => mergedInto === target.id);
        spent += this.#merge(db, target, inputs, budgetBytes - spent);
      } else if (!this.#begin(db, segments)) {
        return false;
      }
    }
    return true;
  }

  /** False where there is nothing to be merged. */
  #begin(db: DerivedConnection, segments: readonly SegmentRow[]): boolean {
    const chosen = chooseMerge(segments);
    if (chosen === null) return false;
    const inputs = segments.filter(({ id }) => chosen.includes(id));
    const firstChunk = inputs[0]?.firstChunk ?? 0;
    const lastChunk = inputs.at(-1)?.lastChunk ?? 0;
    this.#live = null;
    const live = this.#liveWithin(firstChunk, lastChunk);
    if (live.count === 0) {
      for (const { id } of inputs) replace(db, id);
      return true;
    }
    const target = insertSegment(db, 'building', { firstChunk, lastChunk, chunks: live.count });
    for (const { id } of inputs)
      db.sql('UPDATE posting_segments SET merged_into = ? WHERE id = ?').run(target, id);
    return true;
  }

  /** Merges the next words; gives the bytes of work. */
  #merge(
    db: DerivedConnection,
    target: SegmentRow,
    inputs: readonly SegmentRow[],
    budgetBytes: number,
  ): number {
    const live = this.#liveWithin(target.firstChunk, target.lastChunk);
    const writer = new SegmentWriter(db, target.id);
    let cursors = inputs.map(({ id }) => new SegmentCursor(db, id, target.through));
    cursors = cursors.filter(({ isAtWord }) => isAtWord);
    const through = new GrowingBytes(64);
    let spent = 0;
    while (cursors.length > 0 && spent < budgetBytes) {
      const withWord = firstOf(cursors);
      spent += copyWord(withWord, through, live, writer);
      for (const cursor of withWord) cursor.next();
      if (withWord.some(({ isAtWord }) => !isAtWord)) cursors = cursors.filter(({ isAtWord }) => isAtWord);
    }
    writer.finish();
    const bytes = target.bytes + writer.bytes;
    if (cursors.length === 0) {
      publish(db, target.id, bytes);
      this.#live = null;
    } else {
      db.sql('UPDATE posting_segments SET bytes = ?, through = ? WHERE id = ?').run(
        bytes,
        through.written(),
        target.id,
      );
    }
    return spent;
  }

  /** Asked for once a merge. Documents that are dropped meanwhile are counted on the segment that is being made. */
  #liveWithin(firstChunk: number, lastChunk: number): LiveChunks {
    if (this.#live?.firstChunk !== firstChunk || this.#live.lastChunk !== lastChunk)
      this.#live = new LiveChunks(firstChunk, lastChunk, this.#liveDocuments(firstChunk, lastChunk));
    return this.#live;
  }
}

/** What a word counts against a budget beside its entries (bytes): comparing it takes as long as copying these. */
const wordWorkBytes = 64;

/**
 * Copies the live ones of a word's entries, from segments in order of chunks; gives the bytes of work.
 * @param word becomes the word, since that of a segment changes
 */
function copyWord(
  segments: readonly SegmentCursor[],
  word: GrowingBytes,
  live: LiveChunks,
  writer: SegmentWriter,
): number {
  let spent = 0;
  word.length = 0;
  if (segments[0] !== undefined) word.append(segments[0].word.bytes, 0, segments[0].word.length);
  writer.words.beginWord(word.bytes, 0, word.length);
  const entries = new EntryCursor(word.bytes, 0, 0);
  for (const { entries: bytes, start, end } of segments) {
    entries.restart(bytes, start, end);
    while (entries.next()) if (live.has(entries.chunk)) writer.words.add(entries.chunk, entries.level);
    spent += wordWorkBytes + end - start;
  }
  writer.endWord();
  return spent;
}

/** Those that are at the least word of all, in their order. */
function firstOf(cursors: readonly SegmentCursor[]): SegmentCursor[] {
  let least: SegmentCursor[] = [];
  for (const cursor of cursors) {
    const order = least[0] === undefined ? -1 : compareWords(cursor.word, least[0].word);
    if (order < 0) least = [cursor];
    else if (order === 0) least.push(cursor);
  }
  return least;
}

/** It is not read any more, and its blocks are deleted by the next steps. */
function replace(db: DerivedConnection, segment: number): void {
  db.sql(`UPDATE posting_segments SET state = 'replaced' WHERE id = ?`).run(segment);
}

function compareWords(a: GrowingBytes, b: GrowingBytes): number {
  return compareBytes(a.bytes, 0, a.length, b.bytes, 0, b.length);
}

/** From here on the merged segment is read, and those that it was made of are not. */
function publish(db: DerivedConnection, target: number, bytes: number): void {
  db.sql(`UPDATE posting_segments SET state = 'replaced' WHERE merged_into = ?`).run(target);
  db.sql(`UPDATE posting_segments SET state = 'live', bytes = ?, through = NULL WHERE id = ?`).run(
    bytes,
    target,
  );
}

/** Which chunks of a range are live: a bit each, since there are millions, and each entry is asked for. */
class LiveChunks {
  readonly firstChunk: number;
  readonly lastChunk: number;
  readonly #bits: Uint32Array;
  count = 0;

  constructor(firstChunk: number, lastChunk: number, documents: Uint32Array) {
    this.firstChunk = firstChunk;
    this.lastChunk = lastChunk;
    this.#bits = new Uint32Array(Math.ceil((lastChunk - firstChunk + 1) / 32));
    for (let index = 0; index < documents.length; index += 2) {
      const first = (documents[index] ?? 0) - firstChunk;
      const end = first + (documents[index + 1] ?? 0);
      for (let bit = first; bit < end; bit++) {
        const word = bit >>> 5;
        this.#bits[word] = (this.#bits[word] ?? 0) | (1 << (bit & 31));
      }
      this.count += end - first;
    }
  }

  has(chunk: number): boolean {
    const bit = chunk - this.firstChunk;
    return ((this.#bits[bit >>> 5] ?? 0) & (1 << (bit & 31))) !== 0;
  }
}
