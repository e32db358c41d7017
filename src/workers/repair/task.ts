import { dirname } from 'node:path';
import { AskedRepair } from '../../base/asked-repair.js';
import { cancelled, CodekeepError, messageOf } from '../../base/errors.js';
import type { KeptPlan, RepairReport, RepairRequest, RepairScope } from '../../base/ipc.js';
import { keptPlan } from '../../reconcile/repair/kept-plan.js';
import { ContentSources, heal, type Log } from '../../reconcile/heal.js';
import { recoverRuns } from '../../reconcile/repair/recover.js';
import {
  abandonRepair,
  executeRepair,
  type OpenedRepair,
  openRepair,
  type PlannedRepair,
  planRepair,
  type PlanOptions,
  type RepairOptions,
} from '../../reconcile/repair/repair-project.js';
import { damagedContents } from '../../store/scrub.js';
import { Slicer } from '../../base/waiting.js';
import { IndexDatabase } from '../../store/index-database.js';
import { backup } from '../../store/backups.js';
import { checkStepMs, checkStructure, recordMaintenance } from '../../store/maintenance.js';
import type { Project } from '../../store/projects.js';
import type { RequestCall } from '../host.js';
import { reportOf } from './report.js';
import { assertSamePlan } from './same-plan.js';
import { projectsInScope } from './scope.js';

/** Damaged contents that one repair looks at. */
const healedMax = 10_000;

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
      deletedSince: request.deleted_since,
      signal: call.signal,
      progress: call.progress,
    };
    const planned = await planAll(options, projectsInScope(index, request));
    const plan = keptPlans(planned);
    assertExpected(request, plan);
    const projects = planned.map((one) => reportOf(index, one, null, Date.now()));
    return { backup_path: null, damage: [], plan, projects };
  } finally {
    index.close();
  }
}

/**
 * repair_database in its own process, after the supervisor has stopped the workers: finish what an earlier run left →
 * check → observe and plan all projects → back up → apply → verify.
 */
export async function repairDatabase(
  index: IndexDatabase,
  request: RepairRequest,
  call: RequestCall,
  log: Log,
): Promise<RepairReport> {
  const options: RepairOptions = {
    index,
    runId: request.run_id,
    origin: request.origin,
    force: request.force,
    deletedSince: request.deleted_since,
    now: Date.now,
    signal: request.is_cancelled ? AbortSignal.abort(cancelled('The repair')) : call.signal,
    progress: call.progress,
  };
  await recoverRuns(options);
  // A recovery finishes what was planned, and plans nothing.
  if (request.origin === 'recovery') return { backup_path: null, damage: [], projects: [] };
  const damage = await check(options, call);
  if (damage.length > 0 && request.on_damage === 'stop') return { backup_path: null, damage, projects: [] };
  if (damage.length === 0) await healKnown(options, log);
  const planned = await planAll(options, projectsInScope(index, request));
  if (request.expected !== undefined) assertExpected(request, keptPlans(planned));
  const hasActions = planned.some(({ plan }) => plan.actions.length > 0);
  // Before the backup, which takes its time: cut off then, it is finished, and nobody takes what is missing for a deletion.
  const opened = await openRepair(options, planned);
  // What could not be looked at is planned by nobody: its caller says whether that is all.
  const isWhole = planned.every(({ plan }) => plan.totals.unknown === 0);
  if (isWhole) await new AskedRepair(dirname(index.path)).forget();
  const backupPath = hasActions && !options.signal.aborted ? await backUp(options, opened, damage) : null;
  return { backup_path: backupPath, damage, projects: await executeAll(options, opened) };
}

/** What is known to be damaged; a plan is the same before and after, since it looks into the backups as well. */
async function healKnown({ index, signal }: RepairOptions, log: Log): Promise<void> {
  const slicer = new Slicer(signal);
  const sources = new ContentSources(index, log);
  for (const { sha256 } of damagedContents(index, healedMax)) {
    await heal(index, sha256, true, log, sources);
    await slicer.breathe();
  }
}

async function backUp(
  options: RepairOptions,
  opened: readonly OpenedRepair[],
  damage: readonly string[],
): Promise<string> {
  try {
    return await secure(options, damage);
  } catch (error) {
    await abandonRepair(options, opened, error);
    throw error;
  }
}

/** One that is cancelled is cancelled for each project: all of them have to know what was left undone. */
async function executeAll(
  options: RepairOptions,
  opened: readonly OpenedRepair[],
): Promise<RepairReport['projects']> {
  const reports: RepairReport['projects'] = [];
  for (const one of opened) {
    try {
      const outcome = await executeRepair(options, one);
      reports.push(reportOf(options.index, one, outcome, options.now()));
    } catch (error) {
      if (!(options.signal.reason instanceof CodekeepError)) throw error;
    }
  }
  // A cancellation that came when all was done was too late.
  if (reports.length < opened.length) options.signal.throwIfAborted();
  return reports;
}

function keptPlans(planned: readonly PlannedRepair[]): KeptPlan[] {
  return planned.map(({ project, plan }) => keptPlan(project.id, plan));
}

function assertExpected({ expected }: RepairScope, plan: readonly KeptPlan[]): void {
  if (expected !== undefined) assertSamePlan('repair_database', expected, plan);
}

async function planAll(options: PlanOptions, projects: readonly Project[]): Promise<PlannedRepair[]> {
  const planned: PlannedRepair[] = [];
  for (const project of projects) planned.push(await planRepair(options, project));
  return planned;
}

/** What is wrong with the database as a whole: a damaged page costs the rows on it, and not the repair. */
async function check({ index, now }: RepairOptions, call: RequestCall): Promise<string[]> {
  const damage = call.longStep(checkStepMs(index), () => checkStructure(index));
  await index.write(() => recordMaintenance(index, 'check', damage.length === 0 ? 'ok' : 'damaged', now()));
  return damage;
}

/** Nothing is changed in a database that could not be backed up. */
export async function secure(
  { index, now, progress }: Pick<RepairOptions, 'index' | 'now' | 'progress'>,
  damage: readonly string[],
): Promise<string> {
  progress('backup', 0, 0);
  try {
    const made = await backup(index, now(), { givesWay: false });
    // A disk that does not keep what it is given is no place for a second copy.
    if (made.problems.length > damage.length)
      throw new Error(`the copy is damaged: ${made.problems[0] ?? ''}`);
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
