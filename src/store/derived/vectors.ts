/**
 * What embedding models have made of a project's documents. Documents get their vectors in ascending order of their chunks,
 * and new ones always come after all others, so that a model's cursor (`done_below`) says what lacks a vector: nothing is
 * ever searched for it.
 */
import type { DerivedDatabase } from './derived-database.js';
import { packedLevels, signatureBytes, signatureOf, storedLevels } from './vector-codec.js';

export interface ModelRow {
  /** Never given twice within a database. */
  id: number;
  provider: string;
  dimensions: number;
  /** Chunks that the project had when it learned; of many it reads a sample. */
  trainedOn: number;
  /** Every document whose chunks are below this id has its vectors, or can have none. */
  doneBelow: number;
  /** That have a vector. */
  chunks: number;
  isCurrent: boolean;
}

export type NewModel = Pick<ModelRow, 'provider' | 'dimensions' | 'trainedOn'> & {
  state: Buffer;
};

type StoredModelRow = Omit<ModelRow, 'isCurrent'> & { isCurrent: number };

const columns = `id, provider, dimensions, trained_on AS trainedOn, done_below AS doneBelow, chunks,
  is_current AS isCurrent`;

function modelWhere(derived: DerivedDatabase, condition: string): ModelRow | undefined {
  const row = derived.sql<[], StoredModelRow>(`SELECT ${columns} FROM models WHERE ${condition}`).get();
  return row && { ...row, isCurrent: row.isCurrent === 1 };
}

/** The one whose vectors are used. */
export function currentModel(derived: DerivedDatabase): ModelRow | undefined {
  return modelWhere(derived, 'is_current = 1');
}

/** The one that is to take the current one's place, once it has all vectors. */
export function nextModel(derived: DerivedDatabase): ModelRow | undefined {
  return modelWhere(derived, 'is_current = 0');
}

/** What its provider opens it with; undefined where the model is gone. */
export function stateOf(derived: DerivedDatabase, modelId: number): Buffer | undefined {
  return derived
    .sql<[number], { state: Buffer }>('SELECT state FROM model_states WHERE model_id = ?')
    .get(modelId)?.state;
}

export interface ChunkCounts {
  total: number;
  /** That have a vector of the current model. */
  vectorized: number;
}

/** Chunks of the project, and those with a vector that is used. */
export function countVectors(derived: DerivedDatabase): ChunkCounts {
  return { total: derived.facts.chunks, vectorized: currentModel(derived)?.chunks ?? 0 };
}

/**
 * Adds a model without vectors, and gives its id. The project's first one is the current one at once; another one once it
 * is complete (`becomeCurrent`), and one that is not complete yet is given up for it. Within a transaction.
 */
export function addModel(derived: DerivedDatabase, model: NewModel): number {
  derived.sql('DELETE FROM models WHERE is_current = 0').run();
  const { lastInsertRowid } = derived
    .sql(
      `INSERT INTO models (provider, dimensions, trained_on, done_below, chunks, is_current)
       VALUES (?, ?, ?, 0, 0, NOT EXISTS (SELECT 1 FROM models))`,
    )
    .run(model.provider, model.dimensions, model.trainedOn);
  derived.sql('INSERT INTO model_states (model_id, state) VALUES (?, ?)').run(lastInsertRowid, model.state);
  return Number(lastInsertRowid);
}

/** Gives up a model that nobody can open, so that its vectors are no use. Within a transaction. */
export function giveUpModel(derived: DerivedDatabase, modelId: number): void {
  derived.sql('DELETE FROM models WHERE id = ?').run(modelId);
  derived.sql('UPDATE models SET is_current = 1').run();
}

/** The next model takes the place of the current one; false while a document lacks its vectors. Within a transaction. */
export function becomeCurrent(derived: DerivedDatabase, { id }: Pick<ModelRow, 'id'>): boolean {
  const lacking = derived
    .sql(
      `SELECT 1 FROM documents WHERE chunks > 0
         AND first_chunk >= (SELECT done_below FROM models WHERE id = ?) LIMIT 1`,
    )
    .get(id);
  if (lacking !== undefined) return false;
  derived.sql('DELETE FROM models WHERE id <> ?').run(id);
  derived.sql('UPDATE models SET is_current = 1').run();
  return true;
}

/** A row's key is the model's id and a chunk's, in one number that is exact: models are few. */
const chunkIds = 2 ** 32;

function rowId(modelId: number, chunkId: number): number {
  return modelId * chunkIds + chunkId;
}

/** The vectors of a document in their stored forms. */
export interface DocumentVectors {
  firstChunk: number;
  /** As packedLevels gives them. */
  levels: readonly Uint8Array[];
  /** signatureBytes for each chunk. */
  bits: Uint8Array;
}

/** @param vectors one for each chunk of the document */
export function encodeVectors(firstChunk: number, vectors: readonly Float32Array[]): DocumentVectors {
  const bits = new Uint8Array(vectors.length * signatureBytes);
  vectors.forEach((vector, i) => bits.set(signatureOf(vector), i * signatureBytes));
  return { firstChunk, levels: vectors.map(packedLevels), bits };
}

/**
 * Stores the vectors of documents that are still there: another process may have dropped some meanwhile. Within a
 * transaction.
 * @param documents in ascending order, all that lie between the model's cursor and `doneBelow` and can have vectors
 */
export function putVectors(
  derived: DerivedDatabase,
  modelId: number,
  documents: readonly DocumentVectors[],
  doneBelow: number,
): void {
  let made = 0;
  for (const { firstChunk, levels, bits } of documents) {
    const there = derived
      .sql<[number], { chunks: number }>('SELECT chunks FROM documents WHERE first_chunk = ?')
      .get(firstChunk);
    if (there?.chunks !== levels.length) continue;
    const insert = derived.sql('INSERT INTO vectors (id, levels) VALUES (?, ?)');
    levels.forEach((bytes, i) => insert.run(rowId(modelId, firstChunk + i), bytes));
    derived.sql('INSERT INTO signatures (id, bits) VALUES (?, ?)').run(rowId(modelId, firstChunk), bits);
    made += levels.length;
  }
  derived
    .sql('UPDATE models SET chunks = chunks + ?, done_below = ? WHERE id = ?')
    .run(made, doneBelow, modelId);
}

/** Whether every model has made the vectors of a document, or can make none. */
export function hasVectors(
  derived: DerivedDatabase,
  { firstChunk, chunks }: { firstChunk: number; chunks: number },
): boolean {
  const lacking = derived.sql(
    `SELECT 1 FROM models WHERE NOT EXISTS (
       SELECT 1 FROM signatures s WHERE s.id = models.id * ${chunkIds} + ?)`,
  );
  return chunks === 0 || lacking.get(firstChunk) === undefined;
}

/** Rows that are removed at once: a few ms. */
const removedAtOnce = 2_000;
const madeTables = ['vectors', 'signatures'] as const;

/** Whether there is anything that was made by models that are not there any more. */
export function hasLeftVectors(derived: DerivedDatabase): boolean {
  return madeTables.some((table) => modelLeftIn(derived, table) !== null);
}

/** Removes some of that. Within a transaction. */
export function removeLeftVectors(derived: DerivedDatabase): void {
  for (const table of madeTables) {
    const id = modelLeftIn(derived, table);
    if (id === null) continue;
    const range = { from: rowId(id, 0), end: rowId(id + 1, 0), limit: removedAtOnce };
    derived
      .sql(
        `DELETE FROM ${table} WHERE id IN (
           SELECT id FROM ${table} WHERE id >= @from AND id < @end ORDER BY id LIMIT @limit)`,
      )
      .run(range);
    return;
  }
}

/** From one model to the next by a look into the table's key each. */
function modelLeftIn(derived: DerivedDatabase, table: (typeof madeTables)[number]): number | null {
  for (let from = 0; ;) {
    const first = derived
      .sql<[number], { id: number | null }>(`SELECT min(id) AS id FROM ${table} WHERE id >= ?`)
      .get(from)?.id;
    if (first === undefined || first === null) return null;
    const modelId = Math.floor(first / chunkIds);
    if (derived.sql('SELECT 1 FROM models WHERE id = ?').get(modelId) === undefined) return modelId;
    from = rowId(modelId + 1, 0);
  }
}

/** The first chunk of a document, and signatureBytes for each of its chunks. As a tuple, since there are very many. */
export type SignatureRow = readonly [firstChunk: number, bits: Buffer];

/** Signatures that the model made, a document a row in ascending order, from `firstChunk` on. */
export function signaturesFrom(
  derived: DerivedDatabase,
  modelId: number,
  firstChunk: number,
  limit: number,
): SignatureRow[] {
  const range = {
    base: rowId(modelId, 0),
    from: rowId(modelId, firstChunk),
    end: rowId(modelId + 1, 0),
    limit,
  };
  return derived
    .sql<[typeof range], SignatureRow>(
      `SELECT id - CAST(@base AS INTEGER), bits FROM signatures WHERE id >= @from AND id < @end ORDER BY id LIMIT @limit`,
    )
    .raw(true)
    .all(range);
}

/**
 * The levels of a chunk's vector; null where the model has made none, or its document was dropped.
 * @throws DerivedDamageError
 */
export function levelsOfChunk(
  derived: DerivedDatabase,
  { id, dimensions }: Pick<ModelRow, 'id' | 'dimensions'>,
  chunkId: number,
): Int8Array | null {
  const row = derived
    .sql<[number], { levels: Buffer }>('SELECT levels FROM vectors WHERE id = ?')
    .get(rowId(id, chunkId));
  return row === undefined ? null : storedLevels(row.levels, dimensions);
}

/** How many vectors there are of some contents; null where none of them was made searchable. */
export function vectorsOfContents(derived: DerivedDatabase, hashes: Iterable<string>): number | null {
  let count: number | null = null;
  for (const hash of hashes) {
    const row = derived
      .sql<[Buffer], { documents: number; vectors: number }>(
        `SELECT count(*) AS documents, coalesce(sum((SELECT count(*) FROM models m CROSS JOIN vectors v
             ON v.id >= m.id * 4294967296 + d.first_chunk AND v.id < m.id * 4294967296 + d.first_chunk + d.chunks)), 0) AS vectors
         FROM documents d WHERE sha256 = ?`,
      )
      .get(Buffer.from(hash, 'hex'));
    if ((row?.documents ?? 0) > 0) count = (count ?? 0) + (row?.vectors ?? 0);
  }
  return count;
}
