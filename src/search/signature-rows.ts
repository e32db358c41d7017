import { signatureBytes } from '../store/derived/vector-codec.js';
import type { SignatureTable } from './signature-scan.js';

/** Room that is made at once beyond what is needed, as a share: new chunks come one save after the other. */
const spare = 1 / 8;

/** A table of signatures that grows at its end, in memory that threads share. */
export class SignatureRows {
  #count = 0;
  #ids: Uint32Array = new Uint32Array();
  #bits: Uint8Array = new Uint8Array();

  get count(): number {
    return this.#count;
  }

  /** The first chunk id that is not in it, and above all that are. */
  get end(): number {
    return this.#count === 0 ? 0 : (this.#ids[this.#count - 1] ?? 0) + 1;
  }

  /** Of memory. */
  get bytes(): number {
    return this.#ids.byteLength + this.#bits.byteLength;
  }

  idAt(row: number): number {
    return this.#ids[row] ?? 0;
  }

  /** Makes room for so many rows in all. Who has a view keeps what it shows. */
  reserve(rows: number): void {
    if (rows <= this.#ids.length) return;
    const capacity = Math.ceil(rows * (1 + spare));
    const ids = new Uint32Array(new SharedArrayBuffer(capacity * Uint32Array.BYTES_PER_ELEMENT));
    const bits = new Uint8Array(new SharedArrayBuffer(capacity * signatureBytes));
    ids.set(this.#ids.subarray(0, this.#count));
    bits.set(this.#bits.subarray(0, this.#count * signatureBytes));
    this.#ids = ids;
    this.#bits = bits;
  }

  /** @param firstChunk at or above `end` */
  append(firstChunk: number, bits: Uint8Array): void {
    const count = this.#count;
    const added = Math.floor(bits.length / signatureBytes);
    this.reserve(count + Math.ceil(bits.length / signatureBytes));
    this.#bits.set(bits, count * signatureBytes);
    const ids = this.#ids;
    for (let i = 0; i < added; i += 1) ids[count + i] = firstChunk + i;
    this.#count = count + added;
  }

  /** What is in it now, which appending does not change. */
  view(): SignatureTable {
    return { count: this.#count, ids: this.#ids, words: new Int32Array(this.#bits.buffer) };
  }
}
