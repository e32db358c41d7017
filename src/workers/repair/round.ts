import { randomUUID } from 'node:crypto';
import { ClosedFolders } from '../../base/closed-folders.js';
import { Slicer } from '../../base/waiting.js';
import { inspectRootOf, judgeRoot } from '../../reconcile/project-root.js';
import { applyIntents } from '../../reconcile/repair/apply.js';
import { type Circumstances, Observer, plainCircumstances } from '../../reconcile/repair/observe.js';
import { type Action, type Fact, planOf } from '../../reconcile/repair/plan.js';
import { askGitAbout, openRun } from '../../reconcile/repair/repair-project.js';
import { countFiles } from '../../store/files.js';
import { type FileTrace, tracesAfter } from '../../store/traces.js';
import type { IndexDatabase } from '../../store/index-database.js';
import { dropFailedAlike, endRun, owedFiles } from '../../store/journal.js';
import type { Project } from '../../store/projects.js';
import type { WorkerHost } from '../host.js';
import type { RoundMemory } from './round-memory.js';

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
  memory: RoundMemory;
}

/**
 * One round of the background worker over one project: batchSize rows a step, and between two steps
 * everybody else gets a turn. It does only what is proven safe: nothing while the root is in doubt or the
 * brake would stop the watcher, and missing files are left to a watcher that is running.
 */
export async function repairRound(context: RoundContext): Promise<RoundOutcome> {
  const { host, index, project, batchSize, memory } = context;
  const outcome: RoundOutcome = { checked: 0, repaired: 0, skipped: 0, halted: null };
  const counts = countFiles(index, project.id);
  const owed = owedFiles(index, project.id);
  const { isLeftByGit } = await askGitAbout(index, project, inspectRootOf(index, project), host.signal);
  const circumstances: Circumstances = {
    ...plainCircumstances,
    isLeftByGit,
    knownProblem: (id, sha256) => memory.knownProblem(id, sha256),
    isUnderRepair: (id) => owed.has(id),
  };
  const slicer = new Slicer(host.signal, 5);
  const found: Found = { wanted: [], missing: 0 };
  for (let after: string | null = null; ;) {
    const rows = tracesAfter(index, project.id, after, batchSize);
    after = rows.at(-1)?.path ?? after;
    find(context, circumstances, rows, found, outcome);
    outcome.checked += rows.length;
    host.report(`checking ${project.rootDir}`, outcome.checked, counts.total);
    await slicer.breathe();
    if (rows.length < batchSize) break;
  }
  const judgement = judgeRoot(inspectRootOf(index, project), found.missing, counts.active);
  outcome.halted = judgement.kind === 'sound' ? null : judgement.reason;
  if (outcome.halted !== null) outcome.skipped += found.wanted.length;
  else if (found.wanted.length > 0) await act(context, circumstances, found.wanted, outcome);
  return outcome;
}

interface Found {
  wanted: Action[];
  /** Files that are neither marked nor there. */
  missing: number;
}

/** Looks at some rows, and adds the actions that they need; what is not safe here is counted as skipped. */
function find(
  { index, project, isWatched, memory }: RoundContext,
  circumstances: Circumstances,
  rows: readonly FileTrace[],
  found: Found,
  outcome: RoundOutcome,
): void {
  const observer = new Observer(index, project, circumstances);
  const facts = rows.map((row) => observer.fact(row));
  const plan = planOf(facts, { rootDoubt: null, force: false });
  // Rendering a tree costs the most: what was found unrestorable is not rendered again until it changes.
  for (const { id, sha256, tree } of facts) {
    if (tree !== null && tree !== 'renders') memory.noteUnrestorable(id, sha256);
  }
  found.missing += facts.filter(isMissing).length;
  outcome.skipped += plan.unrestorable.length + plan.conflicts.length + plan.unknown.length;
  const now = performance.now();
  const safe = plan.actions.filter(
    (action) => (action.verdict === 'clear_deleted' || !isWatched()) && !memory.isResting(action, now),
  );
  outcome.skipped += plan.actions.length - safe.length;
  found.wanted.push(...safe);
}

function isMissing(fact: Fact): boolean {
  return !fact.deleted && !fact.ignored && !fact.leftByGit && fact.inProject === 'absent';
}

async function act(
  { host, index, project, batchSize, memory }: RoundContext,
  circumstances: Circumstances,
  wanted: readonly Action[],
  outcome: RoundOutcome,
): Promise<void> {
  const run = { runId: randomUUID(), projectId: project.id };
  const now = Date.now;
  const { rootDir } = project;
  const intents = await index.write(() =>
    openRun(index, { ...run, origin: 'worker' }, project, wanted, now()),
  );
  const closed = new ClosedFolders();
  const context = {
    index,
    project,
    run,
    closed,
    isRecovery: false,
    circumstances,
    now,
    signal: host.signal,
    rootDoubt: null,
    force: false,
    progress: (done: number, total: number) => host.report(`repairing ${rootDir}`, done, total),
  };
  try {
    for (let start = 0; start < intents.length; start += batchSize) {
      const applied = await applyIntents(context, intents.slice(start, start + batchSize));
      outcome.repaired += applied.done.length;
      outcome.skipped += applied.conflicts.length + applied.errors.length;
      for (const action of applied.done) memory.noteDone(action);
      for (const action of applied.failed) memory.noteFailed(action, performance.now());
      for (const error of applied.errors) host.log('error', error);
    }
  } finally {
    await closed.close(rootDir);
  }
  const message = `${outcome.repaired} of ${wanted.length} repaired`;
  await index.write(() => {
    endRun(index, run, 'done', message, now());
    dropFailedAlike(index, run);
  });
  host.log('info', `${rootDir}: ${message}`);
}
