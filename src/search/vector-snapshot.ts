import type { Embedder } from '../embedding/provider.js';
import type { FileChunks } from '../store/chunk-search.js';

/** Of one project; the rest of a bigger one is found by its words only. 256 MB at 256 dimensions. */
const vectorsMax = 250_000;

/** What a vector is of. */
export interface VectorOwner {
  readonly chunkId: number;
  readonly fileId: number;
  /** `updated_at` of its file when the vector was read. */
  readonly updatedAt: number;
  readonly path: string;
  readonly language: string | null;
  /** Kind of its entity. */
  readonly kind: string | null;
}

/** The vectors of a project's present chunks at one moment. Never changed: a search may still be reading it. */
export interface VectorSnapshot {
  /** Of the index, before the snapshot was read. */
  readonly version: string;
  readonly model: string;
  readonly embedder: Embedder;
  readonly owners: readonly VectorOwner[];
  /** Position in `owners` by chunk id. */
  readonly rowOf: ReadonlyMap<number, number>;
  /** owners × embedder.dimensions */
  readonly matrix: Float32Array;
}

/** The row of a chunk; null where the snapshot has none of it, or one of an earlier content. */
export function rowOfSame(snapshot: VectorSnapshot, chunkId: number, file: FileChunks): number | null {
  const row = snapshot.rowOf.get(chunkId);
  const owner = row === undefined ? undefined : snapshot.owners[row];
  const isSame = owner?.fileId === file.fileId && owner.updatedAt === file.updatedAt;
  return row !== undefined && isSame ? row : null;
}

/** Puts a snapshot together, of vectors that an older one has and of ones that are read. */
export class SnapshotBuilder {
  readonly #dimensions: number;
  readonly #matrix: Float32Array;
  /** A vector that is being read, as numbers and as bytes: SQLite's bytes need not start where a number may. */
  readonly #vector: Float32Array;
  readonly #bytes: Uint8Array;
  readonly #owners: VectorOwner[] = [];
  readonly #rowOf = new Map<number, number>();

  constructor(dimensions: number, capacity: number) {
    this.#dimensions = dimensions;
    this.#vector = new Float32Array(dimensions);
    this.#bytes = new Uint8Array(this.#vector.buffer);
    this.#matrix = new Float32Array(dimensions * Math.min(capacity, vectorsMax));
  }

  get #isFull(): boolean {
    return this.#owners.length * this.#dimensions >= this.#matrix.length;
  }

  copy(old: VectorSnapshot, row: number): void {
    const owner = old.owners[row];
    const start = row * this.#dimensions;
    if (owner !== undefined) this.#push(owner, old.matrix.subarray(start, start + this.#dimensions));
  }

  /** @param bytes the vector as store/vectors.ts wrote it, in the order of bytes of this machine */
  add(chunkId: number, file: FileChunks, kind: string | null, bytes: Buffer): void {
    if (bytes.length !== this.#dimensions * 4) return;
    const { fileId, updatedAt, path, language } = file;
    this.#bytes.set(bytes);
    this.#push({ chunkId, fileId, updatedAt, path, language, kind }, this.#vector);
  }

  #push(owner: VectorOwner, vector: Float32Array): void {
    if (this.#isFull) return;
    this.#matrix.set(vector, this.#owners.length * this.#dimensions);
    this.#rowOf.set(owner.chunkId, this.#owners.length);
    this.#owners.push(owner);
  }

  finish(): Pick<VectorSnapshot, 'owners' | 'rowOf' | 'matrix'> {
    return { owners: this.#owners, rowOf: this.#rowOf, matrix: this.#matrix };
  }
}
