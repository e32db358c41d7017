import type { Cause, FileKind } from './files.js';
import type { IndexDatabase } from './index-database.js';
import type { Project } from './projects.js';
import { type CameBy, presentSql, renamedWithinMs } from './revisions.js';

/** Reads what paths were: `files` has what they are now, `revisions` what they were before. */

/** What a path was from `seenAt` on; times in milliseconds since 1970. */
export interface PathState {
  path: string;
  /** purged: it was something, and what that was is removed for good. */
  state: FileKind | 'deleted' | 'ignored' | 'purged';
  seenAt: number;
  /** Null: it still is so. */
  goneAt: number | null;
  /** How it became that; of a deletion why. */
  cause: Exclude<CameBy, 'deletion'> | Cause;
  /** What a renamed file was called before. */
  fromPath: string | null;
  size: number;
  mode: number;
  mtimeNs: string;
  uid: number | null;
  gid: number | null;
  xattrs: string | null;
  /** Null: it had no content, or none that was kept. */
  sha256: string | null;
}

/** There was something at the path. */
export function isSomething(state: PathState): state is PathState & { state: FileKind } {
  return state.state !== 'deleted' && state.state !== 'ignored' && state.state !== 'purged';
}

const nowColumns = `path, ${presentSql.state} AS state, seen_at AS seenAt, NULL AS goneAt, ${presentSql.cameBy} AS cause,
  from_path AS fromPath, ${presentSql.size} AS size, ${presentSql.mode} AS mode, CAST(${presentSql.mtimeNs} AS TEXT) AS mtimeNs,
  ${presentSql.uid} AS uid, ${presentSql.gid} AS gid, ${presentSql.xattrs} AS xattrs, ${presentSql.sha256} AS sha256`;
const pastColumns = `iif(purged_at IS NULL, state, 'purged') AS state, seen_at AS seenAt, gone_at AS goneAt,
  came_by AS cause, from_path AS fromPath, size, mode, CAST(mtime_ns AS TEXT) AS mtimeNs, uid, gid, xattrs, sha256`;

/** The newest first, of those that began before `before`. */
export function statesOf(
  index: IndexDatabase,
  projectId: string,
  path: string,
  before: number,
  limit: number,
): PathState[] {
  const place = { projectId, path, before, limit };
  const now = index
    .sql<[object], PathState>(
      `SELECT ${nowColumns} FROM files WHERE project_id = @projectId AND path = @path AND seen_at < @before`,
    )
    .all(place);
  const past = index
    .sql<[object], PathState>(
      `SELECT path, ${pastColumns} FROM revisions WHERE project_id = @projectId AND path = @path AND seen_at < @before
       ORDER BY seen_at DESC LIMIT @limit`,
    )
    .all(place);
  return [...now, ...past].slice(0, limit);
}

/** What a path was at a time: the last state at or before it. Undefined where it was not known then, or is a folder that got something in it. */
export function stateAt(
  index: IndexDatabase,
  projectId: string,
  path: string,
  at: number,
): PathState | undefined {
  const [state] = statesOf(index, projectId, path, at + 1, 1);
  return state === undefined ? undefined : stillThere(state, at);
}

function stillThere(state: PathState, at: number): PathState | undefined {
  const isOutgrown = state.state === 'folder' && state.goneAt !== null && state.goneAt <= at;
  return isOutgrown ? undefined : state;
}

/** Whether there is, or was, anything at a path or below it. */
export function wasAnything(index: IndexDatabase, projectId: string, path: string): boolean {
  const where =
    "project_id = @projectId AND (path = @path OR (path >= @path || '/' AND path < @path || '0'))";
  return (
    index
      .sql(`SELECT 1 FROM files WHERE ${where} UNION ALL SELECT 1 FROM revisions WHERE ${where} LIMIT 1`)
      .get({ projectId, path }) !== undefined
  );
}

/** Of these, none is what it was at @at any more. */
const changedSql = `SELECT path FROM files WHERE project_id = @projectId AND seen_at > @at AND came_by <> 'found'
  UNION SELECT path FROM revisions WHERE project_id = @projectId AND seen_at > @at
  UNION SELECT path FROM revisions WHERE project_id = @projectId AND state = 'folder' AND gone_at > @at`;

/** Paths that became something else after that time, in the order of their bytes. */
export function pathsChangedSince(index: IndexDatabase, projectId: string, at: number): string[] {
  return index.sql<[object], string>(`${changedSql} ORDER BY path`).pluck().all({ projectId, at });
}

/** A row as statesBeforeChange reads it: nothing but the path is set where there is no state. */
type ChangedTuple = [
  path: string,
  state: PathState['state'] | null,
  seenAt: number,
  goneAt: number,
  cause: PathState['cause'],
  fromPath: string | null,
  size: number,
  mode: number,
  mtimeNs: string,
  uid: number | null,
  gid: number | null,
  xattrs: string | null,
  sha256: string | null,
];

/**
 * The same paths, each with what it was at that time, see stateAt: in one go, which takes a quarter of the time, and as one JSON text,
 * since making the values of rows one by one takes as long again.
 */
export function statesBeforeChange(
  index: IndexDatabase,
  projectId: string,
  at: number,
): Map<string, PathState | undefined> {
  const text = index
    .sql<[object], string>(
      `SELECT json_group_array(json_array(path, state, seenAt, goneAt, cause, fromPath, size, mode, mtimeNs, uid, gid, xattrs,
         sha256))
       FROM (SELECT changed.path, ${pastColumns} FROM (${changedSql}) changed LEFT JOIN revisions r ON r.id = (
           SELECT id FROM revisions WHERE project_id = @projectId AND path = changed.path AND seen_at <= @at
           ORDER BY seen_at DESC LIMIT 1)
         ORDER BY changed.path)`,
    )
    .pluck()
    .get({ projectId, at });
  const rows = JSON.parse(text ?? '[]') as ChangedTuple[];
  return new Map(
    rows.map(
      ([path, state, seenAt, goneAt, cause, fromPath, size, mode, mtimeNs, uid, gid, xattrs, sha256]) => {
        if (state === null) return [path, undefined];
        const then = {
          path,
          state,
          seenAt,
          goneAt,
          cause,
          fromPath,
          size,
          mode,
          mtimeNs,
          uid,
          gid,
          xattrs,
          sha256,
        };
        return [path, stillThere(then, at)];
      },
    ),
  );
}

/** What got another name in that time (up to and with `until`), by the name it got, with the one that it had. */
export function renamesBetween(
  index: IndexDatabase,
  projectId: string,
  since: number,
  until: number,
): Map<string, string> {
  const where = `project_id = @projectId AND came_by <> 'found' AND from_path IS NOT NULL
    AND seen_at > @since AND seen_at <= @until`;
  const rows = index
    .sql<[object], { path: string; fromPath: string }>(
      `SELECT path, from_path AS fromPath, seen_at AS at FROM files WHERE ${where}
       UNION ALL SELECT path, from_path, seen_at FROM revisions WHERE ${where} ORDER BY at`,
    )
    .all({ projectId, since, until });
  return new Map(rows.map(({ path, fromPath }) => [path, fromPath]));
}

/** A place in the list of changes. */
export interface ChangePlace {
  at: number;
  path: string;
}

export interface ChangeChoice {
  /** Changes behind it, up to and with `until`; milliseconds since 1970. */
  since: number;
  until: number;
  prefix: string;
  /** Only what is listed behind it. */
  after: ChangePlace | null;
}

export interface Change {
  path: string;
  kind: 'added' | 'changed' | 'deleted' | 'renamed';
  /** What it became, and what it was before. */
  state: PathState;
  before: PathState | null;
}

/** Rows read at once. */
const pageRows = 500;

/**
 * What changed, the newest first; of the same time in the order of paths. Empty folders are no change, and what rules ignore
 * did not go.
 */
export function* changes(
  index: IndexDatabase,
  project: Pick<Project, 'id' | 'forgottenAt'>,
  choice: ChangeChoice,
): Generator<Change, void, undefined> {
  for (let after = choice.after; ;) {
    const page = pageOfStates(index, project.id, { ...choice, after });
    for (const state of page) {
      const change = changeOf(index, project, state);
      if (change !== null) yield change;
    }
    const last = page.at(-1);
    if (last === undefined || page.length < pageRows) return;
    after = { at: last.seenAt, path: last.path };
  }
}

function pageOfStates(index: IndexDatabase, projectId: string, choice: ChangeChoice): PathState[] {
  const { since, until, prefix, after } = choice;
  const where = `project_id = @projectId AND came_by <> 'found' AND seen_at > @since AND seen_at <= @until
    AND substr(path, 1, length(@prefix)) = @prefix AND (seen_at < @before OR path > @after)
    ORDER BY seen_at DESC, path LIMIT ${pageRows}`;
  const bound = {
    projectId,
    since,
    until: Math.min(until, after?.at ?? until),
    prefix,
    before: after?.at ?? Number.MAX_SAFE_INTEGER,
    after: after?.path ?? '',
  };
  const now = index.sql<[object], PathState>(`SELECT ${nowColumns} FROM files WHERE ${where}`).all(bound);
  const past = index
    .sql<[object], PathState>(`SELECT path, ${pastColumns} FROM revisions WHERE ${where}`)
    .all(bound);
  const isBefore = (a: PathState, b: PathState): number =>
    b.seenAt - a.seenAt || Number(a.path > b.path) - Number(a.path < b.path);
  return [...now, ...past].sort(isBefore).slice(0, pageRows);
}

/** Null where nobody would call it a change. */
function changeOf(
  index: IndexDatabase,
  project: Pick<Project, 'id' | 'forgottenAt'>,
  state: PathState,
): Change | null {
  const { id: projectId } = project;
  const { path, seenAt } = state;
  const before =
    statesOf(index, projectId, path, seenAt, 2).find((earlier) => earlier.state !== 'ignored') ?? null;
  const wasThere = before !== null && before.state !== 'deleted' && before.state !== 'folder';
  const wasForgotten = before === null && isForgottenBefore(index, project, state);
  switch (state.state) {
    case 'ignored':
    case 'purged':
    case 'folder':
      return null;
    case 'deleted':
      return (wasThere || wasForgotten) && !isRenamedAway(index, projectId, state)
        ? { path, kind: 'deleted', state, before }
        : null;
    default:
      if (state.fromPath !== null) return { path, kind: 'renamed', state, before };
      if (wasForgotten) return { path, kind: 'changed', state, before };
      if (!wasThere) return { path, kind: 'added', state, before };
      return isAlike(before, state) ? null : { path, kind: 'changed', state, before };
  }
}

/** Rows of files that may tell how old another one is. */
const witnesses = 1_000;

/**
 * Whether a path is known to have been something before its first state, which was let go: nothing else is deleted, and rows have
 * numbers that rise, so that a path with a lower number than one that was known before was known before, too.
 */
function isForgottenBefore(
  index: IndexDatabase,
  { id: projectId, forgottenAt }: Pick<Project, 'id' | 'forgottenAt'>,
  { path, seenAt, state }: PathState,
): boolean {
  if (forgottenAt === null || seenAt > forgottenAt) return false;
  if (state === 'deleted') return true;
  // The first one of a burst of saves is not kept.
  const before = seenAt - index.pace.burstMs;
  return (
    index
      .sql(
        `SELECT 1 FROM (SELECT later.seen_at FROM files f JOIN files later ON later.id > f.id
           AND later.project_id = f.project_id WHERE f.project_id = @projectId AND f.path = @path
           ORDER BY later.id LIMIT ${witnesses}) WHERE seen_at < @before LIMIT 1`,
      )
      .get({ projectId, path, before }) !== undefined
  );
}

/** Both are the same, whenever that was. */
export function isAlike(a: PathState, b: PathState): boolean {
  return a.state === b.state && a.sha256 === b.sha256 && a.mode === b.mode && a.size === b.size;
}

function isRenamedAway(index: IndexDatabase, projectId: string, { path, seenAt }: PathState): boolean {
  const bound = { projectId, path, from: seenAt - renamedWithinMs, to: seenAt + renamedWithinMs };
  const where = 'project_id = @projectId AND from_path = @path AND seen_at BETWEEN @from AND @to';
  return (
    index
      .sql(`SELECT 1 FROM files WHERE ${where} UNION ALL SELECT 1 FROM revisions WHERE ${where} LIMIT 1`)
      .get(bound) !== undefined
  );
}

/** Names a version of a file: the file's row, and when it was first seen. */
export function versionId(fileId: number, seenAt: number): string {
  return `v${fileId.toString(36)}-${seenAt.toString(36)}`;
}

/** Null where it is no such name. */
export function versionNamed(text: string): { fileId: number; seenAt: number } | null {
  const match = /^v([0-9a-z]{1,10})-([0-9a-z]{1,10})$/u.exec(text);
  if (match === null) return null;
  const [, fileId = '', seenAt = ''] = match;
  return { fileId: Number.parseInt(fileId, 36), seenAt: Number.parseInt(seenAt, 36) };
}
