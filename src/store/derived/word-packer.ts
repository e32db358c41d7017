import { appendWord, ByteCursor, chunkCountOf, EntryCursor, GrowingBytes, wordOf } from './postings-codec.js';
import { DerivedDamageError } from './damage.js';
import { grown, type Vocabulary } from './postings-vocabulary.js';

/** By number of a word: the place of its latest entry + 1. Used by one call at a time, and all 0 between two. */
let latest = new Uint32Array(0);

/** Numbers of an entry: word, chunk, level, and the place + 1 of the word's entry before it. */
const entryNumbers = 4;

/** Collects the words of one document, by their numbers, and packs them as packWords does. */
export class WordPacker {
  readonly #vocabulary: Vocabulary;
  #entries = new Uint32Array(entryNumbers * 256);
  #length = 0;
  #chunks = 0;

  constructor(vocabulary: Vocabulary) {
    this.#vocabulary = vocabulary;
  }

  /** What is added from now on is in another chunk, the first time in the first one. */
  nextChunk(): void {
    this.#chunks++;
  }

  /**
   * @param word which the chunk does not have yet
   * @param level an integer from 1 to 255
   */
  add(word: number, level: number): void {
    const at = this.#length;
    if (at === this.#entries.length) this.#entries = grown(this.#entries);
    this.#entries[at] = word;
    this.#entries[at + 1] = this.#chunks - 1;
    this.#entries[at + 2] = level;
    this.#length = at + entryNumbers;
  }

  /** It has a memory of its own, to be transferred between threads. */
  packed(): Buffer<ArrayBuffer> {
    const target = new PackedWords(this.#chunks, 1_024 + 2 * this.#length);
    const { bytes, starts, lengths } = this.#vocabulary;
    const entries = this.#entries;
    const words = this.#linked();
    this.#vocabulary.sort(words);
    /** The places of a word's entries, the latest first. */
    const places: number[] = [];
    for (const word of words) {
      const start = starts[word] ?? 0;
      target.beginWord(bytes, start, start + (lengths[word] ?? 0));
      let count = 0;
      for (let next = latest[word] ?? 0; next !== 0; next = entries[next + 2] ?? 0)
        places[count++] = next - 1;
      latest[word] = 0;
      while (count > 0) {
        const at = places[--count] ?? 0;
        target.add(entries[at + 1] ?? 0, entries[at + 2] ?? 0);
      }
      target.endWord();
    }
    return target.finished();
  }

  /** Has each entry, and `latest`, say where the word's entry before it is; gives the words. */
  #linked(): Uint32Array {
    if (latest.length < this.#vocabulary.count) latest = new Uint32Array(2 * this.#vocabulary.count);
    const entries = this.#entries;
    const words = new Uint32Array(this.#length / entryNumbers);
    let count = 0;
    for (let at = 0; at < this.#length; at += entryNumbers) {
      const word = entries[at] ?? 0;
      const before = latest[word] ?? 0;
      if (before === 0) words[count++] = word;
      entries[at + 3] = before;
      latest[word] = at + 1;
    }
    return words.subarray(0, count);
  }
}

/**
 * The words of a document as PostingsBatch.add takes them: the number of its chunks, and for each word in ascending order
 * its bytes and its entries, each after their length; chunks count from 0.
 */
class PackedWords {
  readonly #target: GrowingBytes;
  readonly #entries = new GrowingBytes();
  #chunk = -1;

  constructor(chunks: number, bytesExpected: number) {
    this.#target = new GrowingBytes(bytesExpected);
    this.#target.varint(chunks);
  }

  beginWord(bytes: Uint8Array, start: number, end: number): void {
    this.#target.varint(end - start);
    this.#target.append(bytes, start, end);
    this.#entries.length = 0;
    this.#chunk = -1;
  }

  add(chunk: number, level: number): void {
    this.#entries.entry(chunk - this.#chunk, level);
    this.#chunk = chunk;
  }

  endWord(): void {
    this.#target.varint(this.#entries.length);
    this.#target.append(this.#entries.bytes, 0, this.#entries.length);
  }

  finished(): Buffer<ArrayBuffer> {
    const exact = Buffer.from(new ArrayBuffer(this.#target.length));
    exact.set(this.#target.written());
    return exact;
  }
}

/**
 * Packs the words of a document that has all of them at hand, for PostingsBatch.add.
 * @param chunks for each chunk of the document its words with their levels, integers from 1 to 255
 * @throws RangeError for another level
 */
export function packWords(chunks: readonly ReadonlyMap<string, number>[]): Buffer<ArrayBuffer> {
  const target = new PackedWords(chunks.length, 256);
  const text = new GrowingBytes(256);
  for (const word of [...new Set(chunks.flatMap((words) => [...words.keys()]))].sort()) {
    text.length = 0;
    appendWord(text, word);
    target.beginWord(text.bytes, 0, text.length);
    chunks.forEach((words, chunk) => {
      const level = words.get(word);
      if (level === undefined) return;
      if (!(Number.isInteger(level) && level >= 1 && level <= 255)) throw new RangeError(`level ${level}`);
      target.add(chunk, level);
    });
    target.endWord();
  }
  return target.finished();
}

/**
 * What packWords was given; words of a chunk in ascending order.
 * @throws DerivedDamageError for bytes that it did not make
 */
export function unpackWords(packed: Uint8Array): Map<string, number>[] {
  const cursor = new ByteCursor(packed);
  const chunks = Array.from({ length: chunkCountOf(cursor) }, () => new Map<string, number>());
  while (!cursor.isAtEnd) {
    const wordStart = cursor.span();
    const word = wordOf(packed, wordStart, cursor.at);
    const entries = new EntryCursor(packed, cursor.span(), cursor.at);
    while (entries.next()) {
      const chunk = chunks[entries.chunk];
      if (chunk === undefined) throw new DerivedDamageError(`chunk ${entries.chunk} of ${chunks.length}`);
      chunk.set(word, entries.level);
    }
  }
  return chunks;
}
