/** The primitive values of the stored tree format: variable-length integers (LEB128, up to 32 bits) and strings. */

/** Bytes that are not a stored tree, or a tree too large to store. The message says what is wrong with them. */
export class TreeFormatError extends Error {
  override readonly name = 'TreeFormatError';
}

/** A buffer that grows. */
export class ByteWriter {
  private bytes: Buffer;
  private length = 0;

  /** @param bytesExpected it grows beyond */
  constructor(bytesExpected = 256) {
    this.bytes = Buffer.allocUnsafe(bytesExpected);
  }

  byte(value: number): void {
    this.reserve(1);
    this.bytes[this.length++] = value;
  }

  /** `value` is an integer from 0 to 2^32 - 1. */
  varint(value: number): void {
    this.reserve(5);
    let rest = value;
    while (rest >= 0x80) {
      this.bytes[this.length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.bytes[this.length++] = rest;
  }

  /** Four bytes, the lowest first. */
  uint32(value: number): void {
    this.reserve(4);
    this.length = this.bytes.writeUInt32LE(value, this.length);
  }

  /** Length in bytes, then UTF-8. */
  string(value: string): void {
    this.blob(Buffer.from(value, 'utf8'));
  }

  /** Length, then the bytes. */
  blob(value: Uint8Array): void {
    this.varint(value.length);
    this.raw(value);
  }

  /** The bytes alone. */
  raw(value: Uint8Array): void {
    this.reserve(value.length);
    this.bytes.set(value, this.length);
    this.length += value.length;
  }

  /** What was written so far; shares memory with the writer. */
  written(): Buffer {
    return this.bytes.subarray(0, this.length);
  }

  private reserve(more: number): void {
    if (this.length + more <= this.bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(this.bytes.length * 2, this.length + more));
    grown.set(this.written());
    this.bytes = grown;
  }
}

/** Reads what ByteWriter wrote. Every method throws TreeFormatError at the end of the bytes or at a bad value. */
export class ByteReader {
  private readonly bytes: Buffer;
  private at = 0;

  /** @param at where it begins */
  constructor(bytes: Buffer, at = 0) {
    this.bytes = bytes;
    this.at = at;
  }

  /** How many bytes from the beginning it is. */
  get position(): number {
    return this.at;
  }

  get remaining(): number {
    return this.bytes.length - this.at;
  }

  byte(): number {
    const value = this.bytes[this.at];
    if (value === undefined) throw new TreeFormatError('truncated');
    this.at++;
    return value;
  }

  varint(): number {
    let value = this.byte();
    if (value < 0x80) return value;
    value &= 0x7f;
    for (let shift = 7; shift <= 28; shift += 7) {
      const next = this.byte();
      if (shift === 28 && next > 0x0f) break;
      value = (value | ((next & 0x7f) << shift)) >>> 0;
      if (next < 0x80) return value;
    }
    throw new TreeFormatError('an integer is longer than 32 bits');
  }

  uint32(): number {
    if (this.remaining < 4) throw new TreeFormatError('truncated');
    this.at += 4;
    return this.bytes.readUInt32LE(this.at - 4);
  }

  /** A varint that counts things of at least `bytesEach` bytes that follow: a larger one is refused unallocated. */
  count(bytesEach: number): number {
    const value = this.varint();
    if (value * bytesEach > this.remaining) throw new TreeFormatError(`truncated: ${value} items declared`);
    return value;
  }

  string(): string {
    return this.blob().toString('utf8');
  }

  /** Shares memory with the input. */
  blob(): Buffer {
    const start = this.skipBlob();
    return this.bytes.subarray(start, this.at);
  }

  /** Passes over a blob; gives where its bytes begin. */
  skipBlob(): number {
    const length = this.count(1);
    this.at += length;
    return this.at - length;
  }
}
