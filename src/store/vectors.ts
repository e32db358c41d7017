import type { IndexDatabase } from './index-database.js';

export interface EmbeddingModel {
  id: number;
  provider: string;
  dimensions: number;
  /** Chunks the project had when it learned; of many it reads a sample. */
  trainedOn: number;
  state: Buffer;
}

/** The model that a project's vectors are made with: its newest. */
export function currentModel(index: IndexDatabase, projectId: string): EmbeddingModel | undefined {
  return index
    .sql<[string], EmbeddingModel>(
      `SELECT id, provider, dimensions, trained_on AS trainedOn, state FROM embedding_models
       WHERE project_id = ? ORDER BY id DESC LIMIT 1`,
    )
    .get(projectId);
}

/** What tells models apart: ids are given again after a model was dropped, but not with the same time. */
export interface ModelIdentity {
  id: number;
  provider: string;
  trainedOn: number;
  /** Milliseconds since 1970. */
  addedAt: number;
}

/** As currentModel without its state, for asking often. */
export function currentModelIdentity(index: IndexDatabase, projectId: string): ModelIdentity | undefined {
  return index
    .sql<[string], ModelIdentity>(
      `SELECT id, provider, trained_on AS trainedOn, added_at AS addedAt FROM embedding_models
       WHERE project_id = ? ORDER BY id DESC LIMIT 1`,
    )
    .get(projectId);
}

/** Stores a new model and drops the older ones of the project, with the vectors that they made. */
export function replaceModel(
  index: IndexDatabase,
  projectId: string,
  model: Omit<EmbeddingModel, 'id'>,
  now: number,
): number {
  index.sql('DELETE FROM embedding_models WHERE project_id = ?').run(projectId);
  const { lastInsertRowid } = index
    .sql(
      `INSERT INTO embedding_models (project_id, provider, dimensions, trained_on, state, added_at)
       VALUES (?, ?, ?, ?, ?, ?)`,
    )
    .run(projectId, model.provider, model.dimensions, model.trainedOn, model.state, now);
  return Number(lastInsertRowid);
}

export interface ChunkText {
  id: number;
  /** The entity's qualified name, '' where there is none. */
  name: string;
  path: string;
  text: string;
}

const chunkText = `SELECT c.id, coalesce(e.qualified_name, '') AS name, f.path, c.text
  FROM json_each(?) j JOIN chunks c ON c.id = j.value JOIN files f ON f.id = c.file_id
  LEFT JOIN entities e ON e.id = c.entity_id ORDER BY c.id`;

/** Ids of the chunks of present files, in order. */
export function chunkIds(index: IndexDatabase, projectId: string): number[] {
  return index
    .sql<[string], { id: number }>(
      `SELECT c.id FROM files f JOIN chunks c ON c.file_id = f.id
       WHERE f.project_id = ? AND f.deleted = 0 AND f.ignored = 0 ORDER BY c.id`,
    )
    .all(projectId)
    .map(({ id }) => id);
}

/** Ids of the chunks of present files that the model has made no vector for, in order. */
export function chunkIdsWithoutVector(index: IndexDatabase, projectId: string, modelId: number): number[] {
  return index
    .sql<[string, number], { id: number }>(
      `SELECT c.id FROM files f JOIN chunks c ON c.file_id = f.id
       WHERE f.project_id = ? AND f.deleted = 0 AND f.ignored = 0
         AND c.id NOT IN (SELECT chunk_id FROM vectors WHERE model_id = ?) ORDER BY c.id`,
    )
    .all(projectId, modelId)
    .map(({ id }) => id);
}

/** Those of the chunks that are still there, in order of their ids. */
export function chunkTexts(index: IndexDatabase, ids: readonly number[]): ChunkText[] {
  return index.sql<[string], ChunkText>(chunkText).all(JSON.stringify(ids));
}

/** Stores vectors of chunks that are still there: the watcher may have replaced some meanwhile. */
export function putVectors(
  index: IndexDatabase,
  modelId: number,
  vectors: readonly { chunkId: number; vector: Float32Array }[],
): void {
  const insert = index.sql(
    `INSERT OR REPLACE INTO vectors (chunk_id, model_id, vector)
     SELECT c.id, m.id, ? FROM chunks c, embedding_models m WHERE c.id = ? AND m.id = ?`,
  );
  for (const { chunkId, vector } of vectors) {
    insert.run(Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength), chunkId, modelId);
  }
}
