import Database from 'better-sqlite3';
import { migrations } from './schema.js';

/** Columns of each table, as a version's migrations make them. */
const known = new Map<number, ReadonlyMap<string, readonly string[]>>();

/** Whether a database has all tables and columns of that version of the schema: another program may number its own, too. */
export function isIndexSchema(db: Database.Database, version: number): boolean {
  if (version < 1 || version > migrations.length) return false;
  const has = columnsOf(db);
  return [...expected(version)].every(([table, columns]) =>
    columns.every((column) => has.get(table)?.includes(column) === true),
  );
}

function expected(version: number): ReadonlyMap<string, readonly string[]> {
  const before = known.get(version);
  if (before !== undefined) return before;
  const db = new Database(':memory:');
  try {
    for (const migration of migrations.slice(0, version)) db.exec(migration);
    const columns = columnsOf(db);
    known.set(version, columns);
    return columns;
  } finally {
    db.close();
  }
}

function columnsOf(db: Database.Database): Map<string, string[]> {
  const rows = db
    .prepare(
      `SELECT t.name AS name, c.name AS column FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table'`,
    )
    .all() as { name: string; column: string }[];
  const tables = new Map<string, string[]>();
  for (const { name, column } of rows) tables.set(name, [...(tables.get(name) ?? []), column]);
  return tables;
}
