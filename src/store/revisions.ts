import type { FileKind } from './files.js';
import type { IndexDatabase } from './index-database.js';
import { forgetDamaged } from './scrub.js';

/**
 * What each path was, and from when. A state is what a path has at a time: its kind, content and mode, or that it is deleted
 * or ignored. What it is now is in `files`; when that ends, it becomes a row of `revisions`, in the same transaction.
 */

/** How a path came to be what it is. found: it was there when the project was first looked at. */
export type CameBy = 'found' | 'edit' | 'rename' | 'repair' | 'rewind' | 'restore' | 'deletion' | 'rules';

/** How often the states of a path are kept. */
export interface Pace {
  /** Of saves that follow each other within so long (ms), the last one is kept. */
  burstMs: number;
  /** A file that is written all the time is kept once in so long (ms). */
  busyMs: number;
}

export const defaultPace: Pace = { burstMs: 1_000, busyMs: 60_000 };

/** As the configuration has it, in seconds. */
export function paceOf(config: { revision_burst: number; revision_interval: number }): Pace {
  return { burstMs: config.revision_burst * 1_000, busyMs: config.revision_interval * 1_000 };
}

/**
 * A file is written all the time that had so many states kept in the last `busyWindowMs`: one a minute for two hours, which
 * nobody reaches by hand, and which such a file still reaches when it is kept once a minute.
 */
const busyStates = 120;
const busyWindowMs = 7_200_000;

/** How long (ms) after its old name went, or before, a file may get another one. */
export const renamedWithinMs = 60_000;

/** The state of a path that ends. */
export interface EndingState {
  id: number;
  projectId: string;
  path: string;
  deleted: 0 | 1;
  ignored: 0 | 1;
  /** An empty folder is in the place of what was deleted: that is what the path is, by kind, size, mode and content. */
  isInPlace: 0 | 1;
  kind: FileKind;
  size: number;
  mode: number;
  sha256: string | null;
  cameBy: CameBy;
  seenAt: number;
  burstAt: number;
}

const ifFolder = (ofFolder: string, otherwise: string): string =>
  `iif(folder IS NULL, ${otherwise}, ${ofFolder})`;

/** What the path of a row of `files` is, column by column as `revisions` has it. */
export const presentSql = {
  state: ifFolder(
    "'folder'",
    "CASE WHEN deleted = 1 THEN 'deleted' WHEN ignored = 1 THEN 'ignored' ELSE kind END",
  ),
  cameBy: ifFolder('came_by', "iif(came_by = 'deletion', coalesce(cause, 'unseen'), came_by)"),
  size: ifFolder("folder ->> 'size'", 'size'),
  mode: ifFolder("folder ->> 'mode'", 'mode'),
  mtimeNs: ifFolder("CAST(folder ->> 'mtimeNs' AS INTEGER)", 'mtime_ns'),
  uid: ifFolder("folder ->> 'uid'", 'uid'),
  gid: ifFolder("folder ->> 'gid'", 'gid'),
  xattrs: ifFolder('NULL', 'xattrs'),
  sha256: 'CASE WHEN deleted = 0 THEN sha256 END',
};

const columns = `id, project_id AS projectId, path, deleted, ignored, folder IS NOT NULL AS isInPlace,
  ${ifFolder("'folder'", 'kind')} AS kind, ${presentSql.size} AS size, ${presentSql.mode} AS mode,
  ${ifFolder('NULL', 'sha256')} AS sha256, came_by AS cameBy, seen_at AS seenAt, burst_at AS burstAt`;

export function stateOf(index: IndexDatabase, id: number): EndingState | undefined {
  return index.sql<[number], EndingState>(`SELECT ${columns} FROM files WHERE id = ?`).get(id);
}

export function stateAtPath(index: IndexDatabase, projectId: string, path: string): EndingState | undefined {
  return index
    .sql<[string, string], EndingState>(`SELECT ${columns} FROM files WHERE project_id = ? AND path = ?`)
    .get(projectId, path);
}

/** A state that begins after a checkpoint was made is none of it, also where the clock was set back meanwhile. */
function afterCheckpoints(index: IndexDatabase, projectId: string): number {
  const newest = index
    .sql<[string], number | null>('SELECT max(at) FROM checkpoints WHERE project_id = ?')
    .pluck()
    .get(projectId);
  return typeof newest === 'number' ? newest + 1 : 0;
}

/** When a state begins, and the burst that it belongs to; milliseconds since 1970. */
export interface Beginning {
  seenAt: number;
  burstAt: number;
  /** A content that nobody needs any more, if nothing else has it. */
  dropped: string | null;
}

/** The first state of a path, or the first one since it was forgotten. */
export function firstState(index: IndexDatabase, projectId: string, path: string, at: number): Beginning {
  const forgotten = index
    .sql<[string, string], { goneAt: number | null }>(
      'SELECT max(gone_at) AS goneAt FROM revisions WHERE project_id = ? AND path = ?',
    )
    .get(projectId, path);
  const seenAt = Math.max(at, forgotten?.goneAt ?? 0, afterCheckpoints(index, projectId));
  return { seenAt, burstAt: seenAt, dropped: null };
}

/**
 * Keeps the state that a path was in, because another one begins: call it before its row is written, in the same transaction.
 * A state of which only a burst of saves consists is not kept.
 */
export function endState(index: IndexDatabase, before: EndingState, by: CameBy, at: number): Beginning {
  // Two states of a path never begin at the same time.
  const seenAt = Math.max(at, before.seenAt + 1, afterCheckpoints(index, before.projectId));
  const passing =
    by === 'edit' && before.cameBy === 'edit' && isPassing(factsOf(index, before, seenAt), index.pace);
  if (passing !== false)
    return { seenAt, burstAt: passing === 'burst' ? before.burstAt : seenAt, dropped: before.sha256 };
  const { state, cameBy, size, mode, mtimeNs, uid, gid, xattrs, sha256 } = presentSql;
  index
    .sql(
      `INSERT INTO revisions (project_id, path, state, seen_at, gone_at, came_by, from_path, size, mode, mtime_ns, uid, gid,
         xattrs, sha256)
       SELECT project_id, path, ${state}, seen_at, ?, ${cameBy}, from_path, ${size}, ${mode}, ${mtimeNs}, ${uid}, ${gid}, ${xattrs},
         ${sha256} FROM files WHERE id = ?`,
    )
    .run(seenAt, before.id);
  return { seenAt, burstAt: seenAt, dropped: null };
}

/** What it takes to say whether a state has to be kept; times in milliseconds since 1970. */
export interface PassingFacts {
  /** When it began, and when the burst did that it belongs to. */
  seenAt: number;
  burstAt: number;
  endsAt: number;
  /** When the last of the path's states ended that were kept, and the 120th last; null: there is none. */
  lastKept: number | null;
  busyKept: number | null;
  /** The newest checkpoint; null: there is none. */
  checkpointAt: number | null;
}

/** Whether an edited state need not be kept once another edit follows it, and why; pure. */
export function isPassing(facts: PassingFacts, { burstMs, busyMs }: Pace): 'burst' | 'busy' | false {
  const { seenAt, burstAt, endsAt, lastKept, busyKept, checkpointAt } = facts;
  if (checkpointAt !== null && checkpointAt >= seenAt) return false;
  if (endsAt - burstAt < burstMs) return 'burst';
  const isBusy = busyKept !== null && endsAt - busyKept < busyWindowMs;
  return isBusy && lastKept !== null && endsAt - lastKept < busyMs ? 'busy' : false;
}

function factsOf(index: IndexDatabase, { id, seenAt, burstAt }: EndingState, endsAt: number): PassingFacts {
  const facts = index
    .sql<[Record<string, number>], Pick<PassingFacts, 'lastKept' | 'busyKept' | 'checkpointAt'>>(
      `SELECT (SELECT gone_at FROM revisions r WHERE r.project_id = f.project_id AND r.path = f.path
           ORDER BY r.seen_at DESC LIMIT 1) AS lastKept,
         (SELECT gone_at FROM revisions r WHERE r.project_id = f.project_id AND r.path = f.path
           ORDER BY r.seen_at DESC LIMIT 1 OFFSET @busy) AS busyKept,
         (SELECT max(at) FROM checkpoints c WHERE c.project_id = f.project_id) AS checkpointAt
       FROM files f WHERE f.id = @id`,
    )
    .get({ id, busy: busyStates - 1 });
  return { seenAt, burstAt, endsAt, lastKept: null, busyKept: null, checkpointAt: null, ...facts };
}

/** What keeps a content of that hash: files, states that paths were in, and contents that are kept as a difference to it. */
export function referencesTo(sha256: '@sha256' | 'c.sha256'): string[] {
  return ['files WHERE sha256', 'revisions WHERE sha256', 'contents WHERE base'].map(
    (where) => `SELECT 1 FROM ${where} = ${sha256}`,
  );
}

export function isUnused(sha256: '@sha256' | 'c.sha256'): string {
  return referencesTo(sha256)
    .map((reference) => `NOT EXISTS (${reference})`)
    .join(' AND ');
}

/**
 * Lets a content go that nothing has any more, and then what it was kept as a difference to, if that was all that needed it.
 * Gives how many went, and what they took.
 */
export function dropUnused(index: IndexDatabase, sha256: string | null): { contents: number; bytes: number } {
  if (sha256 === null) return { contents: 0, bytes: 0 };
  const row = index
    .sql<[object], { bytes: number; base: string | null }>(
      `DELETE FROM contents WHERE sha256 = @sha256 AND ${isUnused('@sha256')} RETURNING length(tree) AS bytes, base`,
    )
    .get({ sha256 });
  if (row === undefined) return { contents: 0, bytes: 0 };
  forgetDamaged(index, sha256);
  const { contents, bytes } = dropUnused(index, row.base);
  return { contents: contents + 1, bytes: bytes + row.bytes };
}
