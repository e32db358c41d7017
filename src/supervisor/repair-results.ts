import { randomUUID } from 'node:crypto';
import type { RepairReport, UndoReport } from '../base/ipc.js';
import type { Rebuilt, RepairResult, Undone, UndoResult, WorkersStopped } from '../contract/database.js';

/** What repair_database and undo_repair answer. */

export type ResumedWorkers = Pick<
  Extract<RepairResult, { run_id: string }>,
  'workers_resumed' | 'workers_not_resumed'
>;

const nothingStopped: WorkersStopped = { stopped_count: 0, stopped_workers: [], errors: [] };
export const nothingResumed: ResumedWorkers = { workers_resumed: [], workers_not_resumed: [] };

export interface RunFrame {
  runId: string;
  dryRun: boolean;
  stopped: WorkersStopped;
  startedAt: number;
}

/** Of what stops no worker: a dry run, or one that had nothing to do. */
export function unstoppedFrame(startedAt: number, dryRun: boolean): RunFrame {
  return { runId: randomUUID(), dryRun, stopped: nothingStopped, startedAt };
}

function commonOf(
  frame: RunFrame,
  resumed: ResumedWorkers,
  backup_path: string | null,
  rebuilt: Rebuilt | null = null,
): Common {
  return {
    run_id: frame.runId,
    dry_run: frame.dryRun,
    workers_stopped: frame.stopped,
    ...resumed,
    backup_path,
    rebuilt,
    duration_ms: Math.round(performance.now() - frame.startedAt),
  };
}

type Common = Omit<Extract<UndoResult, { undoes: string }>, keyof Undone | 'undoes'>;

export function undoResultOf(
  { backup_path, ...undone }: UndoReport,
  undoes: string,
  frame: RunFrame,
  resumed: ResumedWorkers,
): UndoResult {
  return { ...commonOf(frame, resumed, backup_path), undoes, ...undone };
}

/** One project's fields stand at the top of the result; several come as a list. */
export function repairResultOf(
  report: RepairReport,
  frame: RunFrame,
  resumed: ResumedWorkers,
  rebuilt: Rebuilt | null = null,
): RepairResult {
  const common = commonOf(frame, resumed, report.backup_path, rebuilt);
  const [only, ...more] = report.projects;
  if (only !== undefined && more.length === 0)
    return { ...common, ...only, errors: [...report.damage, ...only.errors] };
  const message = report.projects.map((project) => `${project.root_dir}: ${project.message}`).join(' ');
  return {
    ...common,
    message: message === '' ? 'No project is registered.' : message,
    errors: [...report.damage, ...report.projects.flatMap((project) => project.errors)],
    projects: report.projects,
  };
}
