import type Database from 'better-sqlite3';
import type { Value } from './format.js';
import type { StoredRecord } from './page-file.js';

/** Made of contents, and made of them again: not carried over. */
const derived = new Set([
  // Of versions that had what is made of contents in the index.
  'entities',
  'chunks',
  'embedding_models',
  'vectors',
  'file_counts',
  'scrub',
  'damaged_contents',
  'commits',
]);
/** Their rows look like entries of several indexes: believed only where the schema says what they are. */
const vague = new Set(['version_dirs', 'unprotected', 'repair_folders']);

interface Column {
  name: string;
  type: string;
  isRequired: boolean;
  /** It is the row's id, and not stored beside it. */
  isRowId: boolean;
}

/** A table as the schema declares it, and what its rows look like. */
export interface TableShape {
  name: string;
  isWithoutRowId: boolean;
  columns: Column[];
  /** Whether its rows can be told from those of all other tables and indexes. */
  isDistinct: boolean;
}

/** The tables whose rows nothing else could give back. */
export function tableShapes(db: Database.Database): TableShape[] {
  const tables = db
    .prepare("SELECT name, wr FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND strict = 1")
    .all() as { name: string; wr: number }[];
  return tables
    .filter(({ name }) => !derived.has(name))
    .map(({ name, wr }) => ({
      name,
      isWithoutRowId: wr === 1,
      columns: columnsOf(db, name, wr === 1),
      isDistinct: !vague.has(name),
    }));
}

function columnsOf(db: Database.Database, table: string, isWithoutRowId: boolean): Column[] {
  const columns = db.prepare('SELECT * FROM pragma_table_info(?) ORDER BY cid').all(table) as {
    name: string;
    type: string;
    notnull: number;
    dflt_value: unknown;
    pk: number;
  }[];
  return columns.map(({ name, type, notnull, dflt_value, pk }) => ({
    name,
    type,
    isRequired: notnull === 1 && dflt_value === null,
    isRowId: pk === 1 && type === 'INTEGER' && !isWithoutRowId,
  }));
}

/** Whether a record can be a row of the table: by the types of its columns, and by what identifiers look like. */
export function fits({ columns }: TableShape, { values }: StoredRecord): boolean {
  if (values.length > columns.length) return false;
  return columns.every((column, position) => {
    const value = values[position];
    // Rows that are older than a column end before it.
    if (value === undefined) return !column.isRequired;
    if (value === null) return column.isRowId || !column.isRequired;
    return !column.isRowId && isOfType(column.type, value) && looksLike(column, value);
  });
}

function isOfType(type: string, value: Exclude<Value, null>): boolean {
  if (type === 'INTEGER') return typeof value === 'bigint' || Number.isInteger(value);
  return type === 'TEXT' ? typeof value === 'string' : Buffer.isBuffer(value);
}

export const uuid = /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/u;
export const contentHash = /^[\da-f]{64}$/u;

const looks: Record<string, RegExp> = {
  id: uuid,
  project_id: uuid,
  run_id: uuid,
  checkpoint_id: /^c[\da-f]{8}$/u,
  sha256: contentHash,
  base: contentHash,
  root_dir: /^\//u,
  version_dir: /^\//u,
};

function looksLike({ name, type }: Column, value: Exclude<Value, null>): boolean {
  if (type !== 'TEXT') return true;
  return looks[name]?.test(String(value)) ?? true;
}
