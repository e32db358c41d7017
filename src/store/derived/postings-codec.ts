/**
 * The bytes of the inverted index: words, integers and entries.
 *
 * An entry is a chunk id, as its distance from the one before (LEB128; the first one from -1, so that no distance is
 * 0), and one level byte. A word is the UTF-8 of each of its UTF-16 units by itself (CESU-8, Unicode TR 26),
 * so that each string comes back as it was, and bytes sort as JavaScript compares strings.
 */
import { DerivedDamageError } from './damage.js';

/** The largest chunk id: ids and their distances stay within the 31 bits that V8 keeps outside of the heap. */
export const chunkIdMax = 2 ** 31 - 2;

/** A buffer that grows; what is in it ends at `length`. */
export class GrowingBytes {
  bytes: Buffer;
  length = 0;

  constructor(capacity = 4_096) {
    this.bytes = Buffer.allocUnsafeSlow(capacity);
  }

  reserve(more: number): void {
    if (this.length + more <= this.bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(this.bytes.length * 2, this.length + more));
    grown.set(this.written());
    this.bytes = grown;
  }

  /** `value` is an integer from 0 to 2^31 - 1. */
  varint(value: number): void {
    this.reserve(5);
    let rest = value;
    while (rest >= 0x80) {
      this.bytes[this.length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.bytes[this.length++] = rest;
  }

  /** @param gap distance from the chunk before, at least 1 */
  entry(gap: number, level: number): void {
    if (this.length + 6 > this.bytes.length) this.reserve(6);
    const { bytes } = this;
    let at = this.length;
    let rest = gap;
    while (rest >= 0x80) {
      bytes[at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    bytes[at++] = rest;
    bytes[at++] = level;
    this.length = at;
  }

  append(source: Uint8Array, start: number, end: number): void {
    this.reserve(end - start);
    // Words have a handful of bytes: a call of `set` takes longer than they do.
    if (end - start > 32) this.bytes.set(source.subarray(start, end), this.length);
    else for (let at = start; at < end; at++) this.bytes[this.length + at - start] = source[at] ?? 0;
    this.length += end - start;
  }

  /** What was written so far; shares memory. */
  written(): Buffer {
    return this.bytes.subarray(0, this.length);
  }
}

/** Integers and spans of bytes from front to back; DerivedDamageError where they do not fit. */
export class ByteCursor {
  readonly bytes: Uint8Array;
  at: number;
  readonly end: number;

  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  get isAtEnd(): boolean {
    return this.at >= this.end;
  }

  varint(): number {
    let value = 0;
    for (let shift = 0; shift <= 28 && this.at < this.end; shift += 7) {
      const next = this.bytes[this.at++] ?? 0;
      value |= (next & 0x7f) << shift;
      if (next >= 0x80) continue;
      if (shift === 28 && next > 7) break;
      return value;
    }
    throw new DerivedDamageError('an integer is cut off or longer than 31 bits');
  }

  /** Passes over a length and as many bytes; gives where they begin. They end at `at`. */
  span(): number {
    const length = this.varint();
    const start = this.at;
    if (length > this.end - start) throw new DerivedDamageError(`cut off: ${length} bytes were to follow`);
    this.at = start + length;
    return start;
  }
}

/** Entries from front to back: `chunk` and `level` are those of the entry that `next` came to. */
export class EntryCursor {
  #bytes: Uint8Array;
  #at: number;
  #end: number;
  chunk = -1;
  level = 0;

  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  /** Begins at the first entry of other bytes: there are too many short lists for a cursor each. */
  restart(bytes: Uint8Array, start: number, end: number): void {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
    this.chunk = -1;
  }

  /**
   * False after the last one.
   * @throws DerivedDamageError where the bytes are no entries
   */
  next(): boolean {
    if (this.#at >= this.#end) return false;
    const bytes = this.#bytes;
    let at = this.#at;
    let gap = bytes[at++] ?? 0;
    if (gap >= 0x80) {
      gap &= 0x7f;
      let next = 0x80;
      for (let shift = 7; next >= 0x80 && shift <= 28; shift += 7) {
        next = bytes[at++] ?? 0x80;
        gap |= (next & 0x7f) << shift;
      }
      if (next >= 0x80) throw badEntry();
    }
    const chunk = this.chunk + gap;
    const level = bytes[at++] ?? 0;
    if (at > this.#end || gap <= 0 || level === 0 || chunk > chunkIdMax) throw badEntry();
    this.#at = at;
    this.chunk = chunk;
    this.level = level;
    return true;
  }
}

function badEntry(): DerivedDamageError {
  return new DerivedDamageError('the entries of a word do not decode');
}

/** Appends the bytes of a word. */
export function appendWord(target: GrowingBytes, word: string): void {
  target.reserve(3 * word.length);
  const { bytes } = target;
  let { length } = target;
  for (let index = 0; index < word.length; index++) {
    const unit = word.charCodeAt(index);
    if (unit < 0x80) {
      bytes[length++] = unit;
    } else if (unit < 0x800) {
      bytes[length++] = 0xc0 | (unit >> 6);
      bytes[length++] = 0x80 | (unit & 0x3f);
    } else {
      bytes[length++] = 0xe0 | (unit >> 12);
      bytes[length++] = 0x80 | ((unit >> 6) & 0x3f);
      bytes[length++] = 0x80 | (unit & 0x3f);
    }
  }
  target.length = length;
}

export function wordBytes(word: string): Buffer {
  const bytes = new GrowingBytes(3 * word.length);
  appendWord(bytes, word);
  return bytes.written();
}

/** @throws DerivedDamageError */
export function wordOf(bytes: Uint8Array, start: number, end: number): string {
  let word = '';
  const following = (at: number): number => {
    const byte = at < end ? (bytes[at] ?? 0) : 0;
    if ((byte & 0xc0) !== 0x80) throw new DerivedDamageError('a word does not decode');
    return byte & 0x3f;
  };
  for (let at = start; at < end; at++) {
    const byte = bytes[at] ?? 0;
    let unit = byte;
    if (byte >= 0xe0) unit = ((byte & 0x0f) << 12) | (following(++at) << 6) | following(++at);
    else if (byte >= 0x80) unit = ((byte & 0x1f) << 6) | following(++at);
    word += String.fromCharCode(unit);
  }
  return word;
}

/** As JavaScript compares the strings whose bytes they are: less than, equal to or greater than 0. */
export function compareBytes(
  a: Uint8Array,
  aStart: number,
  aLength: number,
  b: Uint8Array,
  bStart: number,
  bLength: number,
): number {
  const common = Math.min(aLength, bLength);
  for (let at = 0; at < common; at++) {
    const difference = (a[aStart + at] ?? 0) - (b[bStart + at] ?? 0);
    if (difference !== 0) return difference;
  }
  return aLength - bLength;
}

/** More than a document can have: what declares more is damaged, and nothing is allocated for it. */
const chunksMax = 1_000_000;

/** Reads the number of chunks, with which packed words begin. */
export function chunkCountOf(cursor: ByteCursor): number {
  const count = cursor.varint();
  if (count > chunksMax) throw new DerivedDamageError(`a document of ${count} chunks`);
  return count;
}
