import type { IndexDatabase } from './index-database.js';

/** What search reads of the index. Chunks of deleted files are in none of it. */

/**
 * A text that changes whenever anybody commits to the database or this connection writes, and costs microseconds.
 * It is compared for equality only, and only with one of the same connection.
 */
export function indexVersion(index: IndexDatabase): string {
  const row = index
    .sql<[], { version: number; changes: number }>(
      'SELECT data_version AS version, total_changes() AS changes FROM pragma_data_version',
    )
    .get();
  return `${row?.version ?? 0}:${row?.changes ?? 0}`;
}

export interface ChunkFilter {
  /** Paths that start with it, as bytes do: no pattern. */
  pathPrefix?: string | undefined;
  language?: string | undefined;
  /** Kind of the chunk's entity. */
  kind?: string | undefined;
}

export interface ChunkMatch {
  chunkId: number;
  /** BM25, larger is better. */
  score: number;
}

/**
 * The chunks that match an FTS5 expression, best first. A word in the entity's name counts 4, in the path 2, in the
 * text 1. The `+` keeps SQLite from asking the full-text index once for each chunk.
 */
export function matchChunks(
  index: IndexDatabase,
  projectIds: readonly string[],
  expression: string,
  filter: ChunkFilter,
  limit: number,
): ChunkMatch[] {
  return index
    .sql<unknown[], ChunkMatch>(
      `SELECT rowid AS chunkId, -bm25(chunk_words, 4.0, 2.0, 1.0) AS score FROM chunk_words
       WHERE chunk_words MATCH @expression AND +rowid IN (
         SELECT c.id FROM files f JOIN chunks c ON c.file_id = f.id
         WHERE f.deleted = 0 AND f.ignored = 0 AND f.project_id IN (SELECT value FROM json_each(@projects))
           AND substr(f.path, 1, length(@pathPrefix)) = @pathPrefix
           AND (@language IS NULL OR f.language = @language)
           AND (@kind IS NULL OR EXISTS (SELECT 1 FROM entities e WHERE e.id = c.entity_id AND e.kind = @kind)))
       ORDER BY score DESC, rowid LIMIT @limit`,
    )
    .all({
      expression,
      projects: JSON.stringify(projectIds),
      pathPrefix: filter.pathPrefix ?? '',
      language: filter.language ?? null,
      kind: filter.kind ?? null,
      limit,
    });
}

/** A present file with the ids of its chunks. */
export interface FileChunks {
  fileId: number;
  path: string;
  language: string | null;
  /** When the row was last written: a chunk id that is given again comes with another time. */
  updatedAt: number;
  chunkIds: number[];
}

export function chunksByFile(index: IndexDatabase, projectId: string): FileChunks[] {
  const files = index
    .sql<[string], Omit<FileChunks, 'chunkIds'>>(
      `SELECT id AS fileId, path, language, updated_at AS updatedAt FROM files
       WHERE project_id = ? AND deleted = 0 AND ignored = 0`,
    )
    .all(projectId)
    .map((file): FileChunks => ({ ...file, chunkIds: [] }));
  const byId = new Map(files.map((file) => [file.fileId, file]));
  const chunks = index
    .sql<[string], { id: number; fileId: number }>(
      `SELECT c.id, c.file_id AS fileId FROM files f JOIN chunks c ON c.file_id = f.id
       WHERE f.project_id = ? AND f.deleted = 0 AND f.ignored = 0`,
    )
    .all(projectId);
  for (const { id, fileId } of chunks) byId.get(fileId)?.chunkIds.push(id);
  return files;
}

/** Ids of the chunks that a model has made a vector for. */
export function vectorizedChunkIds(index: IndexDatabase, modelId: number): Set<number> {
  const rows = index
    .sql<[number], { id: number }>('SELECT chunk_id AS id FROM vectors WHERE model_id = ?')
    .all(modelId);
  return new Set(rows.map(({ id }) => id));
}

export interface StoredVector {
  chunkId: number;
  /** Kind of the chunk's entity. */
  kind: string | null;
  /** float32 little-endian */
  bytes: Buffer;
}

/**
 * The vectors that a model made for these chunks, of those that are still there. The CROSS JOINs and the `+` make
 * SQLite look up each chunk, where it would go through all vectors of the model for each of them.
 */
export function vectorsByChunk(
  index: IndexDatabase,
  modelId: number,
  chunkIds: readonly number[],
): StoredVector[] {
  return index
    .sql<[string, number], StoredVector>(
      `SELECT v.chunk_id AS chunkId, e.kind, v.vector AS bytes FROM json_each(?) j
       CROSS JOIN vectors v ON v.chunk_id = j.value AND +v.model_id = ?
       CROSS JOIN chunks c ON c.id = v.chunk_id LEFT JOIN entities e ON e.id = c.entity_id`,
    )
    .all(JSON.stringify(chunkIds), modelId);
}
