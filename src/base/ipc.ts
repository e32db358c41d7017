import type { ProjectRepair, Rebuilt, Undone } from '../contract/database.js';
import type { WorkerType } from '../contract/fields.js';
import type { Purged, Rewound } from '../contract/history.js';
import type { IndexMethod, Params, Result } from '../contract/index.js';
import type { Config } from './config.js';
import type { ErrorShape } from './errors.js';

/**
 * What the supervisor and its workers say to each other over the IPC channel, as JSON. Both halves are typed by this
 * one file; of the contract it takes types only.
 */

export const workerKinds = ['index_service', 'file_watcher', 'vectorization', 'repair'] as const satisfies (
  'index_service' | WorkerType
)[];
export type WorkerKind = (typeof workerKinds)[number];

export function isWorkerKind(name: string): name is WorkerKind {
  return (workerKinds as readonly string[]).includes(name);
}

/** How callers name a project: by one of the two, or by both where they agree. */
export interface ProjectReference {
  root_dir?: string | undefined;
  project_id?: string | undefined;
}

/** A project that is registered. */
export interface ResolvedProject {
  projectId: string;
  rootDir: string;
}

export interface ReconcileRequest {
  projectId: string;
  /** Everybody who asks has just registered it: one that has begun since then is late enough, and finds it all. */
  isNew: boolean;
}

/** What a reconcile of a whole project found, in files. */
export interface Reconciled {
  added: number;
  changed: number;
  deleted: number;
  unchanged: number;
  skipped: number;
  /** Paths that changed each time they were read. */
  unsettled: string[];
  /** Files that are missing and that a repair has still to bring back. */
  owed: number;
  /** Why some missing files prove nothing; null where there are none. */
  doubt: string | null;
  /** All of these are on file systems that are not there: of everything else it is known how it is. */
  isAway: boolean;
  /** Why files are kept and not parsed yet; null where there are none. */
  notParsed: string | null;
  /** Why there is nothing to index; null where there is something. */
  allIgnored: string | null;
}

/** What a repair is to look at. */
export interface RepairScope extends ProjectReference {
  version_dir?: string | undefined;
  /** What a watcher marked deleted since then counts as lost; milliseconds since 1970, null: nothing does. */
  deleted_since: number | null;
  /** What is missing shall come back, although the root folder is not the one that was registered. */
  force: boolean;
  /** What a dry run said: it is refused where it would do anything else. */
  expected?: readonly KeptPlan[] | undefined;
}

/** The actions of a plan in one project. One text, because the supervisor only carries it: it must not take it apart. */
export interface KeptPlan {
  projectId: string;
  count: number;
  /** Of each action its path and what it does in words, with a NUL between any two of these. */
  actions: string;
}

export interface RepairRequest extends RepairScope {
  run_id: string;
  origin: 'command' | 'recovery';
  /** What to do where the database as a whole is damaged: nothing, or mend what its readable rows allow. */
  on_damage: 'stop' | 'go_on';
  /** Only write down what is left to do: whoever asked for it has cancelled it. */
  is_cancelled: boolean;
}

export interface RepairReport {
  backup_path: string | null;
  /** What is wrong with the database as a whole: then nothing was done, unless `on_damage` says so. */
  damage: string[];
  /** Of a dry run. */
  plan?: KeptPlan[];
  projects: (ProjectRepair & { message: string })[];
}

/** What a rewind is about. */
export interface RewindScope {
  project_id: string;
  /** Milliseconds since 1970. */
  to: number;
  /** Files, and folders with all that is in them; null: all. */
  paths: readonly string[] | null;
  prefix: string | null;
  /** What a dry run said: it is refused where it would do anything else. */
  expected?: KeptPlan | undefined;
}

export type RewindRequest = RewindScope & { run_id: string };

export interface RewindReport {
  /** Of a dry run. */
  plan?: KeptPlan;
  rewound: Rewound;
}

/** What is to be removed for good: one of the three, the others null. */
export interface PurgeScope {
  project_id: string;
  /** Files, and folders with all that is in them. */
  paths: readonly string[] | null;
  version_ids: readonly string[] | null;
  sha256: string | null;
  /** What becomes of older copies of the index that have it. */
  backups: 'rewrite' | 'delete' | 'keep';
  /** What a dry run said: it is refused where it would do anything else. */
  expected?: KeptPlan | undefined;
}

export interface PurgeReport {
  /** Of a dry run. */
  plan?: KeptPlan;
  purged: Purged;
}

export interface UndoRequest {
  run_id: string;
  /** The run that it takes back. */
  undoes: string;
}

export interface RebuildRequest {
  dry_run: boolean;
  /** Where the index was saved that was open when somebody removed its file: the best of all backups. */
  saved_path: string | null;
}

export type UndoReport = Undone & { backup_path: string | null };

interface Exchange<P = unknown, R = unknown> {
  params: P;
  result: R;
}

type ContractExchanges = { [N in IndexMethod]: Exchange<Params<N>, Result<N>> };

/** What the index can be asked: the methods of the contract that it answers, and what the supervisor needs itself. */
export interface IndexExchanges extends ContractExchanges {
  /** Which project is meant; PROJECT_NOT_FOUND where there is none. Counts nothing. */
  resolve_project: Exchange<ProjectReference, ResolvedProject>;
  /** Names this moment, in which everything is indexed. */
  note_checkpoint: Exchange<{ project_id: string; label: string | null }, Result<'create_checkpoint'>>;
  /** The projects that a repair is about, once its version_dir was found usable. */
  resolve_repair: Exchange<ProjectReference & { version_dir?: string | undefined }, ResolvedProject[]>;
  /** The dry run of repair_database. */
  plan_repair: Exchange<RepairScope, RepairReport>;
  /**
   * Saves the index that is open where its file was removed or replaced. `problem`: that it was, null where it is in its place;
   * `path`: where it is saved, null where there was nothing to save.
   */
  save_open: Exchange<{ to: 'backups' | 'replaced' }, { problem: string | null; path: string | null }>;
  /** Which project is meant, and which moment of it; refused where nothing is known of that. */
  resolve_rewind: Exchange<ProjectReference & { to: string }, ResolvedProject & { at: number }>;
  /** The dry run of a rewind. */
  plan_rewind: Exchange<RewindScope, RewindReport>;
  /** Whether a rewind may have anything to do, without proof of contents: false for certain. */
  needs_rewind: Exchange<RewindScope, boolean>;
  /** The dry run of a purge. */
  plan_purge: Exchange<PurgeScope, PurgeReport>;
  /** Notes a rewind that had nothing to do, so that it is known by its id as every run is. */
  note_rewind: Exchange<Pick<RewindRequest, 'run_id' | 'project_id' | 'to'>, null>;
  /** The dry run of undo_repair. */
  plan_undo: Exchange<{ run_id: string }, UndoReport>;
  /** As note_rewind. */
  note_undo: Exchange<UndoRequest, null>;
}

/** With each question to the index goes what the watcher last said, by project id. */
export interface IndexQuestion<P> {
  params: P;
  /** By the contract: refused where the index is gone from its place. */
  isWrite: boolean;
  freshness: Record<string, ProjectFreshness>;
}

/** Everything that each kind of worker can be asked. */
interface WorkerExchanges {
  index_service: {
    [N in keyof IndexExchanges]: Exchange<
      IndexQuestion<IndexExchanges[N]['params']>,
      IndexExchanges[N]['result']
    >;
  };
  file_watcher: {
    reconcile: Exchange<ReconcileRequest, Reconciled>;
    /** Deals with what was noticed and is not indexed yet. */
    drain: Exchange<null, null>;
  };
  vectorization: object;
  repair: {
    repair_database: Exchange<RepairRequest, RepairReport>;
    undo_repair: Exchange<UndoRequest, UndoReport>;
    rewind: Exchange<RewindRequest, RewindReport>;
    /** Where the index was is in the result; null: there was none. */
    restore_backup: Exchange<{ path: string }, { original_path: string | null }>;
    rebuild_database: Exchange<RebuildRequest, Rebuilt>;
    purge: Exchange<PurgeScope, PurgeReport>;
  };
}

export type RequestName<K extends WorkerKind> = keyof WorkerExchanges[K] & string;
export type RequestParams<K extends WorkerKind, N extends RequestName<K>> = (WorkerExchanges[K][N] &
  Exchange)['params'];
export type RequestResult<K extends WorkerKind, N extends RequestName<K>> = (WorkerExchanges[K][N] &
  Exchange)['result'];

/** The options of start_worker; only the repair loop has any. */
export interface WorkerOptions extends ProjectReference {
  version_dir?: string | undefined;
  /** Rows looked at in one step. */
  batch_size?: number | undefined;
  /** Seconds between two rounds. */
  poll_interval?: number | undefined;
}

/** What a worker is started with. With a `task` it does that one thing, replies, and ends. */
export interface WorkerStart {
  stateDir: string;
  config: Config;
  options: WorkerOptions;
  watcherRunning: boolean;
  task: { method: string; params: unknown } | null;
}

export type ToWorker =
  | { type: 'start'; start: WorkerStart }
  | { type: 'stop' }
  | { type: 'request'; id: number; method: string; params: unknown }
  | { type: 'cancel'; id: number }
  /** Asks for a sign of life. */
  | { type: 'ping' }
  /** Something that a worker looks at by itself may have changed: look sooner. */
  | { type: 'nudge'; about: 'projects' | 'chunks' }
  | { type: 'watcher_running'; running: boolean }
  /** A repair has the index to itself, or not any more: meanwhile nothing is done to it unasked. */
  | { type: 'held'; held: boolean };

export interface Activity {
  /** What the worker is doing, for people; null while it waits. */
  operation: string | null;
  done: number;
  total: number;
}

/** How true a project's index is, as its watcher knows it; times in milliseconds since 1970. */
export interface ProjectFreshness {
  projectId: string;
  rootDir: string;
  /** Deleted files whose copy could not be put into versions. */
  withoutCopy: number;
  /** Files that are missing and that a repair did not come to bring back. */
  owed: number;
  freshness: 'fresh' | 'stale' | 'rebuilding' | 'unknown';
  pending: number;
  reason: string | null;
  /** No event tells of some of it: of that, what is known is as it was then or later; null where events tell of all. */
  polledAt: number | null;
}

export interface RepairRound {
  rounds: number;
  lastRound: { checked: number; repaired: number; skipped: number } | null;
  haltedReason: string | null;
  /** How far the pass over all contents is; null: it has not begun, or is not wanted. */
  scrub: {
    checked: number;
    total: number;
    mended: number;
    damaged: number;
    /** Of the last whole pass; milliseconds since 1970. */
    endedAt: number | null;
  } | null;
}

/** What a worker says about itself when it is ready. */
export interface WorkerInfo {
  /** index_service: the runs that were cut off when the index was opened, the oldest first. */
  unfinishedRuns?: readonly string[];
}

export type LogLevel = 'error' | 'warn' | 'info' | 'debug';

export type FromWorker =
  | { type: 'ready'; info: WorkerInfo }
  | { type: 'reply'; id: number; result: unknown }
  | { type: 'failure'; id: number; error: ErrorShape | null; defect: string }
  | { type: 'pong' }
  /** From now on the event loop may stand still for so long (ms). */
  | { type: 'step'; longestMs: number }
  | { type: 'request_progress'; id: number; phase: string; done: number; total: number }
  | { type: 'activity'; activity: Activity }
  | { type: 'log'; level: LogLevel; message: string }
  | { type: 'freshness'; project: ProjectFreshness }
  /** All projects that are watched by now: what was said of any other is void. */
  | { type: 'watched'; projectIds: string[] }
  /** Projects were added or removed; said by who wrote it, before the reply to who asked for it. */
  | { type: 'projects_changed' }
  | { type: 'chunks_changed' }
  | { type: 'repair_round'; round: RepairRound }
  /** Why its work does not get on; null: it does. */
  | { type: 'trouble'; reason: string | null };

/** The id of the request that a task's reply answers. */
export const taskRequestId = 0;
