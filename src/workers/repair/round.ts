import { randomUUID } from 'node:crypto';
import { Slicer } from '../../base/waiting.js';
import { brakeReason, inspectRoot, isBraked, rootUnavailable } from '../../reconcile/project-root.js';
import { applyPlan } from '../../reconcile/repair/apply.js';
import { Observer } from '../../reconcile/repair/observe.js';
import { type Action, planOf } from '../../reconcile/repair/plan.js';
import { countFiles, type FileTrace, tracesAfter } from '../../store/files.js';
import type { IndexDatabase } from '../../store/index-database.js';
import { beginRun, endRun } from '../../store/journal.js';
import type { Project } from '../../store/projects.js';
import type { WorkerHost } from '../host.js';

export interface RoundOutcome {
  checked: number;
  repaired: number;
  /** Rows that a repair_database would act on, or cannot be restored, and that were left alone here. */
  skipped: number;
  halted: string | null;
}

export interface RoundContext {
  host: WorkerHost;
  index: IndexDatabase;
  project: Project;
  /** Rows looked at, and actions taken, in one step. */
  batchSize: number;
  isWatched: () => boolean;
  /** What could not be restored, by file id and the content it had: not tried every round. */
  remembered: Map<number, string>;
}

/**
 * One round of the background worker over one project: batchSize rows a step, and between two steps
 * everybody else gets a turn. It does only what is proven safe: nothing while the root is in doubt or the
 * brake would stop the watcher, and missing files are left to a watcher that is running.
 */
export async function repairRound(context: RoundContext): Promise<RoundOutcome> {
  const { host, index, project, batchSize } = context;
  const outcome: RoundOutcome = { checked: 0, repaired: 0, skipped: 0, halted: null };
  const counts = countFiles(index, project.id);
  const slicer = new Slicer(host.signal, 5);
  const wanted: Action[] = [];
  for (let after: string | null = null; ;) {
    const rows = tracesAfter(index, project.id, after, batchSize);
    after = rows.at(-1)?.path ?? after;
    wanted.push(...safeActions(context, rows, outcome));
    outcome.checked += rows.length;
    host.report(`checking ${project.rootDir}`, outcome.checked, counts.total);
    await slicer.breathe();
    if (rows.length < batchSize) break;
  }
  outcome.halted = haltReason(project, wanted, counts.active);
  if (outcome.halted !== null) outcome.skipped += wanted.length;
  else if (wanted.length > 0) await act(context, wanted, outcome);
  return outcome;
}

/** The actions that these rows need; what is not safe here is counted as skipped. */
function safeActions(
  { index, project, isWatched, remembered }: RoundContext,
  rows: readonly FileTrace[],
  outcome: RoundOutcome,
): Action[] {
  // Rendering a tree costs the most: what was found unrestorable is not rendered again until it changes.
  const observer = new Observer(index, project, (id, sha256) =>
    remembered.get(id) === (sha256 ?? '') ? 'known as unrestorable' : null,
  );
  const facts = rows.map((row) => observer.fact(row));
  const plan = planOf(facts, { rootDoubt: null });
  for (const { id, sha256, tree } of facts) {
    if (tree !== null && tree !== 'renders') remembered.set(id, sha256 ?? '');
  }
  outcome.skipped += plan.unrestorable.length + plan.conflicts.length + plan.unknown.length;
  const safe = plan.actions.filter((action) => action.verdict === 'clear_deleted' || !isWatched());
  outcome.skipped += plan.actions.length - safe.length;
  return safe;
}

function haltReason(project: Project, wanted: readonly Action[], active: number): string | null {
  const root = inspectRoot(project);
  const missing = wanted.filter((action) => action.verdict !== 'clear_deleted').length;
  if (root.kind === 'unavailable') return rootUnavailable(root.reason).message;
  return isBraked(root, missing, active) ? brakeReason(root, missing, active) : null;
}

async function act(
  { host, index, project, batchSize }: RoundContext,
  wanted: readonly Action[],
  outcome: RoundOutcome,
): Promise<void> {
  const run = { runId: randomUUID(), projectId: project.id };
  const now = Date.now;
  const { rootDir, versionDir } = project;
  await index.write(() => beginRun(index, { ...run, origin: 'worker', rootDir, versionDir }, now()));
  const context = {
    index,
    project,
    run,
    now,
    signal: host.signal,
    rootDoubt: null,
    progress: (done: number, total: number) => host.report(`repairing ${rootDir}`, done, total),
  };
  for (let start = 0; start < wanted.length; start += batchSize) {
    const applied = await applyPlan(context, wanted.slice(start, start + batchSize));
    outcome.repaired += applied.done.length;
    outcome.skipped += applied.conflicts.length + applied.errors.length;
    for (const error of applied.errors) host.log('error', error);
  }
  const message = `${outcome.repaired} of ${wanted.length} repaired`;
  await index.write(() => endRun(index, run, 'done', message, now()));
  host.log('info', `${rootDir}: ${message}`);
}
