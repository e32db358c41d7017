import type { UndoReport, UndoRequest } from '../../base/ipc.js';
import type { Work } from '../../base/progress.js';
import { repairListMax } from '../../contract/list-limits.js';
import type { RunOutcome } from '../../reconcile/repair/batches.js';
import { recoverRuns } from '../../reconcile/repair/recover.js';
import { executeUndo, type PlannedUndo, planUndo, type UndoAction } from '../../reconcile/repair/undo.js';
import { IndexDatabase } from '../../store/index-database.js';
import { requireRuns } from '../../store/journal.js';
import type { RequestCall } from '../host.js';
import { secure } from './task.js';

/** The dry run of undo_repair, over a connection that cannot write. */
export async function planUndoOf(
  databasePath: string,
  runId: string,
  call: RequestCall,
): Promise<UndoReport> {
  const index = IndexDatabase.openReadOnly(databasePath);
  try {
    return reportOf(await planAll(index, runId, call), null, null);
  } finally {
    index.close();
  }
}

/** undo_repair in its own process, after the supervisor has stopped the workers. */
export async function undoRepair(
  index: IndexDatabase,
  request: UndoRequest,
  call: RequestCall,
): Promise<UndoReport> {
  const context = { index, now: Date.now, signal: call.signal, progress: call.progress };
  await recoverRuns(context);
  const planned = await planAll(index, request.undoes, call);
  const isEmpty = planned.every(({ actions }) => actions.length === 0);
  if (isEmpty) return reportOf(planned, null, null);
  const backupPath = await secure(context, []);
  const outcomes: RunOutcome<UndoAction>[] = [];
  for (const one of planned) outcomes.push(await executeUndo(context, request.run_id, one));
  return reportOf(planned, outcomes, backupPath);
}

/** @throws CodekeepError NOT_FOUND */
async function planAll(
  index: IndexDatabase,
  runId: string,
  { signal }: Pick<Work, 'signal'>,
): Promise<PlannedUndo[]> {
  const planned: PlannedUndo[] = [];
  for (const run of requireRuns(index, runId)) {
    const one = await planUndo(index, run, signal);
    if (one !== null) planned.push(one);
  }
  return planned;
}

/** What was planned (outcomes null), or what was done of it. */
function reportOf(
  planned: readonly PlannedUndo[],
  outcomes: readonly RunOutcome<UndoAction>[] | null,
  backupPath: string | null,
): UndoReport {
  const entries = planned.map(({ project, actions, kept }, position) => {
    const outcome = outcomes?.[position];
    const inProject = <T extends object>(list: readonly T[]): (T & { project_id: string })[] =>
      list.map((entry) => ({ project_id: project.id, ...entry }));
    const undone = (outcome?.done ?? actions).map(({ id, path, verdict }) => ({ id, path, verdict }));
    return {
      undone: inProject(undone),
      kept: inProject([...kept, ...(outcome?.conflicts ?? [])]),
      errors: outcome?.errors ?? [],
    };
  });
  const undone = entries.flatMap((entry) => entry.undone.sort(byPath));
  const kept = entries.flatMap((entry) => entry.kept.sort(byPath));
  const errors = entries.flatMap((entry) => entry.errors);
  const totals = { undone: undone.length, kept: kept.length, failed: errors.length };
  const undoneBy = planned.map((one) => one.undoneBy).find((one) => one !== null) ?? null;
  return {
    projects: planned.map(({ project }) => ({ project_id: project.id, root_dir: project.rootDir })),
    undone: undone.slice(0, repairListMax),
    kept: kept.slice(0, repairListMax),
    errors: errors.slice(0, repairListMax),
    totals,
    backup_path: backupPath,
    message: messageFor(totals, outcomes === null, undoneBy),
  };
}

function byPath(a: { path: string }, b: { path: string }): number {
  return a.path < b.path ? -1 : 1;
}

function messageFor(totals: UndoReport['totals'], isDry: boolean, undoneBy: string | null): string {
  if (undoneBy !== null) return `It is undone already, by ${undoneBy}: nothing to do.`;
  const parts = [`${totals.undone} ${isDry && totals.undone > 0 ? 'to be undone' : 'undone'}`];
  if (totals.kept > 0) parts.push(`${totals.kept} kept as they are`);
  if (totals.failed > 0) parts.push(`${totals.failed} failed`);
  return `${parts.join(', ')}.`;
}
