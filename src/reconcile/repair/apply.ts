import type { ClosedFolders } from '../../base/closed-folders.js';
import { CodekeepError, messageOf, reasonOf } from '../../base/errors.js';
import { type FilePlacer, placementsAtOnce } from '../../base/file-placer.js';
import { PinnedFolder } from '../../base/pinned-folder.js';
import { presenceAt } from '../../base/presence.js';
import { type FileStamp, stampOf } from '../../base/stamp.js';
import { sha256 } from '../../base/hash.js';
import { forEachLimited } from '../../base/waiting.js';
import { clearDeleted, fileByPath, type FileRow, markDeleted, setCopyProblem } from '../../store/files.js';
import { type IndexDatabase, isDiskFull } from '../../store/index-database.js';
import { type ActionState, endIntents, recordOutcome, type RunKey } from '../../store/journal.js';
import type { Project } from '../../store/projects.js';
import { traceOf } from '../../store/traces.js';
import { imageOf } from '../image.js';
import { moveBack } from '../move-back.js';
import { readWhole } from '../index-file.js';
import { openProjectPlacer } from '../project-placer.js';
import { markRevived, removePlaced } from '../restore.js';
import { contentHashAt, imageInVersions, VersionStore } from '../version-store.js';
import { type Circumstances, Observer } from './observe.js';
import { type Action, judge, type PlanContext, type Refusal, type Target } from './plan.js';

/** Actions under one transaction: a stop or a cancel waits for one batch at most. */
const batchActions = 100;

export interface ApplyOutcome {
  done: Action[];
  conflicts: Refusal[];
  errors: string[];
  /** Whatever was not done, for whatever reason. */
  failed: Action[];
}

export interface ApplyContext extends PlanContext {
  index: IndexDatabase;
  project: Project;
  run: RunKey;
  circumstances: Circumstances;
  /** Folders of the project that get their mode after the last batch, and when all was read back. */
  closed: ClosedFolders;
  now: () => number;
  signal: AbortSignal;
  progress: (done: number, total: number) => void;
}

/** An action with its row of the journal, whose state is `intent`. */
export interface Intent {
  action: Action;
  journalId: number;
}

type Outcome = { state: ActionState; detail: string | null; stamp: FileStamp | null };

/**
 * Executes intents of the journal, batch by batch: look again → act → outcomes and marks in one transaction. Killed
 * at any instant, what is on disk is whole files, and the intents that are left say what is still to be done.
 * A cancel takes effect between two batches.
 */
export async function applyIntents(context: ApplyContext, intents: readonly Intent[]): Promise<ApplyOutcome> {
  const outcome: ApplyOutcome = { done: [], conflicts: [], errors: [], failed: [] };
  context.progress(0, intents.length);
  try {
    for (let next = 0; next < intents.length; next += batchActions) {
      context.signal.throwIfAborted();
      const before = next;
      await applyBatch(context, intents.slice(next, next + batchActions), outcome, (tried) =>
        context.progress(before + tried, intents.length),
      );
    }
  } catch (error) {
    const { aborted, reason } = context.signal;
    // Without a canceller the whole process has to end: the next start goes on.
    if (!aborted || reason instanceof CodekeepError)
      await context.index.write(() => endIntents(context.index, context.run, 'it was not tried'));
    throw error;
  }
  return outcome;
}

async function applyBatch(
  context: ApplyContext,
  batch: readonly Intent[],
  total: ApplyOutcome,
  onTried: (count: number) => void,
): Promise<void> {
  const { index, run } = context;
  const observer = new Observer(index, context.project, context.circumstances);
  const placers = new Placers(index, context.project, context.closed);
  const outcomes = new Map<Intent, Outcome>();
  try {
    await forEachLimited(batch, placementsAtOnce, async (intent) => {
      const token = temporaryToken(run, intent.journalId);
      outcomes.set(intent, await act(context, observer, placers, intent.action, token));
      onTried(outcomes.size);
    });
  } finally {
    // Folders are durable before the journal says that their files are.
    await placers.finish().catch(notDurable);
  }
  await index.write(() => {
    for (const intent of batch) {
      const { action, journalId } = intent;
      const { state, detail } = settle(context, action, outcomes.get(intent));
      recordOutcome(index, journalId, state, detail);
      if (state !== 'done') total.failed.push(action);
      if (state === 'done') total.done.push(action);
      else if (state === 'conflict')
        total.conflicts.push({ id: action.id, path: action.path, reason: detail ?? '' });
      else total.errors.push(`${action.path}: ${detail ?? 'failed'}`);
    }
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
export function temporaryToken(run: RunKey, journalId: number): string {
  return `${run.runId.slice(0, 8)}-${journalId}`;
}

/** One placer per target, opened by the first file that needs it. */
class Placers {
  readonly versions: VersionStore;
  readonly #index: IndexDatabase;
  readonly #project: Project;
  readonly #closed: ClosedFolders;
  readonly #open = new Map<Target, Promise<FilePlacer>>();

  constructor(index: IndexDatabase, project: Project, closed: ClosedFolders) {
    this.versions = new VersionStore(index, project);
    this.#index = index;
    this.#project = project;
    this.#closed = closed;
  }

  async to(target: Target): Promise<FilePlacer> {
    let opening = this.#open.get(target);
    if (opening === undefined) {
      opening =
        target === 'versions'
          ? this.versions.openPlacer()
          : openProjectPlacer(this.#index, this.#project, this.#closed);
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
    if (row === undefined) return conflict('its row is gone');
    const { verdict, reason, how } = judge(observer.fact(traceOf(row)), context);
    if (verdict !== action.verdict) {
      const stamp = action.targets.includes('project') ? stampIfThere(context.project, row) : null;
      if (stamp !== null || (action.verdict === 'restore_from_cst' && verdict === 'ok'))
        return { state: 'done', detail: 'it was there already', stamp };
      return conflict(`it changed meanwhile: ${reason || verdict}`);
    }
    const targets = how?.targets ?? [];
    const stamp =
      targets.length > 0 ? await placeAll(context, placers, { ...action, ...how }, row, token) : null;
    return { state: 'done', detail: null, stamp };
  } catch (error) {
    return { ...outcomeOf(error), stamp: null };
  }
}

/** Where a run was cut off just before it could say that it had placed a file. */
function stampIfThere(project: Project, row: FileRow): FileStamp | null {
  if (row.sha256 === null) return null;
  const reading = readWhole(`${project.rootDir}/${row.path}`, row.size);
  if (reading.kind !== 'content' || reading.stamp.mode !== row.mode) return null;
  return sha256(reading.bytes) === row.sha256 ? reading.stamp : null;
}

function conflict(detail: string): Outcome {
  return { state: 'conflict', detail, stamp: null };
}

/** Gives the stamp of what was placed in the project, by the descriptor that it was written through. */
async function placeAll(
  context: ApplyContext,
  placers: Placers,
  action: Action,
  row: FileRow,
  token: string,
): Promise<FileStamp | null> {
  const { index, now } = context;
  const { versions } = placers;
  if (action.source === 'versions' && row.sha256 === null && row.kind === 'file')
    return await moveBack(versions, await placers.to('project'), row, now());
  const image = action.source === 'tree' ? imageOf(index, row) : imageInVersions(versions, row);
  if ('problem' in image) throw new Error(image.problem);
  let stamp: FileStamp | null = null;
  let kept: FileStamp | null = null;
  try {
    for (const target of action.targets) {
      const placer = await placers.to(target);
      if (target === 'versions') kept = await versions.keep(placer, row.path, image, now(), token);
      else stamp = await placer.place(row.path, image, token);
    }
  } catch (error) {
    // All or nothing: a file that is in versions only would look like a deletion to the next plan.
    if (kept !== null) await takeCopyBack(versions, row, kept, now());
    throw error;
  }
  return stamp;
}

async function takeCopyBack(
  versions: VersionStore,
  row: FileRow,
  stamp: FileStamp,
  now: number,
): Promise<void> {
  const root = await PinnedFolder.open(versions.root);
  try {
    await removePlaced(root, row, stamp, now);
  } finally {
    await root.close();
  }
}

/** How a failure goes into the journal. */
export function outcomeOf(error: unknown): Pick<Outcome, 'state' | 'detail'> {
  if (error instanceof CodekeepError) return { state: 'conflict', detail: error.message };
  if (isDiskFull(error)) {
    return { state: 'failed', detail: 'the disk is full: free some space, then repair again' };
  }
  return { state: 'failed', detail: reasonOf(error) };
}

/** The marks that go with a finished action, in the transaction that records it. */
function settle(
  context: ApplyContext,
  action: Action,
  outcome: Outcome | undefined,
): Pick<Outcome, 'state' | 'detail'> {
  if (outcome === undefined) return { state: 'failed', detail: 'it was not tried' };
  if (outcome.state !== 'done') return outcome;
  const { index, project } = context;
  const row = fileByPath(index, project.id, action.path);
  if (row === undefined) return { state: 'conflict', detail: 'its row is gone' };
  if (action.verdict === 'clear_deleted') clearDeleted(index, row.id, context.now());
  else if (action.verdict === 'set_deleted')
    markDeleted(index, row.id, action.cause ?? 'repair', context.now());
  else if (outcome.stamp !== null) markRevived(index, project.id, row, outcome.stamp, context.now());
  else setCopyProblem(index, row.id, null);
  return outcome;
}

/**
 * Reads back what was done: rows that were acted on must have nothing left to do, and files that were
 * written must have their hash and mode. Gives what is not so.
 */
export function verifyActions(
  context: Pick<ApplyContext, 'index' | 'project'> & PlanContext,
  done: readonly Action[],
): string[] {
  const { index, project } = context;
  const observer = new Observer(index, project);
  const problems: string[] = [];
  for (const action of done) {
    const row = fileByPath(index, project.id, action.path);
    const verdict = row === undefined ? 'gone' : judge(observer.fact(traceOf(row)), context).verdict;
    // What git left and the index cannot give is marked all the same.
    const isMarked = action.verdict === 'set_deleted' && verdict === 'unrestorable';
    if (verdict !== 'ok' && verdict !== 'changed' && !isMarked)
      problems.push(`${action.path}: is ${verdict} after its repair`);
    for (const target of action.targets) {
      // Somebody has written it since, and that is theirs.
      if (target === 'project' && verdict === 'changed') continue;
      if (row === undefined || !hasImage(placeOf(context, target, action.path), row))
        problems.push(`${action.path}: ${target} does not read back as written`);
    }
  }
  return problems;
}

function placeOf(
  { index, project }: Pick<ApplyContext, 'index' | 'project'>,
  target: Target,
  path: string,
): string {
  return target === 'versions' ? new VersionStore(index, project).pathOf(path) : `${project.rootDir}/${path}`;
}

/** True when exactly what the row says stands there: its kind, bytes and permission bits. */
export function hasImage(absolute: string, row: Pick<FileRow, 'kind' | 'size' | 'sha256' | 'mode'>): boolean {
  try {
    const presence = presenceAt(absolute);
    if (row.kind === 'folder') return presence === 'directory';
    if (row.kind === 'symlink')
      return presence === 'symlink' && contentHashAt(absolute, presence) === row.sha256;
    const stamp = stampOf(absolute);
    if (stamp?.mode !== row.mode) return false;
    // What is too large to be in the index was hashed when it was moved back.
    return row.sha256 === null ? stamp.size === row.size : contentHashAt(absolute, presence) === row.sha256;
  } catch {
    return false;
  }
}
