/**
 * What of a project's vectors is in memory: the signatures of all chunks, and the levels of a few. It belongs to a
 * connection, and is brought up to date before each use: what came since is appended, another model's is read anew.
 */
import { Slicer } from '../base/waiting.js';
import { type Embedder, UnusableModelError } from '../embedding/provider.js';
import { providerNamed } from '../embedding/providers.js';
import type { DerivedDatabase } from '../store/derived/derived-database.js';
import {
  currentModel,
  type ModelRow,
  levelsOfChunk,
  signaturesFrom,
  stateOf,
} from '../store/derived/vectors.js';
import { SignatureRows } from './signature-rows.js';
import type { SignatureTable } from './signature-scan.js';
import { VectorSample } from './vector-sample.js';

/** Of all projects, in memory; the one used longest ago goes first. 3.5 million chunks. */
const cacheBytesMax = 128 * 1024 * 1024;
/** Documents whose signatures are read at once: some 2 ms, and fastest by a tenth. */
const documentsAtOnce = 512;
/** Rows of dropped documents that are kept, as a share of all: they cost time, and answer nothing. */
const droppedShareMax = 1 / 4;

/** A project's vectors at one moment. */
export interface ProjectVectors {
  readonly model: Pick<ModelRow, 'id' | 'dimensions'>;
  readonly embedder: Embedder;
  /** Of all chunks, and of some whose documents were dropped. */
  readonly table: SignatureTable;
  /** Levels of an even sample of the chunks. */
  readonly sample: readonly Int8Array[];
}

const caches = new WeakMap<DerivedDatabase, CachedVectors>();
/** The one used last is the last. */
let recent: WeakRef<CachedVectors>[] = [];

/**
 * Null while there are no vectors that this version can use.
 * @throws DerivedDamageError; the signal's reason when it aborts
 */
export async function projectVectors(
  derived: DerivedDatabase,
  signal: AbortSignal,
): Promise<ProjectVectors | null> {
  const cached = caches.get(derived) ?? new CachedVectors(derived);
  caches.set(derived, cached);
  const vectors = await cached.upToDate(signal);
  forgetOldest(cached);
  return vectors;
}

function forgetOldest(used: CachedVectors): void {
  const known = recent.flatMap((reference) => reference.deref() ?? []).filter((cached) => cached !== used);
  known.push(used);
  let bytes = known.reduce((sum, cached) => sum + cached.bytes, 0);
  while (bytes > cacheBytesMax && known.length > 1) {
    const oldest = known.shift();
    bytes -= oldest?.bytes ?? 0;
    oldest?.forget();
  }
  recent = known.map((cached) => new WeakRef(cached));
}

class CachedVectors {
  readonly #derived: DerivedDatabase;
  #model: ModelRow | null = null;
  #embedder: Embedder | null = null;
  #rows = new SignatureRows();
  #sample = new VectorSample();

  constructor(derived: DerivedDatabase) {
    this.#derived = derived;
  }

  get bytes(): number {
    return this.#rows.bytes;
  }

  forget(): void {
    this.#model = null;
    this.#embedder = null;
    this.#empty();
  }

  #empty(): void {
    this.#rows = new SignatureRows();
    this.#sample = new VectorSample();
  }

  async upToDate(signal: AbortSignal): Promise<ProjectVectors | null> {
    const slicer = new Slicer(signal);
    while (this.#step()) await slicer.breathe();
    if (this.#hasManyDropped()) {
      this.#empty();
      while (this.#step()) await slicer.breathe();
    }
    const [model, embedder] = [this.#model, this.#embedder];
    if (model === null || embedder === null || this.#rows.count === 0) return null;
    return { model, embedder, table: this.#rows.view(), sample: this.#sample.levels };
  }

  /** All within one step, since others may take the next one. False once there is nothing more to read. */
  #step(): boolean {
    return this.#derived.read(() => {
      const model = currentModel(this.#derived) ?? null;
      if (model?.id !== this.#model?.id) {
        this.forget();
        this.#embedder = model === null ? null : openEmbedder(this.#derived, model);
      }
      this.#model = model;
      if (model === null || this.#embedder === null) return false;
      const documents = signaturesFrom(this.#derived, model.id, this.#rows.end, documentsAtOnce);
      if (documents.length > 0) this.#rows.reserve(model.chunks);
      for (const [firstChunk, bits] of documents) this.#rows.append(firstChunk, bits);
      const levelsOf = (chunkId: number): Int8Array | null => levelsOfChunk(this.#derived, model, chunkId);
      const isSampled = this.#sample.follow(this.#rows, model.chunks, levelsOf);
      return documents.length === documentsAtOnce || !isSampled;
    });
  }

  #hasManyDropped(): boolean {
    const { count } = this.#rows;
    return count - (this.#model?.chunks ?? count) > count * droppedShareMax;
  }
}

/** Null where the model is damaged, of another version, or knows nothing: it is trained again, and search goes on by words. */
function openEmbedder(derived: DerivedDatabase, { id, provider }: ModelRow): Embedder | null {
  const state = stateOf(derived, id);
  const known = providerNamed(provider);
  if (state === undefined || known === undefined) return null;
  try {
    const embedder = known.open(state);
    return embedder.dimensions === 0 ? null : embedder;
  } catch (error) {
    if (error instanceof UnusableModelError) return null;
    throw error;
  }
}
