/**
 * Blocks: rows of neighbouring words with their entries. One row for each word would cost more in keys and row
 * headers than the entries of the rare words, which most words are. Words are cut by what they share with the word
 * before, and found by going through a block's directory, some hundred words at most.
 */
import { ByteCursor, DerivedDamageError, GrowingBytes } from './postings-codec.js';

/** A row of posting_blocks without its segment. */
export interface Block {
  readonly word: Uint8Array;
  readonly directory: Uint8Array;
  readonly entries: Uint8Array;
}

/**
 * How SQLite lays out a row of a WITHOUT ROWID table on pages of 4,096 bytes (file format, section 1.6): up to 1,002
 * bytes stay in the tree's page; of a larger row 489 bytes do, or up to 1,002 where the rest then fills whole
 * overflow pages of 4,092 bytes, which rows do not share.
 */
const rowLocalMinBytes = 489;
const rowLocalMaxBytes = 1_002;
const overflowPageBytes = 4_092;

/** Of a row beside its word, directory and entries: the record's header and the segment, about. */
const rowHeaderBytes = 14;

/** A block is ended at this size even where it leaves part of a page empty. */
const blockMaxBytes = 64 * 1_024;

/** True for a size at which a row fills at least one overflow page, and leaves none partly empty. */
function fillsPages(blockBytes: number): boolean {
  const beyond = blockBytes + rowHeaderBytes - rowLocalMinBytes;
  return beyond >= overflowPageBytes && beyond % overflowPageBytes <= rowLocalMaxBytes - rowLocalMinBytes;
}

/** Makes blocks of words that come in ascending order, and of each word's entries, in order of their chunks. */
export class BlockBuilder {
  readonly #first = new GrowingBytes(64);
  readonly #before = new GrowingBytes(64);
  readonly #word = new GrowingBytes(64);
  readonly #directory = new GrowingBytes();
  readonly #entries = new GrowingBytes();
  /** No word has come, also for an earlier block. */
  #isFirst = true;
  #words = 0;
  #start = 0;
  #count = 0;
  #chunk = -1;

  beginWord(bytes: Uint8Array, start: number, length: number): void {
    this.#word.length = 0;
    this.#word.append(bytes, start, start + length);
    this.#start = this.#entries.length;
    this.#count = 0;
    this.#chunk = -1;
  }

  /** @throws DerivedDamageError for a chunk that is not beyond the one before: what it was read from is damaged */
  add(chunk: number, level: number): void {
    if (chunk <= this.#chunk) throw new DerivedDamageError(`chunk ${chunk} after ${this.#chunk}`);
    this.#entries.entry(chunk - this.#chunk, level);
    this.#chunk = chunk;
    this.#count++;
  }

  /**
   * A word without entries is left out.
   * @throws DerivedDamageError for a word that is not beyond the one before
   */
  endWord(): void {
    if (this.#count === 0) return;
    const before = this.#before.written();
    const word = this.#word.written();
    const shared = sharedLength(before, word);
    const isBeyond =
      shared < word.length && (shared === before.length || (word[shared] ?? 0) > (before[shared] ?? 0));
    if (!isBeyond && !this.#isFirst) throw new DerivedDamageError('words are out of order');
    this.#isFirst = false;
    if (this.#words === 0) {
      this.#first.length = 0;
      this.#first.append(this.#word.bytes, 0, this.#word.length);
      this.#directory.varint(0);
      this.#directory.varint(0);
    } else {
      this.#directory.varint(shared);
      this.#directory.varint(this.#word.length - shared);
      this.#directory.append(this.#word.bytes, shared, this.#word.length);
    }
    this.#directory.varint(this.#count);
    this.#directory.varint(this.#entries.length - this.#start);
    this.#before.length = 0;
    this.#before.append(this.#word.bytes, 0, this.#word.length);
    this.#words++;
  }

  get isEmpty(): boolean {
    return this.#words === 0;
  }

  get isFull(): boolean {
    const bytes = this.#first.length + this.#directory.length + this.#entries.length;
    return bytes >= blockMaxBytes || fillsPages(bytes);
  }

  /** The block of the words so far, to be used before the next word begins: it shares memory. */
  take(): Block {
    const block = {
      word: this.#first.written(),
      directory: this.#directory.written(),
      entries: this.#entries.written(),
    };
    this.#words = 0;
    this.#directory.length = 0;
    this.#entries.length = 0;
    return block;
  }
}

function sharedLength(a: Uint8Array, b: Uint8Array): number {
  const common = Math.min(a.length, b.length);
  let shared = 0;
  while (shared < common && a[shared] === b[shared]) shared++;
  return shared;
}

/** Goes through the words of a block: the fields are those of the word that `next` came to. */
export class BlockCursor {
  readonly #directory: ByteCursor;
  readonly #entriesLength: number;
  #isFirst = true;
  /** Bytes of the word, which end at its length. */
  readonly word = new GrowingBytes(64);
  /** Number of entries. */
  count = 0;
  /** Where its entries begin and end in the block's. */
  start = 0;
  end = 0;

  constructor(word: Uint8Array, directory: Uint8Array, entriesLength: number) {
    this.#directory = new ByteCursor(directory);
    this.#entriesLength = entriesLength;
    this.word.append(word, 0, word.length);
  }

  /**
   * False after the last one.
   * @throws DerivedDamageError where the directory does not decode, or not to the length of the entries
   */
  next(): boolean {
    const directory = this.#directory;
    if (directory.isAtEnd) {
      if (this.end === this.#entriesLength) return false;
      throw new DerivedDamageError("a block's entries are not as long as its directory has them");
    }
    const shared = directory.varint();
    const rest = directory.span();
    const { word } = this;
    if (!this.#isFirst) {
      if (shared > word.length) throw new DerivedDamageError('a word shares more than the one before has');
      const isBeyond = shared === word.length || (directory.bytes[rest] ?? 0) > (word.bytes[shared] ?? 0);
      if (rest === directory.at || !isBeyond) throw new DerivedDamageError('words are out of order');
      word.length = shared;
      word.append(directory.bytes, rest, directory.at);
    }
    this.#isFirst = false;
    this.count = directory.varint();
    this.start = this.end;
    this.end += directory.varint();
    // Two bytes is what the shortest entry has.
    if (this.end > this.#entriesLength || this.count * 2 > this.end - this.start || this.count === 0)
      throw new DerivedDamageError(`${this.count} entries in ${this.end - this.start} bytes`);
    return true;
  }
}
