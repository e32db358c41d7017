import { CodekeepError, messageOf } from '../base/errors.js';
import type { ApplyOutcome } from '../reconcile/repair/apply.js';
import type { Action, Plan } from '../reconcile/repair/plan.js';
import {
  executeRepair,
  type PlannedRepair,
  planRepair,
  recoverRuns,
  type RepairOptions,
  summaryOf,
} from '../reconcile/repair/repair-project.js';
import { withVersionDir } from '../reconcile/version-store.js';
import { countFiles } from '../store/files.js';
import type { IndexDatabase } from '../store/index-database.js';
import { backup, checkStructure, recordMaintenance } from '../store/maintenance.js';
import { listProjects, type ProjectReference, requireProject } from '../store/projects.js';
import type { RequestCall, WorkerHost } from './host.js';

/** A result's lists end here; get_repair pages through the rest. */
const listMax = 1_000;

export interface RepairRequest extends ProjectReference {
  run_id: string;
  version_dir?: string | undefined;
  dry_run: boolean;
  force: boolean;
  origin: 'command' | 'recovery';
}

/** The wire's fields of one project's repair. */
export interface ProjectReport {
  project_id: string;
  root_dir: string;
  version_dir: string;
  files_in_project_restored: { id: number; path: string }[];
  files_in_versions_marked_deleted: { id: number; path: string }[];
  files_restored_from_cst: {
    id: number;
    path: string;
    targets: ('versions' | 'project')[];
    sha256: string;
  }[];
  unrestorable: { id: number; path: string; reason: string }[];
  conflicts: { id: number; path: string; reason: string }[];
  unknown: { id: number; path: string; reason: string }[];
  errors: string[];
  totals: Record<string, number>;
  message: string;
}

export interface RepairReport {
  backup_path: string | null;
  projects: ProjectReport[];
}

/**
 * repair_database in its own process, after the supervisor has stopped the workers: recover what an earlier
 * run left → observe and plan all projects → back up and check the database → apply → verify.
 */
export async function repairDatabase(
  host: WorkerHost,
  index: IndexDatabase,
  request: RepairRequest,
  call: RequestCall,
): Promise<RepairReport> {
  const options: RepairOptions = {
    index,
    runId: request.run_id,
    origin: request.origin,
    force: request.force,
    now: Date.now,
    signal: call.signal,
    progress: (phase, done, total) => {
      call.progress(phase, done, total);
      host.report(phase, done, total);
    },
  };
  if (!request.dry_run) await recoverRuns(index, options.now);
  const planned = await planAll(options, request);
  if (request.dry_run) return { backup_path: null, projects: planned.map((one) => reportOf(one, null)) };
  const hasActions = planned.some(({ plan }) => plan.actions.length > 0);
  const backupPath = hasActions ? await secure(options) : null;
  const projects: ProjectReport[] = [];
  for (const one of planned) projects.push(reportOf(one, await executeRepair(options, one)));
  return { backup_path: backupPath, projects };
}

async function planAll(options: RepairOptions, request: RepairRequest): Promise<PlannedRepair[]> {
  const { index } = options;
  const isOne = request.root_dir !== undefined || request.project_id !== undefined;
  const projects = isOne ? [requireProject(index, request)] : listProjects(index);
  const planned: PlannedRepair[] = [];
  for (const project of projects) {
    const { total } = countFiles(index, project.id);
    planned.push(await planRepair(options, withVersionDir(project, request.version_dir), total));
  }
  return planned;
}

/** Nothing is changed in a database that is damaged, or that could not be backed up. */
async function secure(options: RepairOptions): Promise<string> {
  const { index, now } = options;
  options.progress('backup', 0, 0);
  const problems = checkStructure(index);
  await index.write(() => recordMaintenance(index, 'check', problems.length === 0 ? 'ok' : 'damaged', now()));
  if (problems.length > 0) {
    throw new CodekeepError(
      'DATABASE_CORRUPT',
      `The index is damaged: ${problems[0] ?? ''}`,
      'Nothing was changed. Stop the daemon and put the newest backup in the place of index.db.',
      { problems },
    );
  }
  try {
    const made = await backup(index, now());
    await index.write(() => recordMaintenance(index, 'backup', made.path, now()));
    return made.path;
  } catch (error) {
    throw new CodekeepError(
      'REPAIR_DATABASE_ERROR',
      `The index could not be backed up: ${messageOf(error)}.`,
      'Nothing was changed. Free some space in the state directory, then call again.',
    );
  }
}

function reportOf({ project, plan }: PlannedRepair, outcome: ApplyOutcome | null): ProjectReport {
  const acted = outcome?.done ?? plan.actions;
  const brief = (verdict: Action['verdict']): { id: number; path: string }[] =>
    acted
      .filter((action) => action.verdict === verdict)
      .slice(0, listMax)
      .map(({ id, path }) => ({ id, path }));
  const restored = acted.filter((action) => action.verdict === 'restore_from_cst').slice(0, listMax);
  return {
    project_id: project.id,
    root_dir: project.rootDir,
    version_dir: project.versionDir,
    files_in_project_restored: brief('clear_deleted'),
    files_in_versions_marked_deleted: brief('set_deleted'),
    files_restored_from_cst: restored.map(({ id, path, targets, sha256 }) => ({
      id,
      path,
      targets,
      sha256: sha256 ?? '',
    })),
    unrestorable: plan.unrestorable.slice(0, listMax),
    conflicts: [...plan.conflicts, ...(outcome?.conflicts ?? [])].slice(0, listMax),
    unknown: plan.unknown.slice(0, listMax),
    errors: (outcome?.errors ?? []).slice(0, listMax),
    totals: totalsOf(plan, outcome),
    message: summaryOf(plan, outcome),
  };
}

/** What was planned; after a run, what was done of it, and the rest where it went. */
function totalsOf(plan: Plan, outcome: ApplyOutcome | null): Record<string, number> {
  if (outcome === null) return { ...plan.totals };
  const totals: Record<string, number> = { ...plan.totals, failed: outcome.errors.length };
  for (const verdict of ['clear_deleted', 'set_deleted', 'restore_from_cst'] as const) {
    totals[verdict] = outcome.done.filter((action) => action.verdict === verdict).length;
  }
  totals['conflict'] = plan.totals.conflict + outcome.conflicts.length;
  return totals;
}
