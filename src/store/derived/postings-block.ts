/**
 * Blocks: rows of neighbouring words with their entries. One row for each word would cost more in keys and row
 * headers than the entries of the rare words, which most words are. Words are cut by what they share with the word
 * before, and found by going through a block's directory, some hundred words at most.
 */
import { crc32 } from 'node:zlib';
import { DerivedDamageError } from './damage.js';
import { ByteCursor, GrowingBytes } from './postings-codec.js';

/** A row of posting_blocks without its segment. */
export interface Block {
  readonly word: Uint8Array;
  readonly directory: Uint8Array;
  readonly entries: Uint8Array;
}

/** A row of posting_blocks as it was read. */
export interface StoredBlock extends Block {
  readonly checksum: number;
}

/** What is stored with a block. */
export function checksumOf({ word, directory, entries }: Block): number {
  return crc32(entries, crc32(directory, crc32(word)));
}

/** @throws DerivedDamageError where the row is not as it was written */
export function assertWhole(block: StoredBlock): void {
  if (checksumOf(block) !== block.checksum) throw new DerivedDamageError('a block of words is damaged');
}

/**
 * How SQLite lays out a row that is larger than a page of 4,096 bytes (file format, section 1.6): at least 489 bytes
 * stay in the tree's page, the rest is in overflow pages of 4,092 bytes, which rows do not share. A row with so much
 * left in the tree's page that four of them fit there, and the overflow pages full, leaves next to nothing empty.
 */
const rowLocalMinBytes = 489;
const rowLocalMaxBytes = 1_002;
const overflowPageBytes = 4_092;

/** Of a row beside its word, directory and entries: the record's header and the integers, about. */
const rowHeaderBytes = 19;

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
  readonly #directory = new GrowingBytes();
  readonly #entries = new GrowingBytes();
  /** No word has come, also for an earlier block. */
  #isFirst = true;
  #words = 0;
  #word: Uint8Array = Buffer.alloc(0);
  #wordStart = 0;
  #wordEnd = 0;
  #start = 0;
  #count = 0;
  #chunk = -1;

  /** @param bytes to stay as they are until the word ends */
  beginWord(bytes: Uint8Array, start: number, length: number): void {
    this.#word = bytes;
    this.#wordStart = start;
    this.#wordEnd = start + length;
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
    const before = this.#before;
    const shared = this.#sharedLength();
    const rest = this.#wordStart + shared;
    const isBeyond =
      rest < this.#wordEnd &&
      (shared === before.length || (this.#word[rest] ?? 0) > (before.bytes[shared] ?? 0));
    if (!isBeyond && !this.#isFirst) throw new DerivedDamageError('words are out of order');
    this.#isFirst = false;
    before.length = shared;
    before.append(this.#word, rest, this.#wordEnd);
    const directory = this.#directory;
    if (this.#words === 0) {
      this.#first.length = 0;
      this.#first.append(before.bytes, 0, before.length);
      directory.varint(0);
      directory.varint(0);
    } else {
      directory.varint(shared);
      directory.varint(this.#wordEnd - rest);
      directory.append(this.#word, rest, this.#wordEnd);
    }
    directory.varint(this.#count);
    directory.varint(this.#entries.length - this.#start);
    this.#words++;
  }

  /** Bytes at the beginning that the word has in common with the one before. */
  #sharedLength(): number {
    const before = this.#before.bytes;
    const word = this.#word;
    const start = this.#wordStart;
    const common = Math.min(this.#before.length, this.#wordEnd - start);
    let shared = 0;
    while (shared < common && before[shared] === word[start + shared]) shared++;
    return shared;
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
