import type { FileKind, FileRow } from './files.js';
import type { IndexDatabase } from './index-database.js';

/** The part of a row that says where its file should be, and how it looked when it was indexed. */
export interface FileTrace {
  id: number;
  path: string;
  kind: FileKind;
  deleted: 0 | 1;
  ignored: 0 | 1;
  size: number;
  /** Times in microseconds since 1970, which a JavaScript number can hold. */
  mtimeUs: number;
  ctimeUs: number;
}

export function traceOf({ id, path, kind, deleted, ignored, size, mtimeNs, ctimeNs }: FileRow): FileTrace {
  const inUs = (ns: string): number => Number(BigInt(ns) / 1000n);
  return { id, path, kind, deleted, ignored, size, mtimeUs: inUs(mtimeNs), ctimeUs: inUs(ctimeNs) };
}

type TraceTuple = [number, string, FileKind, 0 | 1, 0 | 1, number, number, number];

/** One JSON text for many rows: making a row's values one by one takes twice as long as SQLite and V8 need for it. */
const tracesOf = (rows: string): string =>
  `SELECT json_group_array(json_array(id, path, kind, deleted, ignored, size, mtime_ns / 1000, ctime_ns / 1000))
   AS rows FROM (SELECT id, path, kind, deleted, ignored, size, mtime_ns, ctime_ns FROM files ${rows})`;

/**
 * Rows behind a path (null: from the first), in the order of paths: for walking a whole project in steps that
 * stay stable while rows come and go. (By id, SQLite would sort the whole project anew for each step.)
 */
export function tracesAfter(
  index: IndexDatabase,
  projectId: string,
  after: string | null,
  limit: number,
): FileTrace[] {
  const rows = 'WHERE project_id = ? AND path >= ? AND path IS NOT ? ORDER BY path LIMIT ?';
  const page = index
    .sql<[string, string, string | null, number], { rows: string }>(tracesOf(rows))
    .get(projectId, after ?? '', after, limit);
  return parseTraces(page);
}

/** A blob is greater than any text. */
const between = "WHERE project_id = ? AND path >= ? AND path < coalesce(?, x'ff') ORDER BY path";

/** From one path to before another (null: to the end), in the order of paths. */
export function tracesBetween(
  index: IndexDatabase,
  projectId: string,
  from: string,
  before: string | null,
): FileTrace[] {
  const page = index
    .sql<[string, string, string | null], { rows: string }>(tracesOf(between))
    .get(projectId, from, before);
  return parseTraces(page);
}

/** Rows as columns of equal length, in the order of paths. */
export interface StampColumns {
  paths: string[];
  /** -1 for a row that is marked deleted, or of another kind than a file. */
  sizes: number[];
  /** Microseconds since 1970. */
  mtimes: number[];
  ctimes: number[];
}

/** What tells whether files are as they were indexed; by columns, because making an object of each row takes as long again. */
export function stampsBetween(
  index: IndexDatabase,
  projectId: string,
  from: string,
  before: string | null,
): StampColumns {
  const row = index
    .sql<[string, string, string | null], Record<keyof StampColumns, string>>(
      `SELECT json_group_array(path) AS paths, json_group_array(stamped) AS sizes,
         json_group_array(mtime_ns / 1000) AS mtimes, json_group_array(ctime_ns / 1000) AS ctimes
       FROM (SELECT path, iif(deleted = 0 AND kind = 'file', size, -1) AS stamped, mtime_ns, ctime_ns
         FROM files ${between})`,
    )
    .get(projectId, from, before);
  const column = (text: string | undefined): unknown[] => JSON.parse(text ?? '[]') as unknown[];
  return {
    paths: column(row?.paths) as string[],
    sizes: column(row?.sizes) as number[],
    mtimes: column(row?.mtimes) as number[],
    ctimes: column(row?.ctimes) as number[],
  };
}

/** Where ranges of so many rows each begin, in the order of paths; the first one begins before any path. */
export function rangesOf(
  index: IndexDatabase,
  projectId: string,
  rows: number,
): { starts: string[]; rowCount: number } {
  const next = index.sql<[string, string, number], { path: string }>(
    'SELECT path FROM files WHERE project_id = ? AND path >= ? ORDER BY path LIMIT 1 OFFSET ?',
  );
  const starts: string[] = [];
  let last = '';
  for (
    let start: string | undefined = '';
    start !== undefined;
    start = next.get(projectId, start, rows)?.path
  ) {
    starts.push(start);
    last = start;
  }
  const { count } = index
    .sql<[string, string], { count: number }>(
      'SELECT count(*) AS count FROM files WHERE project_id = ? AND path >= ?',
    )
    .get(projectId, last) ?? { count: 0 };
  return { starts, rowCount: (starts.length - 1) * rows + count };
}

function parseTraces(page: { rows: string } | undefined): FileTrace[] {
  const rows = JSON.parse(page?.rows ?? '[]') as TraceTuple[];
  return rows.map(([id, path, kind, deleted, ignored, size, mtimeUs, ctimeUs]) => ({
    id,
    path,
    kind,
    deleted,
    ignored,
    size,
    mtimeUs,
    ctimeUs,
  }));
}
