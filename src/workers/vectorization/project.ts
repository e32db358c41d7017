import type { Work } from '../../base/progress.js';
import {
  type Document,
  type Embedder,
  type EmbeddingProvider,
  UnusableModelError,
} from '../../embedding/provider.js';
import type { IndexDatabase } from '../../store/index-database.js';
import { type Project, projectById } from '../../store/projects.js';
import {
  type ChunkText,
  chunkIds,
  chunkIdsWithoutVector,
  chunkTexts,
  currentModel,
  currentModelIdentity,
  type ModelIdentity,
  putVectors,
  replaceModel,
} from '../../store/vectors.js';

/** Chunks that are read, embedded and written at once: at most 1 MB of text, and a transaction of some 5 ms. */
const batchChunks = 256;

/** Its progress has the operation, for people, as its phase. */
export interface VectorizationContext extends Work {
  index: IndexDatabase;
  provider: EmbeddingProvider;
  project: Project;
  /** Milliseconds since 1970. */
  now: () => number;
}

/**
 * Learns a model from the project and puts it in the place of the one before, whose vectors go at once: vectors of
 * two models do not compare. Until all are made again, search finds the rest by words.
 */
export async function trainProject(context: VectorizationContext): Promise<void> {
  const { index, provider, project, signal } = context;
  const ids = chunkIds(index, project.id);
  const trained = await provider.train(sampledDocuments(index, ids, provider.trainingDocumentsMax), {
    signal,
    progress: (_phase, done, total) => context.progress(`learning ${project.rootDir}`, done, total),
  });
  const model = { provider: provider.name, trainedOn: ids.length, ...trained };
  await index.write(() => {
    // The project may have been removed while this learned from it.
    if (projectById(index, project.id) !== undefined) replaceModel(index, project.id, model, context.now());
  }, signal);
}

/** Evenly spread over the project, so that no folder is left out; the same chunks give the same sample. */
async function* sampledDocuments(
  index: IndexDatabase,
  ids: readonly number[],
  documentsMax: number,
): AsyncGenerator<Document> {
  const count = Math.min(ids.length, documentsMax);
  const sample = Array.from({ length: count }, (_, i) => ids[Math.floor((i * ids.length) / count)] ?? 0);
  for (let start = 0; start < count; start += batchChunks) {
    yield* await Promise.resolve(chunkTexts(index, sample.slice(start, start + batchChunks)));
  }
}

/**
 * The project's model, opened; null where there is none, or where none of this provider can be made of it (another
 * provider's, another version's, damaged): such a one is to be trained again.
 */
export function openModel(
  index: IndexDatabase,
  provider: EmbeddingProvider,
  projectId: string,
): Embedder | null {
  const model = currentModel(index, projectId);
  if (model === undefined || model.provider !== provider.name) return null;
  try {
    return provider.open(model.state);
  } catch (error) {
    if (error instanceof UnusableModelError) return null;
    throw error;
  }
}

/** Makes the vectors that the project's model has not made yet. */
export async function embedProject(context: VectorizationContext, model: ModelIdentity): Promise<void> {
  const { index, provider, project, signal } = context;
  const operation = `embedding ${project.rootDir}`;
  const ids = chunkIdsWithoutVector(index, project.id, model.id);
  const embedder = ids.length === 0 ? null : openModel(index, provider, project.id);
  if (embedder === null) return;
  for (let start = 0; start < ids.length; start += batchChunks) {
    context.progress(operation, start, ids.length);
    const chunks = chunkTexts(index, ids.slice(start, start + batchChunks));
    const vectors = await embedder.embed(chunks, signal);
    await index.write(() => {
      if (!isCurrent(index, project.id, model)) return;
      putVectors(index, model.id, vectorsOfUnchanged(index, chunks, vectors));
    }, signal);
  }
  context.progress(operation, ids.length, ids.length);
}

function isCurrent(index: IndexDatabase, projectId: string, model: ModelIdentity): boolean {
  const current = currentModelIdentity(index, projectId);
  return current?.id === model.id && current.addedAt === model.addedAt;
}

/**
 * The vectors of chunks that still say what was embedded. The watcher writes meanwhile, and a chunk of its can have
 * the id of one that it removed.
 */
function vectorsOfUnchanged(
  index: IndexDatabase,
  chunks: readonly ChunkText[],
  vectors: readonly Float32Array[],
): { chunkId: number; vector: Float32Array }[] {
  const current = new Map(
    chunkTexts(
      index,
      chunks.map(({ id }) => id),
    ).map((chunk) => [chunk.id, chunk]),
  );
  return chunks.flatMap((chunk, position) => {
    const now = current.get(chunk.id);
    const vector = vectors[position];
    const isSame = now?.text === chunk.text && now.path === chunk.path && now.name === chunk.name;
    return isSame && vector !== undefined ? [{ chunkId: chunk.id, vector }] : [];
  });
}
