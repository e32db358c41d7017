import type { SignatureRows } from './signature-rows.js';

/** Vectors of a sample; from half as many on it is thinned out no further. 1 MB at 256 dimensions. */
const sampleMax = 4_096;
/** Rows that are looked at in a step: of a small project each is read, in some 10 ms. */
const rowsPerStep = 4_096;
/** 2^32 by the golden ratio: its multiples fill the circle evenly (Knuth, The Art of Computer Programming 3, 6.4). */
const goldenStep = 0x9e3779b1;

/**
 * The levels of an even sample of a project's chunks. Which chunks are in it depends on their ids and on how many there are,
 * and not on when they were read.
 */
export class VectorSample {
  #members: { chunkId: number; levels: Int8Array }[] = [];
  /** Every 2^thinning-th chunk is a member. */
  #thinning = 0;
  /** Rows that were looked at. */
  #rows = 0;

  get levels(): readonly Int8Array[] {
    return this.#members.map(({ levels }) => levels);
  }

  /** @param chunks that the project has; gives false while there are rows to look at */
  follow(rows: SignatureRows, chunks: number, levelsOf: (chunkId: number) => Int8Array | null): boolean {
    const thinning = Math.max(0, Math.ceil(Math.log2(chunks / sampleMax)));
    if (thinning < this.#thinning) {
      this.#members = [];
      this.#rows = 0;
    }
    if (thinning !== this.#thinning) {
      this.#thinning = thinning;
      this.#members = this.#members.filter(({ chunkId }) => isMember(chunkId, thinning));
    }
    const end = Math.min(this.#rows + rowsPerStep * 2 ** thinning, rows.count);
    for (let row = this.#rows; row < end; row += 1) {
      const chunkId = rows.idAt(row);
      if (!isMember(chunkId, thinning)) continue;
      const levels = levelsOf(chunkId);
      if (levels !== null) this.#members.push({ chunkId, levels });
    }
    this.#rows = end;
    return this.#rows === rows.count;
  }
}

function isMember(chunkId: number, thinning: number): boolean {
  const place = Math.imul(chunkId, goldenStep) >>> 0;
  return thinning === 0 || place >>> (32 - thinning) === 0;
}
