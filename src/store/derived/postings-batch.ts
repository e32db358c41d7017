import { ByteCursor, chunkCountOf, chunkIdMax, EntryCursor, GrowingBytes } from './postings-codec.js';
import type { DerivedConnection } from './postings-schema.js';
import { grown, Vocabulary, wordsMax } from './postings-vocabulary.js';
import { insertSegment, readSegments, SegmentWriter } from './segments.js';

/**
 * The memory (bytes) at which a batch takes no more documents: what lies in it is told by 32 bits, and the words in
 * it are fewer than a vocabulary can sort. Whoever fills it flushes it long before.
 */
export const batchBytesMax = 256 * 1024 * 1024;

/**
 * The memory (bytes) at which a batch is best flushed: 200,000 postings, which take about 15 ms. A smaller batch costs
 * more rows and merges, a larger one falls out of the processor's cache and holds up the event loop.
 */
export const batchUsualBytes = 2 * 1024 * 1024;

/** Pairs of a document and a word that there is room for at first. */
const runsAtFirst = 4_096;

/**
 * Documents that are not in the index yet. Their packed words stay as they are, with a list of which word of which
 * document lies where; `flush` sorts the list by words.
 */
export class PostingsBatch {
  #packed = new GrowingBytes(64 * 1024);
  #vocabulary = new Vocabulary(this.#packed);
  /** For each word of each document, in order of documents: the word's number, and where its entries' length lies. */
  #words = new Uint32Array(runsAtFirst);
  #places = new Uint32Array(runsAtFirst);
  /** And the document's first chunk. */
  #chunks = new Uint32Array(runsAtFirst);
  #runs = 0;
  #firstChunk = -1;
  #lastChunk = -1;
  #chunkCount = 0;

  /** About the memory that it holds. */
  get bytes(): number {
    return this.#packed.length + 12 * this.#runs + 24 * this.#vocabulary.count;
  }

  get isEmpty(): boolean {
    return this.#chunkCount === 0;
  }

  /**
   * @param firstChunk of the document, beyond all chunks of the documents before it
   * @param packed from packWords
   * @throws DerivedDamageError for other bytes; the batch is of no use then
   * @throws RangeError for a chunk that is none of these, or a batch that is not flushed at `batchBytesMax`
   */
  add(firstChunk: number, packed: Uint8Array): void {
    const cursor = new ByteCursor(packed);
    const count = chunkCountOf(cursor);
    if (count === 0) return;
    if (!Number.isInteger(firstChunk) || firstChunk <= this.#lastChunk || firstChunk + count - 1 > chunkIdMax)
      throw new RangeError(`chunk ${firstChunk} after ${this.#lastChunk}`);
    const base = this.#packed.length;
    if (this.bytes + packed.length > batchBytesMax || this.#vocabulary.count + packed.length / 4 > wordsMax)
      throw new RangeError(`a batch of ${this.bytes} bytes is to be flushed`);
    this.#packed.append(packed, 0, packed.length);
    while (!cursor.isAtEnd) {
      const start = cursor.span();
      const word = this.#vocabulary.numberOf(base + start, cursor.at - start);
      const place = cursor.at;
      cursor.span();
      this.#addRun(word, base + place, firstChunk);
    }
    if (this.isEmpty) this.#firstChunk = firstChunk;
    this.#lastChunk = firstChunk + count - 1;
    this.#chunkCount += count;
  }

  #addRun(word: number, place: number, firstChunk: number): void {
    if (this.#runs === this.#words.length) {
      this.#words = grown(this.#words);
      this.#places = grown(this.#places);
      this.#chunks = grown(this.#chunks);
    }
    this.#words[this.#runs] = word;
    this.#places[this.#runs] = place;
    this.#chunks[this.#runs] = firstChunk;
    this.#runs++;
  }

  /**
   * Writes what was added as one segment, to be called in a transaction; the batch is not to be used any more.
   * @throws RangeError where the index has chunks beyond the first one of the batch
   */
  flush(db: DerivedConnection): void {
    if (this.isEmpty) return;
    const range = { firstChunk: this.#firstChunk, lastChunk: this.#lastChunk, chunks: this.#chunkCount };
    const beyond = readSegments(db).find(({ lastChunk }) => lastChunk >= this.#firstChunk);
    if (beyond !== undefined) throw new RangeError(`chunk ${this.#firstChunk} after ${beyond.lastChunk}`);
    const segment = insertSegment(db, 'live', range);
    const writer = new SegmentWriter(db, segment);
    this.#writeWords(writer);
    writer.finish();
    db.sql('UPDATE posting_segments SET bytes = ? WHERE id = ?').run(writer.bytes, segment);
  }

  #writeWords(writer: SegmentWriter): void {
    const { bytes } = this.#packed;
    const vocabulary = this.#vocabulary;
    const { ends, places, chunks } = this.#runsByWord();
    const length = new ByteCursor(bytes, 0, this.#packed.length);
    const entries = new EntryCursor(bytes, 0, 0);
    for (const word of vocabulary.sorted()) {
      writer.words.beginWord(bytes, vocabulary.starts[word] ?? 0, vocabulary.lengths[word] ?? 0);
      for (let at = word === 0 ? 0 : (ends[word - 1] ?? 0); at < (ends[word] ?? 0); at++) {
        const firstChunk = chunks[at] ?? 0;
        length.at = places[at] ?? 0;
        entries.restart(bytes, length.span(), length.at);
        while (entries.next()) writer.words.add(firstChunk + entries.chunk, entries.level);
      }
      writer.endWord();
    }
  }

  /** The runs of word 0, then those of word 1, ..., each word's in order of documents; `ends` has where each word's end. */
  #runsByWord(): { ends: Uint32Array; places: Uint32Array; chunks: Uint32Array } {
    const ends = new Uint32Array(this.#vocabulary.count);
    const words = this.#words.subarray(0, this.#runs);
    const placesInOrder = this.#places;
    const chunksInOrder = this.#chunks;
    for (let run = 0; run < words.length; run++) {
      const word = words[run] ?? 0;
      ends[word] = (ends[word] ?? 0) + 1;
    }
    let before = 0;
    for (let word = 0; word < ends.length; word++) {
      const count = ends[word] ?? 0;
      ends[word] = before;
      before += count;
    }
    const places = new Uint32Array(this.#runs);
    const chunks = new Uint32Array(this.#runs);
    for (let run = 0; run < words.length; run++) {
      const word = words[run] ?? 0;
      const at = ends[word] ?? 0;
      ends[word] = at + 1;
      places[at] = placesInOrder[run] ?? 0;
      chunks[at] = chunksInOrder[run] ?? 0;
    }
    return { ends, places, chunks };
  }
}
