import { wordsOf } from '../base/search-words.js';
import type { Chunk } from '../syntax/chunks.js';
import type { Entity } from '../syntax/entities.js';
import type { IndexDatabase } from './index-database.js';

/** What is derived from one content for one path: replaced as a whole whenever the content changes. */
export interface Derived {
  entities: readonly Entity[];
  chunks: readonly Chunk[];
  /** Search words of each chunk's text; computed outside the transaction to keep it short. */
  chunkWords: readonly string[];
}

/** @param derived null where the file has no content to derive from: what was there is removed */
export function replaceDerived(
  index: IndexDatabase,
  fileId: number,
  path: string,
  derived: Derived | null,
): void {
  index.sql('DELETE FROM chunks WHERE file_id = ?').run(fileId);
  index.sql('DELETE FROM entities WHERE file_id = ?').run(fileId);
  if (derived === null) return;
  const entityIds = derived.entities.map((entity) => insertEntity(index, fileId, entity));
  const pathWords = wordsOf(path).join(' ');
  derived.chunks.forEach((chunk, position) => {
    const { entityIndex } = chunk;
    const entity = entityIndex === null ? undefined : derived.entities[entityIndex];
    const entityId = entityIndex === null ? null : (entityIds[entityIndex] ?? null);
    const { lastInsertRowid } = index
      .sql('INSERT INTO chunks (file_id, entity_id, start_line, end_line, text) VALUES (?, ?, ?, ?, ?)')
      .run(fileId, entityId, chunk.startLine, chunk.endLine, chunk.text);
    index
      .sql('INSERT INTO chunk_words (rowid, name, path, body) VALUES (?, ?, ?, ?)')
      .run(
        lastInsertRowid,
        wordsOf(entity?.qualifiedName ?? '').join(' '),
        pathWords,
        derived.chunkWords[position],
      );
  });
}

function insertEntity(index: IndexDatabase, fileId: number, entity: Entity): number | bigint {
  return index
    .sql(
      'INSERT INTO entities (file_id, kind, name, qualified_name, start_line, end_line) VALUES (?, ?, ?, ?, ?, ?)',
    )
    .run(fileId, entity.kind, entity.name, entity.qualifiedName, entity.startLine, entity.endLine)
    .lastInsertRowid;
}

export interface EntityRow {
  path: string;
  kind: string;
  name: string;
  qualified_name: string;
  start_line: number;
  end_line: number;
}

export interface EntityFilter {
  path?: string | undefined;
  kind?: string | undefined;
  name?: string | undefined;
  limit: number;
}

export function listEntities(index: IndexDatabase, projectId: string, filter: EntityFilter): EntityRow[] {
  return index
    .sql<unknown[], EntityRow>(
      `SELECT f.path, e.kind, e.name, e.qualified_name, e.start_line, e.end_line
       FROM entities e JOIN files f ON f.id = e.file_id
       WHERE f.project_id = @projectId AND f.deleted = 0 AND f.ignored = 0
         AND (@path IS NULL OR f.path = @path) AND (@kind IS NULL OR e.kind = @kind)
         AND (@name IS NULL OR e.name = @name OR e.qualified_name = @name)
       ORDER BY f.path, e.start_line, e.id LIMIT @limit`,
    )
    .all({
      projectId,
      path: filter.path ?? null,
      kind: filter.kind ?? null,
      name: filter.name ?? null,
      limit: filter.limit,
    });
}

export interface ChunkCounts {
  total: number;
  vectorized: number;
}

/** Chunks of files that are not deleted, of one project or of all. */
export function countChunks(index: IndexDatabase, projectId: string | null): ChunkCounts {
  const row = index
    .sql<unknown[], ChunkCounts>(
      `SELECT count(*) AS total, count(v.chunk_id) AS vectorized
       FROM files f JOIN chunks c ON c.file_id = f.id LEFT JOIN vectors v ON v.chunk_id = c.id
       WHERE f.deleted = 0 AND f.ignored = 0 AND (@projectId IS NULL OR f.project_id = @projectId)`,
    )
    .get({ projectId });
  return row ?? { total: 0, vectorized: 0 };
}

export interface ChunkRow {
  id: number;
  projectId: string;
  path: string;
  language: string | null;
  startLine: number;
  endLine: number;
  text: string;
  entity: string | null;
  entityKind: string | null;
}

const chunkColumns = `c.id, f.project_id AS projectId, f.path, f.language, c.start_line AS startLine,
  c.end_line AS endLine, c.text, e.qualified_name AS entity, e.kind AS entityKind`;

export function chunksById(index: IndexDatabase, ids: readonly number[]): Map<number, ChunkRow> {
  const rows = index
    .sql<[string], ChunkRow>(
      `SELECT ${chunkColumns} FROM json_each(?) j JOIN chunks c ON c.id = j.value
       JOIN files f ON f.id = c.file_id LEFT JOIN entities e ON e.id = c.entity_id`,
    )
    .all(JSON.stringify(ids));
  return new Map(rows.map((row) => [row.id, row]));
}
