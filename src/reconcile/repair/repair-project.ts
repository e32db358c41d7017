import { CodekeepError } from '../../base/errors.js';
import type { Work } from '../../base/progress.js';
import type { IndexDatabase } from '../../store/index-database.js';
import { beginRun, endRun, type RunOrigin } from '../../store/journal.js';
import { type Project, setRootIdentity } from '../../store/projects.js';
import { brakeReason, inspectRoot, isBraked, type RootState } from '../project-root.js';
import { applyPlan, type ApplyOutcome, verifyActions } from './apply.js';
import { observeProject } from './observe.js';
import { type Fact, type Plan, type PlanContext, planOf } from './plan.js';

/** What planning needs: it only reads. */
export interface PlanOptions extends Work {
  index: IndexDatabase;
  /** Go on although the root folder is not the one that was registered. */
  force: boolean;
}

export interface RepairOptions extends PlanOptions {
  runId: string;
  origin: RunOrigin;
  now: () => number;
}

/** A plan with what was found out on the way; data only, nothing was touched. */
export interface PlannedRepair {
  project: Project;
  root: RootState;
  context: PlanContext;
  plan: Plan;
}

/** observe → plan. Writes nothing. */
export async function planRepair(options: PlanOptions, project: Project): Promise<PlannedRepair> {
  const root = inspectRoot(project);
  const progress = (done: number, total: number): void => options.progress('observe', done, total);
  const { facts, present } = await observeProject(options.index, project, progress, options.signal);
  const context = { rootDoubt: rootDoubt(root, facts, present.ok + present.changed, options.force) };
  return { project, root, context, plan: planOf(facts, context, present) };
}

/**
 * Why missing files prove nothing, or null. A root that is another folder by now, with a large part of the
 * files missing, is more likely an unmounted disk; `force` says that it is not. A root that is the same
 * folder may well be empty: then the files are gone, and this is what a repair is for.
 */
export function rootDoubt(
  root: RootState,
  facts: readonly Fact[],
  present: number,
  force: boolean,
): string | null {
  if (root.kind === 'unavailable') return root.reason;
  if (root.kind === 'verified' || force) return null;
  const unmarked = facts.filter((fact) => !fact.deleted);
  const missing = unmarked.filter((fact) => fact.inProject === 'absent').length;
  const active = present + unmarked.length;
  if (!isBraked(root, missing, active)) return null;
  return `${brakeReason(root, missing, active)}; call with force if this is right`;
}

/** apply → verify, under the journal. */
export async function executeRepair(options: RepairOptions, planned: PlannedRepair): Promise<ApplyOutcome> {
  const { index, now } = options;
  const { project, plan, root, context } = planned;
  const run = { runId: options.runId, projectId: project.id };
  await index.write(() => {
    beginRun(
      index,
      { ...run, origin: options.origin, rootDir: project.rootDir, versionDir: project.versionDir },
      now(),
    );
    if (root.kind === 'replaced' && context.rootDoubt === null)
      setRootIdentity(index, project.id, root.dev, root.ino);
  });
  try {
    const progress = (done: number, total: number): void => options.progress('apply', done, total);
    const outcome = await applyPlan({ ...options, ...context, project, run, progress }, plan.actions);
    options.progress('verify', 0, outcome.done.length);
    outcome.errors.push(...verifyActions(index, project, outcome.done, context));
    const state = outcome.errors.length === 0 ? 'done' : 'failed';
    await index.write(() => endRun(index, run, state, summaryOf(plan, outcome), now()));
    return outcome;
  } catch (error) {
    const { aborted, reason } = options.signal;
    // Without a canceller the whole process has to end: the run stays open, and the next start finishes it.
    if (aborted && !(reason instanceof CodekeepError)) throw error;
    const state = aborted ? 'cancelled' : 'failed';
    await index.write(() => endRun(index, run, state, String(error), now()));
    throw error;
  }
}

/** One sentence for people. */
export function summaryOf(plan: Plan, outcome: ApplyOutcome | null): string {
  const { totals } = plan;
  const parts = [`${totals.checked} files checked`];
  const counted = outcome === null ? plan.actions : outcome.done;
  const count = (verdict: string): number => counted.filter((action) => action.verdict === verdict).length;
  const say = (number: number, text: string): void => {
    if (number > 0) parts.push(`${number} ${text}`);
  };
  const verb = outcome === null ? 'to be ' : '';
  say(count('clear_deleted'), `${verb}unmarked`);
  say(count('set_deleted'), `${verb}marked deleted`);
  say(count('restore_from_cst'), `${verb}restored`);
  say(totals.unrestorable, 'not restorable');
  say(totals.conflict + (outcome?.conflicts.length ?? 0), 'in conflict');
  say(totals.unknown, 'unknown');
  say(outcome?.errors.length ?? 0, 'failed');
  if (parts.length === 1) parts.push('nothing to do');
  return `${parts.join(', ')}.`;
}
