import type Database from 'better-sqlite3';
import { hasContent, hasWhole, healContent, sourceOf, unparsedContent } from './contents.js';
import { becomeFolder } from './file-states.js';
import { fileById } from './files.js';
import type { IndexDatabase } from './index-database.js';
import { type ContentRow, keyOf } from './purge-plan.js';
import { dropUnused, presentSql } from './revisions.js';
import { noteDamaged } from './scrub.js';
import { forgive } from './suspects.js';

/** What somebody wants to be gone of a project: files and folders with all that is in them, states, or a content. */
export type PurgeChoice =
  | { paths: readonly string[] }
  | { versions: readonly { path: string; seenAt: number }[] }
  | { sha256: string };

/** A table whose rows have contents. */
interface Source {
  /** Its rows that have one. */
  select: string;
  /** Has one of the contents in @hashes, a JSON array. */
  isAmong: string;
}

const among = '(SELECT value FROM json_each(@hashes))';
const atPath = 'project_id = @projectId AND path = @path';
const below = "project_id = @projectId AND path >= @path || '/' AND path < @path || '0'";

/** Reads which rows have contents, also of an index that an older version wrote. */
export class ContentRows {
  readonly #db: Database.Database;
  readonly #sources: Source[];

  constructor(db: Database.Database) {
    this.#db = db;
    this.#sources = [filesOf(db), ...revisionsOf(db)];
  }

  chosen(projectId: string, choice: PurgeChoice): ContentRow[] {
    if ('sha256' in choice)
      return this.withContents([choice.sha256]).filter((row) => row.projectId === projectId);
    const rows =
      'paths' in choice
        ? choice.paths.flatMap((path) =>
            [atPath, below].flatMap((where) => this.#rows(where, { projectId, path })),
          )
        : choice.versions.flatMap((version) => this.#ofVersion(projectId, version));
    return uniqueRows(rows);
  }

  /** Rows of any project. */
  withContents(hashes: Iterable<string>): ContentRow[] {
    const bound = { hashes: JSON.stringify([...hashes]) };
    return this.#sources.flatMap(({ select, isAmong }) => this.#read(`${select} AND ${isAmong}`, bound));
  }

  /** How large those of some contents are that are stored. */
  sizesOf(hashes: Iterable<string>): Map<string, number> {
    const rows = this.#db
      .prepare(`SELECT sha256, size FROM contents WHERE sha256 IN ${among}`)
      .all({ hashes: JSON.stringify([...hashes]) }) as { sha256: string; size: number }[];
    return new Map(rows.map(({ sha256, size }) => [sha256, size]));
  }

  /** What a deleted or ignored path was last, its row of `files` has as well. */
  #ofVersion(projectId: string, { path, seenAt }: { path: string; seenAt: number }): ContentRow[] {
    const rows = this.#rows(atPath, { projectId, path });
    const last = Math.max(...rows.filter(({ table }) => table === 'revisions').map((row) => row.seenAt));
    return rows.filter(
      (row) => row.seenAt === seenAt || (last === seenAt && row.table === 'files' && !row.isPresent),
    );
  }

  #rows(where: string, bound: object): ContentRow[] {
    return this.#sources.flatMap(({ select }) => this.#read(`${select} AND ${where}`, bound));
  }

  #read(sql: string, bound: object): ContentRow[] {
    const rows = this.#db.prepare(sql).all(bound) as (Omit<ContentRow, 'isPresent'> & { isPresent: 0 | 1 })[];
    return rows.map((row) => ({ ...row, isPresent: row.isPresent === 1 }));
  }
}

function filesOf(db: Database.Database): Source {
  const columns = columnsOf(db, 'files');
  const or = (name: string, otherwise: string): string => (columns.has(name) ? name : otherwise);
  const moved = or('moved_sha256', 'NULL');
  return {
    select: `SELECT 'files' AS "table", id, project_id AS projectId, path,
      deleted = 0 AND ${or('ignored', '0')} = 0 AS isPresent,
      ${or('seen_at', 'updated_at')} AS seenAt, size, coalesce(sha256, ${moved}) AS sha256
      FROM files WHERE coalesce(sha256, ${moved}) IS NOT NULL`,
    isAmong: `(sha256 IN ${among} OR ${moved} IN ${among})`,
  };
}

/** None in an index of a version that kept no states. */
function revisionsOf(db: Database.Database): Source[] {
  if (columnsOf(db, 'revisions').size === 0) return [];
  const select = `SELECT 'revisions' AS "table", id, project_id AS projectId, path, 0 AS isPresent,
    seen_at AS seenAt, size, sha256 FROM revisions WHERE sha256 IS NOT NULL`;
  return [{ select, isAmong: `sha256 IN ${among}` }];
}

function columnsOf(db: Database.Database, table: string): ReadonlySet<string> {
  return new Set(db.prepare('SELECT name FROM pragma_table_info(?)').pluck().all(table) as string[]);
}

/** What is to go out of an index and of each older copy of it. */
export interface Purge {
  projectId: string;
  choice: PurgeChoice;
  /** Contents that go, whatever has them: their hashes. */
  gone: ReadonlySet<string>;
  /** Whether it is what is in the project now, and so stays. */
  isInProject: (row: ContentRow) => boolean;
}

/** The rows that are chosen, and those that have what goes. */
export function rowsToPurge(
  rows: ContentRows,
  { projectId, choice, gone, isInProject }: Purge,
): ContentRow[] {
  const all = [...rows.chosen(projectId, choice), ...rows.withContents(gone)];
  return uniqueRows(all).filter((row) => !isInProject(row));
}

function uniqueRows(rows: readonly ContentRow[]): ContentRow[] {
  return [...new Map(rows.map((row) => [keyOf(row), row])).values()];
}

/**
 * Takes contents out of rows, and those that nothing has then out of the index; call it in a transaction. A state stays as
 * one that was purged, so that nobody takes the path for one that was not there.
 * @param now milliseconds since 1970
 */
export function purgeRows(index: IndexDatabase, purge: Purge, now: number): void {
  const going = rowsToPurge(new ContentRows(index.db), purge);
  blankRows(index, going, now);
  const hashes = new Set([...going.map((row) => row.sha256), ...purge.gone]);
  for (const sha256 of hashes) releaseBase(index, sha256, now);
  for (const sha256 of hashes) {
    dropUnused(index, sha256);
    if (hasContent(index, sha256)) continue;
    forgive(index, sha256);
    // What is short can be guessed from its hash.
    index.sql('UPDATE repair_actions SET sha256 = NULL WHERE sha256 = ?').run(sha256);
  }
}

/** Takes contents out of rows; see purgeRows for what is left of them. */
export function blankRows(
  index: IndexDatabase,
  rows: readonly Pick<ContentRow, 'table' | 'id'>[],
  now: number,
): void {
  for (const { table, id } of rows) if (table === 'revisions') blankRevision(index, id, now);
  for (const { table, id } of rows) if (table === 'files') releaseFile(index, id, now);
}

/** What stays does not need a content any more that goes: it is stored whole. */
function releaseBase(index: IndexDatabase, base: string, now: number): void {
  if (isHad(index, base)) return;
  const packed = index.sql<[string], string>('SELECT sha256 FROM contents WHERE base = ?').pluck().all(base);
  for (const sha256 of packed) if (isHad(index, sha256)) storeWhole(index, sha256, now);
}

/** A path is, or was, what has this content. */
function isHad(index: IndexDatabase, sha256: string): boolean {
  const had =
    'SELECT 1 FROM files WHERE sha256 = @sha256 UNION ALL SELECT 1 FROM revisions WHERE sha256 = @sha256';
  return index.sql(`${had} LIMIT 1`).get({ sha256 }) !== undefined;
}

/** What cannot be given any more is not kept for the sake of what it needs. */
function storeWhole(index: IndexDatabase, sha256: string, now: number): void {
  if (!hasContent(index, sha256) || hasWhole(index, sha256)) return;
  const source = sourceOf(index, sha256);
  if (source !== null) return healContent(index, unparsedContent(source, sha256), now);
  index.sql('DELETE FROM contents WHERE sha256 = ?').run(sha256);
  noteDamaged(
    index,
    { sha256, problem: 'it was stored as the difference to a content that is damaged' },
    now,
  );
}

function blankRevision(index: IndexDatabase, id: number, now: number): void {
  index
    .sql(
      `UPDATE revisions SET size = 0, mode = 0, mtime_ns = 0, uid = NULL, gid = NULL, xattrs = NULL, sha256 = NULL,
         purged_at = ? WHERE id = ?`,
    )
    .run(now, id);
}

/**
 * A path that is deleted or ignored is from now on what it was last of what is left; of one of which nothing is, and of one that
 * was there, the row goes, and only its state stays, or an empty folder that took its place.
 */
function releaseFile(index: IndexDatabase, id: number, now: number): void {
  const { changes } = index
    .sql(
      `UPDATE files SET (kind, size, mode, mtime_ns, uid, gid, xattrs, sha256) =
           (r.state, r.size, r.mode, r.mtime_ns, r.uid, r.gid, r.xattrs, r.sha256),
         moved_sha256 = NULL, skip_reason = NULL, extractor = NULL, chunks = 0, updated_at = @now,
         copy_problem = iif(deleted = 1, 'what it was last was purged, and the state before has no copy yet', NULL)
       FROM (SELECT p.* FROM revisions p JOIN files f USING (project_id, path) WHERE f.id = @id AND p.sha256 IS NOT NULL
               AND p.state IN ('file', 'symlink') ORDER BY p.seen_at DESC LIMIT 1) r
       WHERE files.id = @id AND (deleted = 1 OR ignored = 1)`,
    )
    .run({ id, now });
  const row = changes === 0 ? undefined : fileById(index, id);
  if (row !== undefined) return storeWhole(index, row.sha256 ?? '', now);
  if (becomeFolder(index, id)) return;
  index
    .sql(
      `INSERT INTO revisions (project_id, path, state, seen_at, gone_at, came_by, from_path, size, mode, mtime_ns, purged_at)
       SELECT project_id, path, ${presentSql.state}, seen_at, max(seen_at + 1, @now), ${presentSql.cameBy}, from_path, 0, 0, 0,
         iif(deleted = 1, NULL, @now) FROM files WHERE id = @id`,
    )
    .run({ id, now });
  index.sql('DELETE FROM files WHERE id = ?').run(id);
}
