/** Positions in a list: from, up to and not including. */
export type Stretch = readonly [start: number, end: number];

/** A set of chunks: those of some documents, or all. */
export class ChunkRanges {
  static readonly all = new ChunkRanges(null);
  readonly #ranges: readonly ChunkRange[] | null;

  private constructor(ranges: readonly ChunkRange[] | null) {
    this.#ranges = ranges;
  }

  /** @param ranges do not overlap */
  static of(ranges: readonly ChunkRange[]): ChunkRanges {
    return new ChunkRanges([...ranges].sort((a, b) => a.firstChunk - b.firstChunk));
  }

  /** For asking about ascending ids. */
  walk(): (chunkId: number) => boolean {
    const ranges = this.#ranges;
    if (ranges === null) return () => true;
    let at = -1;
    let start = 0;
    let end = 0;
    return (chunkId) => {
      while (chunkId >= end && at < ranges.length) {
        at += 1;
        const range = ranges[at];
        start = range?.firstChunk ?? Number.POSITIVE_INFINITY;
        end = start + (range?.chunks ?? 0);
      }
      return chunkId >= start && chunkId < end;
    };
  }

  /** Where the first `count` of an ascending list of ids are in it. */
  stretches(ids: Uint32Array, count: number): readonly Stretch[] {
    if (this.#ranges === null) return [[0, count]];
    const found: [number, number][] = [];
    let last: [number, number] | undefined;
    for (const { firstChunk, chunks } of this.#ranges) {
      const start = firstAtLeast(ids, firstChunk, last?.[1] ?? 0, count);
      const end = firstAtLeast(ids, firstChunk + chunks, start, count);
      if (last !== undefined && last[1] === start) last[1] = end;
      else if (end > start) found.push((last = [start, end]));
    }
    return found;
  }
}

/** The position of the first id that is `least` or more; looked for in growing steps, since it is mostly near `from`. */
function firstAtLeast(ids: Uint32Array, least: number, from: number, count: number): number {
  let low = from;
  let step = 1;
  while (low + step < count && (ids[low + step] ?? 0) < least) {
    low += step;
    step *= 2;
  }
  let high = Math.min(low + step, count);
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ids[middle] ?? 0) < least) low = middle + 1;
    else high = middle;
  }
  return low;
}

export interface ChunkRange {
  firstChunk: number;
  chunks: number;
}
