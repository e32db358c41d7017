import { dirname } from 'node:path';
import { ClosedFolders } from '../../base/closed-folders.js';
import type { Work } from '../../base/progress.js';
import type { FileRow } from '../../store/files.js';
import type { IndexDatabase } from '../../store/index-database.js';
import {
  beginRun,
  dropIntents,
  owedFiles,
  recordIntent,
  type RunKey,
  type RunOrigin,
} from '../../store/journal.js';
import { noteVersionDir, type Project, setRoot } from '../../store/projects.js';
import { headMarks } from '../../store/repositories.js';
import { rulesOf } from '../bounds.js';
import { type IsLeftByGit, leftByGit } from '../git-left.js';
import type { IgnoreRules } from '../ignore-rules.js';
import { nestedIn, type ProjectGit, readGitBelow } from '../project-git.js';
import { inspectRootOf, isStillRoot, judgeRoot, type RootState } from '../project-root.js';
import { applyIntents, type ApplyOutcome, verifyActions } from './apply.js';
import { concluding, endEarly, type Intent } from './batches.js';
import { type Circumstances, type Observation, observeProject, plainCircumstances } from './observe.js';
import { type Action, type Plan, type PlanContext, planOf } from './plan.js';

/** What planning needs: it only reads. */
export interface PlanOptions extends Work {
  index: IndexDatabase;
  /** Missing files shall come back although the root folder is not the one that was registered. */
  force: boolean;
  /** What a watcher marked deleted since then counts as lost; milliseconds since 1970, null: nothing does. */
  deletedSince: number | null;
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
  circumstances: Circumstances;
  plan: Plan;
}

/** observe → plan. Writes nothing. */
export async function planRepair(options: PlanOptions, project: Project): Promise<PlannedRepair> {
  const { index, signal, force, deletedSince } = options;
  const root = inspectRootOf(index, project);
  const { git, isLeftByGit } = await askGitAbout(index, project, root, signal);
  // A copy that the last repair placed before it failed is no sign of a deletion either.
  const owed = owedFiles(index, project.id);
  const circumstances = {
    ...plainCircumstances,
    isLeftByGit,
    isIgnored: git === null ? () => true : ignoredNow(index, project, git),
    isWanted: wantedSince(deletedSince),
    isUnderRepair: (id: number) => owed.has(id),
  };
  const progress = (done: number, total: number): void => options.progress('observe', done, total);
  const observation = await observeProject(index, project, circumstances, progress, signal);
  const context = { rootDoubt: force ? awayReason(root) : rootDoubt(root, observation), force };
  const plan = planOf(observation.facts, context, observation.present);
  return { project, root, context, circumstances, plan };
}

/** What git says of a project, and what it took out of it; null where the root is away: nothing is known to be git's doing then. */
export async function askGitAbout(
  index: IndexDatabase,
  project: Project,
  root: RootState,
  signal: AbortSignal,
): Promise<{ git: ProjectGit | null; isLeftByGit: IsLeftByGit }> {
  const heads = headMarks(index, project.id);
  const git =
    root.kind === 'unavailable' ? null : await readGitBelow(project.rootDir, nestedIn(heads), signal);
  return { git, isLeftByGit: await leftByGit(project.rootDir, heads, git, signal) };
}

/** What rules ignored when somebody last looked may be content again, and lost. */
function ignoredNow(index: IndexDatabase, project: Project, git: ProjectGit): (path: string) => boolean {
  let rules: IgnoreRules | null = null;
  return (path) => {
    rules ??= rulesOf({ index, project, stateDir: dirname(index.path) }, git);
    return rules.ignoresPath(path, false);
  };
}

/** A watcher's marks; what somebody asked for, and what git did, was meant. */
export function wantedSince(since: number | null): (row: FileRow) => boolean {
  if (since === null) return () => false;
  return ({ deletedAt, cause }) => (deletedAt ?? 0) >= since && (cause === 'seen' || cause === 'unseen');
}

function awayReason(root: RootState): string | null {
  return root.kind === 'unavailable' ? root.reason : null;
}

/**
 * Why missing files prove nothing, or null. A folder that was registered and is empty is no reason: the files are gone,
 * and this is what a repair is for.
 */
export function rootDoubt(root: RootState, { facts, present }: Observation): string | null {
  const unmarked = facts.filter(({ deleted, ignored }) => !deleted && !ignored);
  const missing = unmarked.filter(({ inProject }) => inProject === 'absent').length;
  const judgement = judgeRoot(root, missing, present.ok + present.changed + unmarked.length);
  return judgement.kind === 'doubtful' ? judgement.reason : null;
}

/** Writes a run with its whole plan into the journal, before its first action; call it inside a transaction. */
export function openRun(
  index: IndexDatabase,
  run: RunKey & { origin: RunOrigin },
  { rootDir, versionDir }: Project,
  actions: readonly Action[],
  now: number,
): Intent<Action>[] {
  beginRun(index, { ...run, rootDir, versionDir }, now);
  noteVersionDir(index, versionDir);
  return actions.map((action) => ({ action, journalId: recordIntent(index, run, action) }));
}

/** A plan that is in the journal: from now on a run that is cut off is finished at the next start. */
export interface OpenedRepair extends PlannedRepair {
  intents: Intent<Action>[];
}

/** Writes the plans of all projects into the journal at once. */
export async function openRepair(
  options: RepairOptions,
  planned: readonly PlannedRepair[],
): Promise<OpenedRepair[]> {
  const { index, now } = options;
  return await index.write(() =>
    planned.map((one) => {
      const { project, plan, root, context } = one;
      if (root.kind === 'replaced' && context.rootDoubt === null && isStillRoot(root, project))
        setRoot(index, project, root.mark);
      const run = { runId: options.runId, projectId: project.id, origin: options.origin };
      return { ...one, intents: openRun(index, run, project, plan.actions, now()) };
    }),
  );
}

/** Nothing of it is done. */
export async function abandonRepair(
  options: RepairOptions,
  opened: readonly OpenedRepair[],
  error: unknown,
): Promise<void> {
  for (const { project } of opened) {
    const run = { runId: options.runId, projectId: project.id };
    await options.index.write(() => dropIntents(options.index, run));
    await endEarly(options, run, error);
  }
}

/** apply → verify, under the journal, which has the whole plan before the first action. */
export async function executeRepair(options: RepairOptions, opened: OpenedRepair): Promise<ApplyOutcome> {
  const { project, plan, context, circumstances, intents } = opened;
  const run = { runId: options.runId, projectId: project.id };
  const closed = new ClosedFolders();
  const progress = (done: number, total: number): void => options.progress('apply', done, total);
  const applying = {
    ...options,
    ...context,
    project,
    run,
    circumstances,
    closed,
    isRecovery: false,
    progress,
  };
  const work = async (): Promise<ApplyOutcome> => {
    const outcome = await applyIntents(applying, intents);
    options.progress('verify', 0, outcome.done.length);
    outcome.errors = outcome.errors.concat(await verifyActions(applying, outcome.done));
    return outcome;
  };
  try {
    return await concluding(options, run, work, (outcome) => summaryOf(plan, outcome));
  } finally {
    await closed.close(project.rootDir);
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
