import type { UndoReport, UndoRequest } from '../../base/ipc.js';
import type { Work } from '../../base/progress.js';
import { repairListMax } from '../../contract/list-limits.js';
import type { RunOutcome } from '../../reconcile/repair/batches.js';
import { recoverRuns } from '../../reconcile/repair/recover.js';
import type { Refusal } from '../../reconcile/repair/plan.js';
import { executeRewind, planRewindUndo } from '../../reconcile/repair/rewind.js';
import { executeUndo, planUndo, type UndoContext } from '../../reconcile/repair/undo.js';
import type { NewAction, RunRow } from '../../store/journal.js';
import { type Project, projectById } from '../../store/projects.js';
import { IndexDatabase } from '../../store/index-database.js';
import { noteRun, requireRuns, undoOf } from '../../store/journal.js';
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
  if (isEmpty) {
    await noteUndo(index, request);
    return reportOf(planned, null, null);
  }
  const backupPath = planned.some(({ isBackedUp }) => isBackedUp) ? await secure(context, []) : null;
  const outcomes: RunOutcome<Planned['actions'][number]>[] = [];
  for (const one of planned) outcomes.push(await one.execute(context, request.run_id));
  return reportOf(planned, outcomes, backupPath);
}

/** An undo that had nothing to do is known by its id, as every run is; no worker is stopped for it. */
export async function noteUndo(index: IndexDatabase, { run_id: runId, undoes }: UndoRequest): Promise<void> {
  await index.write(() => {
    for (const { projectId, rewindTo, startedAt, rootDir, versionDir } of requireRuns(index, undoes)) {
      const place = { projectId, rootDir, versionDir, rewindTo: rewindTo === null ? null : startedAt };
      noteRun(index, { runId, origin: 'undo', undoes, ...place }, '0 undone', Date.now());
    }
  });
}

/** @throws CodekeepError NOT_FOUND */
async function planAll(
  index: IndexDatabase,
  runId: string,
  { signal }: Pick<Work, 'signal'>,
): Promise<Planned[]> {
  const planned: Planned[] = [];
  for (const run of requireRuns(index, runId)) {
    const one = await (run.rewindTo === null
      ? plannedRepair(index, run, signal)
      : plannedRewind(index, run, signal));
    if (one !== null) planned.push(one);
  }
  return planned;
}

/** What takes a run back in one project, whatever kind of run that is. */
interface Planned {
  project: Project;
  undoneBy: string | null;
  actions: readonly (NewAction & Pick<UndoReport['undone'][number], 'verdict'>)[];
  kept: readonly Refusal[];
  execute: (context: UndoContext, runId: string) => Promise<RunOutcome<Planned['actions'][number]>>;
  /** It changes what nothing else has: marks. */
  isBackedUp: boolean;
}

async function plannedRepair(
  index: IndexDatabase,
  run: RunRow,
  signal: AbortSignal,
): Promise<Planned | null> {
  const planned = await planUndo(index, run, signal);
  if (planned === null) return null;
  return {
    ...planned,
    isBackedUp: true,
    execute: async (context, runId) => await executeUndo(context, runId, planned),
  };
}

async function plannedRewind(
  index: IndexDatabase,
  run: RunRow,
  signal: AbortSignal,
): Promise<Planned | null> {
  const project = projectById(index, run.projectId);
  if (project === undefined) return null;
  const work = { signal, progress: () => undefined };
  const planned = await planRewindUndo(index, project, run, work);
  const { conflicts, untouched, unrestorable, unknown } = planned.plan;
  const refused = [...conflicts, ...untouched, ...unrestorable, ...unknown].map((one) => ({ id: 0, ...one }));
  return {
    project,
    undoneBy: planned.actions.length === 0 ? undoOf(index, run) : null,
    actions: planned.actions,
    kept: [...planned.kept, ...refused],
    // All that it changes is in revisions.
    isBackedUp: false,
    execute: async (context, runId) => {
      const undoing = { runId, projectId: project.id, origin: 'undo' as const, undoes: run.runId };
      return await executeRewind(context, undoing, planned);
    },
  };
}

/** What was planned (outcomes null), or what was done of it. */
function reportOf(
  planned: readonly Planned[],
  outcomes: readonly RunOutcome<Planned['actions'][number]>[] | null,
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
