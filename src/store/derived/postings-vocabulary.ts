import { compareBytes, type GrowingBytes } from './postings-codec.js';

/** Entries of the hash table at first: what some documents need. */
const slotsAtFirst = 4_096;

/**
 * Numbers for words whose bytes lie in a buffer: 0, 1, 2, ... in the order in which they came first. A hash table
 * over bytes, since making a string of each word of each document would take longer than all the rest.
 */
export class Vocabulary {
  readonly #text: GrowingBytes;
  /** Number of a word + 1, 0 for a free slot; open addressing, at most half full. */
  #slots = new Uint32Array(slotsAtFirst);
  #hashes = new Uint32Array(slotsAtFirst / 2);
  /** Where in the text a word begins, and how long it is (bytes). */
  starts = new Uint32Array(slotsAtFirst / 2);
  lengths = new Uint32Array(slotsAtFirst / 2);
  count = 0;

  constructor(text: GrowingBytes) {
    this.#text = text;
  }

  /** What the words lie in; another one once it has grown. */
  get bytes(): Uint8Array {
    return this.#text.bytes;
  }

  /** The number of the word at this place of the text. */
  numberOf(start: number, length: number): number {
    const { bytes } = this.#text;
    // FNV-1a (Fowler, Noll, Vo), with its high bits brought to where the slot is taken from.
    let hash = 0x811c9dc5;
    for (let at = start; at < start + length; at++) hash = Math.imul(hash ^ (bytes[at] ?? 0), 0x01000193);
    hash = (hash ^ (hash >>> 15)) >>> 0;
    const mask = this.#slots.length - 1;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const number = (this.#slots[slot] ?? 0) - 1;
      if (number < 0) return this.#insert(slot, hash, start, length);
      if (this.#hashes[number] !== hash || this.lengths[number] !== length) continue;
      if (compareBytes(bytes, this.starts[number] ?? 0, length, bytes, start, length) === 0) return number;
    }
  }

  #insert(slot: number, hash: number, start: number, length: number): number {
    const number = this.count++;
    this.#slots[slot] = number + 1;
    this.#hashes[number] = hash;
    this.starts[number] = start;
    this.lengths[number] = length;
    if (this.count === this.#hashes.length) this.#grow();
    return number;
  }

  #grow(): void {
    const slots = new Uint32Array(this.#slots.length * 2);
    const mask = slots.length - 1;
    for (let number = 0; number < this.count; number++) {
      let slot = (this.#hashes[number] ?? 0) & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = number + 1;
    }
    this.#slots = slots;
    this.#hashes = grown(this.#hashes);
    this.starts = grown(this.starts);
    this.lengths = grown(this.lengths);
  }

  /** The numbers in ascending order of their words. */
  sorted(): Uint32Array {
    const numbers = Uint32Array.from({ length: this.count }, (_, number) => number);
    this.sort(numbers);
    return numbers;
  }

  /** Brings different numbers into ascending order of their words. */
  sort(numbers: Uint32Array): void {
    if (this.count > wordsMax) numbers.sort((a, b) => this.#compare(a, b));
    else this.#sort(numbers, new Float64Array(numbers.length), 0);
  }

  /**
   * Sorts words that have their first `depth` bytes in common. Their next four bytes and their number are sorted as one
   * float of 53 bits, natively; then those that have these in common, too, by themselves.
   * @param keys as many, to sort with
   */
  #sort(numbers: Uint32Array, keys: Float64Array, depth: number): void {
    const { bytes } = this.#text;
    for (let at = 0; at < keys.length; at++) {
      const number = numbers[at] ?? 0;
      const end = (this.starts[number] ?? 0) + (this.lengths[number] ?? 0);
      let head = 0;
      // A word that ends and one that goes on with NUL are told apart by the comparison below.
      for (let byte = 0, next = end - (this.lengths[number] ?? 0) + depth; byte < 4; byte++, next++)
        head = head * 256 + (next < end ? (bytes[next] ?? 0) : 0);
      keys[at] = head * wordsMax + number;
    }
    keys.sort();
    let first = 0;
    let headBefore = -1;
    for (let at = 0; at < keys.length; at++) {
      const key = keys[at] ?? 0;
      const head = Math.floor(key / wordsMax);
      numbers[at] = key - head * wordsMax;
      if (head === headBefore) continue;
      this.#sortAlike(numbers, keys, first, at, depth + 4);
      first = at;
      headBefore = head;
    }
    this.#sortAlike(numbers, keys, first, keys.length, depth + 4);
  }

  #sortAlike(numbers: Uint32Array, keys: Float64Array, first: number, end: number, depth: number): void {
    if (end - first < 2) return;
    const alike = numbers.subarray(first, end);
    if (alike.length >= sortedByKeysMin && depth < sortedByKeysDepthMax)
      this.#sort(alike, keys.subarray(first, end), depth);
    else alike.sort((a, b) => this.#compare(a, b));
  }

  #compare(a: number, b: number): number {
    const { bytes } = this.#text;
    const { starts, lengths } = this;
    return compareBytes(bytes, starts[a] ?? 0, lengths[a] ?? 0, bytes, starts[b] ?? 0, lengths[b] ?? 0);
  }
}

/** Fewer words are sorted by comparing them; so are words that have more bytes in common. */
const sortedByKeysMin = 12;
const sortedByKeysDepthMax = 32;

/** Words that `sorted` can number beside four of their bytes: 53 bits less 32. */
export const wordsMax = 2 ** 21;

/** Twice as long, with what there is at its beginning. */
export function grown(array: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  const longer = new Uint32Array(array.length * 2);
  longer.set(array);
  return longer;
}
