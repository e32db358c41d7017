import type { ChunkFilter } from '../store/chunk-search.js';
import type { IndexDatabase } from '../store/index-database.js';
import { bestRows, similarities } from './similarity.js';
import { vectorsOfProject } from './vector-cache.js';

/** What a project's vectors say to a query. */
export interface SimilarChunks {
  /** Ids of the most similar chunks that pass the filter, best first. */
  readonly best: readonly number[];
  /** The cosine with the query; null for a chunk without a vector. */
  readonly cosineOf: (chunkId: number) => number | null;
  /** The same in standard deviations above the mean of the project's chunks, which compares between models. */
  readonly deviationsOf: (chunkId: number) => number | null;
}

/** Null where the project has no vectors, or its model knows no word of the query: no answer rather than noise. */
export async function similarChunks(
  index: IndexDatabase,
  projectId: string,
  query: string,
  filter: ChunkFilter,
  limit: number,
  signal: AbortSignal,
): Promise<SimilarChunks | null> {
  const snapshot = await vectorsOfProject(index, projectId, signal);
  if (snapshot === null || snapshot.owners.length === 0) return null;
  const vector = await snapshot.embedder.embedQuery(query, signal);
  if (vector === null) return null;
  const scores = await similarities(snapshot, vector, signal);
  const { mean, deviation } = distribution(scores);
  const cosineOf = (chunkId: number): number | null => {
    const row = snapshot.rowOf.get(chunkId);
    return row === undefined ? null : (scores[row] ?? 0);
  };
  return {
    best: bestRows(snapshot, scores, filter, limit).flatMap((row) => snapshot.owners[row]?.chunkId ?? []),
    cosineOf,
    deviationsOf(chunkId) {
      const cosine = cosineOf(chunkId);
      if (cosine === null) return null;
      return deviation > 0 ? (cosine - mean) / deviation : 0;
    },
  };
}

function distribution(values: Float32Array): { mean: number; deviation: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, deviation: Math.sqrt(squares / values.length) };
}
