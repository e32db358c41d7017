import { readFileSync } from 'node:fs';
import { CodekeepError, messageOf } from '../../base/errors.js';
import { FilePlacer } from '../../base/file-placer.js';
import { sha256 } from '../../base/hash.js';
import { PinnedFolder } from '../../base/pinned-folder.js';
import { forEachLimited } from '../../base/waiting.js';
import { clearDeleted, fileByPath, type FileRow, markDeleted, traceOf } from '../../store/files.js';
import { type IndexDatabase, isDiskFull } from '../../store/index-database.js';
import { type ActionState, recordIntent, recordOutcome, type RunKey } from '../../store/journal.js';
import type { Project } from '../../store/projects.js';
import { imageOf } from '../image.js';
import { markRestored, takeBack } from '../restore.js';
import { VersionStore } from '../version-store.js';
import { stampOf } from '../../base/stamp.js';
import { Observer } from './observe.js';
import { type Action, judge, type PlanContext, type Refusal, type Target } from './plan.js';

/** Actions under one pair of transactions: a stop or a cancel waits for one batch at most. */
const batchActions = 100;
/** Rows of the journal written in one transaction. */
const untriedRows = 1_000;
/** Files written at once: an fsync is a wait for the disk, and these overlap. libuv has four threads. */
const writesAtOnce = 4;

export interface ApplyOutcome {
  done: Action[];
  conflicts: Refusal[];
  errors: string[];
}

export interface ApplyContext extends PlanContext {
  index: IndexDatabase;
  project: Project;
  run: RunKey;
  now: () => number;
  signal: AbortSignal;
  progress: (done: number, total: number) => void;
}

type Outcome = { state: ActionState; detail: string | null };

/**
 * Executes a plan under the journal, batch by batch: intents → look again → act → outcomes and marks in one
 * transaction. Killed at any instant, what is on disk is whole files, and the next plan finds what is left.
 * A cancel takes effect between two batches.
 */
export async function applyPlan(context: ApplyContext, actions: readonly Action[]): Promise<ApplyOutcome> {
  const outcome: ApplyOutcome = { done: [], conflicts: [], errors: [] };
  let next = 0;
  context.progress(0, actions.length);
  try {
    while (next < actions.length) {
      context.signal.throwIfAborted();
      const batch = actions.slice(next, next + batchActions);
      const before = next;
      next += batch.length;
      await applyBatch(context, batch, outcome, (tried) => context.progress(before + tried, actions.length));
    }
  } catch (error) {
    const { aborted, reason } = context.signal;
    // Without a canceller the whole process has to end: the next start goes on.
    if (!aborted || reason instanceof CodekeepError) await recordUntried(context, actions.slice(next));
    throw error;
  }
  return outcome;
}

/** What was planned and not come to: until a later repair has done it, its absence is no deletion. */
async function recordUntried({ index, run }: ApplyContext, actions: readonly Action[]): Promise<void> {
  for (let start = 0; start < actions.length; start += untriedRows) {
    await index.write(() => {
      for (const action of actions.slice(start, start + untriedRows)) {
        const id = recordIntent(index, run, { ...action, fileId: action.id });
        recordOutcome(index, id, 'failed', 'it was not tried');
      }
    });
  }
}

async function applyBatch(
  context: ApplyContext,
  batch: readonly Action[],
  total: ApplyOutcome,
  onTried: (count: number) => void,
): Promise<void> {
  const { index, run } = context;
  const ids = await index.write(() =>
    batch.map((action) => recordIntent(index, run, { ...action, fileId: action.id })),
  );
  const observer = new Observer(index, context.project);
  const placers = new Placers(context.project);
  const outcomes = new Map<Action, Outcome>();
  try {
    const jobs = batch.map((action, position) => ({
      action,
      token: temporaryToken(run, ids[position] ?? 0),
    }));
    await forEachLimited(jobs, writesAtOnce, async ({ action, token }) => {
      outcomes.set(action, await act(context, observer, placers, action, token));
      onTried(outcomes.size);
    });
  } finally {
    // Folders are durable before the journal says that their files are.
    await placers.finish().catch(notDurable);
  }
  await index.write(() => {
    batch.forEach((action, position) => {
      const { state, detail } = settle(context, action, outcomes.get(action));
      recordOutcome(index, ids[position] ?? 0, state, detail);
      if (state === 'done') total.done.push(action);
      else if (state === 'conflict')
        total.conflicts.push({ id: action.id, path: action.path, reason: detail ?? '' });
      else total.errors.push(`${action.path}: ${detail ?? 'failed'}`);
    });
  });
}

function notDurable(error: unknown): never {
  throw new CodekeepError(
    'REPAIR_DATABASE_ERROR',
    `What was written could not be made durable: ${messageOf(error)}.`,
    'Check the disk, then repair again. Nothing that was there before is lost.',
  );
}

/** Names an action's temporary files, so that a run that was cut off can be cleaned up after. */
export function temporaryToken(run: RunKey, actionId: number): string {
  return `${run.runId.slice(0, 8)}-${actionId}`;
}

/** One placer per target, opened by the first file that needs it. */
class Placers {
  readonly #project: Project;
  readonly #open = new Map<Target, Promise<FilePlacer>>();

  constructor(project: Project) {
    this.#project = project;
  }

  async to(target: Target): Promise<FilePlacer> {
    let opening = this.#open.get(target);
    if (opening === undefined) {
      opening =
        target === 'versions'
          ? new VersionStore(this.#project).openPlacer()
          : PinnedFolder.open(this.#project.rootDir).then((root) => new FilePlacer(root));
      this.#open.set(target, opening);
    }
    return await opening;
  }

  async finish(): Promise<void> {
    // One that could not be opened was told to each action that needed it, and has nothing to finish.
    for (const opening of this.#open.values())
      await opening.then(
        (placer) => placer.finish(),
        () => undefined,
      );
  }
}

/** Looks again, then acts; every failure becomes an outcome, because the other actions have to go on. */
async function act(
  context: ApplyContext,
  observer: Observer,
  placers: Placers,
  action: Action,
  token: string,
): Promise<Outcome> {
  try {
    const row = fileByPath(context.index, context.project.id, action.path);
    if (row === undefined) return { state: 'conflict', detail: 'its row is gone' };
    const { verdict, reason } = judge(observer.fact(traceOf(row)), context);
    if (verdict !== action.verdict)
      return { state: 'conflict', detail: `it changed meanwhile: ${reason || verdict}` };
    if (action.verdict === 'restore_from_cst') await restore(context, placers, action, row, token);
    return { state: 'done', detail: null };
  } catch (error) {
    return outcomeOf(error);
  }
}

async function restore(
  context: ApplyContext,
  placers: Placers,
  action: Action,
  row: FileRow,
  token: string,
): Promise<void> {
  const image = imageOf(context.index, row);
  if ('problem' in image) throw new Error(image.problem);
  const placed: { absolute: string; ino: string }[] = [];
  try {
    for (const target of action.targets) {
      await (await placers.to(target)).place(action.path, image, token);
      const absolute = placeOf(context.project, target, action.path);
      placed.push({ absolute, ino: stampOf(absolute)?.ino ?? '' });
    }
  } catch (error) {
    // All or nothing: a file that is in versions only would look like a deletion to the next plan.
    for (const { absolute, ino } of placed) takeBack(absolute, ino);
    throw error;
  }
}

function placeOf(project: Project, target: Target, path: string): string {
  return target === 'versions' ? new VersionStore(project).pathOf(path) : `${project.rootDir}/${path}`;
}

/** How a failure goes into the journal. */
export function outcomeOf(error: unknown): Outcome {
  if (error instanceof CodekeepError) return { state: 'conflict', detail: error.message };
  if (isDiskFull(error)) {
    return { state: 'failed', detail: 'the disk is full: free some space, then repair again' };
  }
  return { state: 'failed', detail: messageOf(error) };
}

/** The marks that go with a finished action, in the transaction that records it. */
function settle(context: ApplyContext, action: Action, outcome: Outcome | undefined): Outcome {
  if (outcome === undefined) return { state: 'failed', detail: 'it was not tried' };
  if (outcome.state !== 'done') return outcome;
  const { index, project } = context;
  const row = fileByPath(index, project.id, action.path);
  if (row === undefined) return { state: 'conflict', detail: 'its row is gone' };
  if (action.verdict === 'clear_deleted') clearDeleted(index, row.id, context.now());
  else if (action.verdict === 'set_deleted') markDeleted(index, row.id, 'repair', context.now());
  else if (action.targets.includes('project')) markRestored(index, project, row, context.now());
  return outcome;
}

/**
 * Reads back what was done: rows that were acted on must have nothing left to do, and files that were
 * written must have their hash and mode. Gives what is not so.
 */
export function verifyActions(
  index: IndexDatabase,
  project: Project,
  done: readonly Action[],
  context: PlanContext,
): string[] {
  const observer = new Observer(index, project);
  const problems: string[] = [];
  for (const action of done) {
    const row = fileByPath(index, project.id, action.path);
    const verdict = row === undefined ? 'gone' : judge(observer.fact(traceOf(row)), context).verdict;
    if (verdict !== 'ok' && verdict !== 'changed')
      problems.push(`${action.path}: is ${verdict} after its repair`);
    for (const target of action.targets) {
      if (!hasImage(placeOf(project, target, action.path), action.sha256, action.mode))
        problems.push(`${action.path}: ${target} does not read back as written`);
    }
  }
  return problems;
}

/** True when a regular file has exactly these bytes and permission bits. */
export function hasImage(absolute: string, hash: string | null, mode: number): boolean {
  try {
    return stampOf(absolute)?.mode === mode && sha256(readFileSync(absolute)) === hash;
  } catch {
    return false;
  }
}
