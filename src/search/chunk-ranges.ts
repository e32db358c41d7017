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
    let at = 0;
    return (chunkId) => {
      for (; at < ranges.length; at += 1) {
        const { firstChunk, chunks } = ranges[at] ?? { firstChunk: 0, chunks: 0 };
        if (chunkId < firstChunk) return false;
        if (chunkId < firstChunk + chunks) return true;
      }
      return false;
    };
  }
}

export interface ChunkRange {
  firstChunk: number;
  chunks: number;
}
