import { Slicer } from '../base/waiting.js';
import { type Embedder, UnusableModelError } from '../embedding/provider.js';
import { providerNamed } from '../embedding/providers.js';
import {
  chunksByFile,
  type FileChunks,
  indexVersion,
  vectorizedChunkIds,
  vectorsByChunk,
} from '../store/chunk-search.js';
import type { IndexDatabase } from '../store/index-database.js';
import { currentModel, currentModelIdentity } from '../store/vectors.js';
import { rowOfSame, SnapshotBuilder, type VectorSnapshot } from './vector-snapshot.js';

/** Of all projects that stay in memory; the one used longest ago goes first. */
const cacheBytesMax = 384 * 1024 * 1024;
/** Chunks whose vectors are read at once: about 2 ms. */
const readBatch = 512;

const caches = new WeakMap<IndexDatabase, Map<string, VectorSnapshot>>();

/**
 * The vectors of a project as the index has them now, from memory where nothing was committed since; else only what
 * is new is read. Null while the project has no model that this version can use.
 */
export async function vectorsOfProject(
  index: IndexDatabase,
  projectId: string,
  signal: AbortSignal,
): Promise<VectorSnapshot | null> {
  const cache = caches.get(index) ?? new Map<string, VectorSnapshot>();
  caches.set(index, cache);
  const known = cache.get(projectId);
  // Asked before anything is read: what is committed meanwhile makes the snapshot old, never wrong for good.
  const version = indexVersion(index);
  const snapshot =
    known?.version === version ? known : await readSnapshot(index, projectId, version, known, signal);
  cache.delete(projectId);
  if (snapshot === null) return null;
  cache.set(projectId, snapshot);
  forgetOldest(cache);
  return snapshot;
}

function forgetOldest(cache: Map<string, VectorSnapshot>): void {
  let bytes = [...cache.values()].reduce((sum, { matrix }) => sum + matrix.byteLength, 0);
  for (const [projectId, { matrix }] of cache) {
    if (bytes <= cacheBytesMax || cache.size === 1) return;
    cache.delete(projectId);
    bytes -= matrix.byteLength;
  }
}

async function readSnapshot(
  index: IndexDatabase,
  projectId: string,
  version: string,
  known: VectorSnapshot | undefined,
  signal: AbortSignal,
): Promise<VectorSnapshot | null> {
  const identity = currentModelIdentity(index, projectId);
  if (identity === undefined) return null;
  const model = `${identity.id}:${identity.addedAt}`;
  const old = known?.model === model ? known : undefined;
  const embedder = old?.embedder ?? openModel(index, projectId);
  if (embedder === null || embedder.dimensions === 0) return null;
  const vectorized = vectorizedChunkIds(index, identity.id);
  const keptRows: number[] = [];
  const unread = new Map<number, FileChunks>();
  for (const file of chunksByFile(index, projectId)) {
    for (const chunkId of file.chunkIds) {
      if (!vectorized.has(chunkId)) continue;
      const row = old === undefined ? null : rowOfSame(old, chunkId, file);
      if (row === null) unread.set(chunkId, file);
      else keptRows.push(row);
    }
  }
  // Most commits are about something else: then the vectors are those of before.
  if (old !== undefined && unread.size === 0 && keptRows.length === old.owners.length)
    return { ...old, version };
  const builder = new SnapshotBuilder(embedder.dimensions, keptRows.length + unread.size);
  if (old !== undefined) for (const row of keptRows) builder.copy(old, row);
  await readVectors(index, identity.id, unread, builder, signal);
  return { version, model, embedder, ...builder.finish() };
}

async function readVectors(
  index: IndexDatabase,
  modelId: number,
  unread: ReadonlyMap<number, FileChunks>,
  builder: SnapshotBuilder,
  signal: AbortSignal,
): Promise<void> {
  const slicer = new Slicer(signal);
  const ids = [...unread.keys()];
  for (let start = 0; start < ids.length; start += readBatch) {
    const batch = vectorsByChunk(index, modelId, ids.slice(start, start + readBatch));
    for (const { chunkId, kind, bytes } of batch) {
      const file = unread.get(chunkId);
      if (file !== undefined) builder.add(chunkId, file, kind, bytes);
    }
    await slicer.breathe();
  }
}

/** Null where the model is damaged or of another version: vectorization replaces it, search goes on by words. */
function openModel(index: IndexDatabase, projectId: string): Embedder | null {
  const model = currentModel(index, projectId);
  const provider = model === undefined ? undefined : providerNamed(model.provider);
  if (model === undefined || provider === undefined) return null;
  try {
    return provider.open(model.state);
  } catch (error) {
    if (error instanceof UnusableModelError) return null;
    throw error;
  }
}
