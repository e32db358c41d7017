import type { Config } from './config.js';
import type { ErrorShape } from './errors.js';

/** What the supervisor and its workers say to each other over the IPC channel, as JSON. */

export const workerKinds = ['index_service', 'file_watcher', 'vectorization', 'repair'] as const;
export type WorkerKind = (typeof workerKinds)[number];

export function isWorkerKind(name: string): name is WorkerKind {
  return (workerKinds as readonly string[]).includes(name);
}

/** What a worker is started with. With a `task` it does that one thing, replies, and ends. */
export interface WorkerStart {
  stateDir: string;
  config: Config;
  options: Record<string, unknown>;
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
  | { type: 'watcher_running'; running: boolean };

export interface Activity {
  /** What the worker is doing, for people; null while it waits. */
  operation: string | null;
  done: number;
  total: number;
}

/** How true a project's index is, as its watcher knows it; times in milliseconds since 1970. */
export interface ProjectFreshness {
  projectId: string;
  freshness: 'fresh' | 'stale' | 'rebuilding' | 'unknown';
  pending: number;
  reason: string | null;
}

export interface RepairRound {
  rounds: number;
  lastRound: { checked: number; repaired: number; skipped: number } | null;
  haltedReason: string | null;
}

export type LogLevel = 'error' | 'warn' | 'info' | 'debug';

export type FromWorker =
  | { type: 'ready'; info: Record<string, unknown> }
  | { type: 'reply'; id: number; result: unknown }
  | { type: 'failure'; id: number; error: ErrorShape | null; defect: string }
  | { type: 'pong' }
  /** From now on the event loop may stand still for so long (ms). */
  | { type: 'step'; longestMs: number }
  | { type: 'request_progress'; id: number; phase: string; done: number; total: number }
  | { type: 'activity'; activity: Activity }
  | { type: 'log'; level: LogLevel; message: string }
  | { type: 'freshness'; project: ProjectFreshness }
  | { type: 'chunks_changed' }
  | { type: 'repair_round'; round: RepairRound };

/** The id of the request that a task's reply answers. */
export const taskRequestId = 0;
