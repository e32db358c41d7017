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
}

export interface ChunkRange {
  firstChunk: number;
  chunks: number;
}
