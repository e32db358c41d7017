import { cancelled, CodekeepError, messageOf } from '../../base/errors.js';
import type { RepairReport, RepairRequest, RepairScope } from '../../base/ipc.js';
import type { PlanOptions, PlannedRepair, RepairOptions } from '../../reconcile/repair/repair-project.js';
import { recoverRuns } from '../../reconcile/repair/recover.js';
import { executeRepair, planRepair } from '../../reconcile/repair/repair-project.js';
import { withVersionDir } from '../../reconcile/version-store.js';
import { IndexDatabase } from '../../store/index-database.js';
import { backup, checkStepMs, checkStructure, recordMaintenance } from '../../store/maintenance.js';
import { namedProjects, type Project } from '../../store/projects.js';
import type { RequestCall } from '../host.js';
import { reportOf } from './report.js';

/** The dry run: observe and plan over a connection that cannot write. */
export async function planDatabase(
  databasePath: string,
  request: RepairScope,
  call: RequestCall,
): Promise<RepairReport> {
  const index = IndexDatabase.openReadOnly(databasePath);
  try {
    const options: PlanOptions = {
      index,
      force: request.force,
      signal: call.signal,
      progress: call.progress,
    };
    const planned = await planAll(options, chosenProjects(index, request));
    return { backup_path: null, projects: planned.map((one) => reportOf(one, null)) };
  } finally {
    index.close();
  }
}

/**
 * repair_database in its own process, after the supervisor has stopped the workers: recover what an earlier
 * run left → observe and plan all projects → back up and check the database → apply → verify.
 */
export async function repairDatabase(
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
    progress: call.progress,
  };
  const interrupted = await recoverRuns(index, options.now);
  // A recovery finishes what was begun, and touches no other project.
  const projects = request.origin === 'recovery' ? interrupted : chosenProjects(index, request);
  const planned = await planAll(options, projects);
  const hasActions = planned.some(({ plan }) => plan.actions.length > 0);
  const signal = request.is_cancelled ? AbortSignal.abort(cancelled('The repair')) : options.signal;
  const backupPath = hasActions && !signal.aborted ? await secure(options, call) : null;
  return { backup_path: backupPath, projects: await executeAll({ ...options, signal }, planned) };
}

/** One that is cancelled is cancelled for each project: all of them have to know what was left undone. */
async function executeAll(
  options: RepairOptions,
  planned: readonly PlannedRepair[],
): Promise<RepairReport['projects']> {
  const reports: RepairReport['projects'] = [];
  for (const one of planned) {
    try {
      reports.push(reportOf(one, await executeRepair(options, one)));
    } catch (error) {
      if (!(options.signal.reason instanceof CodekeepError)) throw error;
    }
  }
  // A cancellation that came when all was done was too late.
  if (reports.length < planned.length) options.signal.throwIfAborted();
  return reports;
}

function chosenProjects(index: IndexDatabase, request: RepairScope): Project[] {
  const projects = namedProjects(index, request);
  return projects.map((project) => withVersionDir(project, request.version_dir));
}

async function planAll(options: PlanOptions, projects: readonly Project[]): Promise<PlannedRepair[]> {
  const planned: PlannedRepair[] = [];
  for (const project of projects) planned.push(await planRepair(options, project));
  return planned;
}

/** Nothing is changed in a database that is damaged, or that could not be backed up. */
async function secure(options: RepairOptions, call: RequestCall): Promise<string> {
  const { index, now } = options;
  options.progress('backup', 0, 0);
  const problems = call.longStep(checkStepMs(index), () => checkStructure(index));
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
