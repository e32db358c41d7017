import { CodekeepError, messageOf, reasonOf } from '../../base/errors.js';
import { placementsAtOnce } from '../../base/file-placer.js';
import type { FileStamp } from '../../base/stamp.js';
import { forEachLimited, Slicer } from '../../base/waiting.js';
import { type IndexDatabase } from '../../store/index-database.js';
import { isDiskFull } from '../../store/sqlite-errors.js';
import {
  type ActionOutcome,
  type ActionState,
  endIntents,
  endRun,
  type NewAction,
  recordFolders,
  recordOutcome,
  type RunKey,
} from '../../store/journal.js';
import { type Placed, provenStamps } from '../proven-stamp.js';
import type { Refusal } from './plan.js';

/** Actions under one transaction: a stop or a cancel waits for one batch at most. */
const batchActions = 100;

/** What came of a run's actions. */
export interface RunOutcome<A> {
  done: A[];
  conflicts: Refusal[];
  errors: string[];
  /** Whatever was not done, for whatever reason. */
  failed: A[];
}

export interface BatchContext {
  index: IndexDatabase;
  run: RunKey;
  now: () => number;
  signal: AbortSignal;
  progress: (done: number, total: number) => void;
}

/** An action with its row of the journal, whose state is `intent`. */
export interface Intent<A> {
  action: A;
  journalId: number;
}

/** What was done on disk; the stamp is of what was placed in the project. */
export interface Acted {
  state: ActionState;
  detail: string | null;
  stamp: FileStamp | null;
}

/** What a kind of run does; one object a batch. */
export interface Batch<A> {
  /** Looks again, then acts. An error is an outcome: the other actions have to go on. */
  act: (action: A, token: string) => Promise<Acted>;
  /** Makes what was done durable. Gives the folders that were made for it in the project. */
  finish: () => Promise<readonly string[]>;
  /** Where a file that was placed is, and what it has to have. */
  placedAs: (action: A) => Omit<Placed, 'stamp'>;
  /** Sets the marks that go with it, in the transaction that records it. */
  settle: (action: A, acted: Acted, at: number) => ActionOutcome;
}

/**
 * Executes intents of the journal, batch by batch: look again → act → outcomes and marks in one transaction. Killed
 * at any instant, what is on disk is whole files, and the intents that are left say what is still to be done.
 * A batch is made durable and settled while the next one is acted on. A cancel takes effect between two batches.
 */
export async function inBatches<A extends NewAction>(
  context: BatchContext,
  intents: readonly Intent<A>[],
  open: () => Batch<A>,
): Promise<RunOutcome<A>> {
  const outcome: RunOutcome<A> = { done: [], conflicts: [], errors: [], failed: [] };
  context.progress(0, intents.length);
  let settling = Promise.resolve();
  try {
    for (let next = 0; next < intents.length; next += batchActions) {
      context.signal.throwIfAborted();
      const before = next;
      const batch = open();
      const some = intents.slice(next, next + batchActions);
      const acted = await actAll(context, batch, some, (tried) =>
        context.progress(before + tried, intents.length),
      );
      await settling.catch(async (error: unknown) => {
        // It lets go of its folders; that what it did is not noted is said already.
        await batch.finish().catch(() => undefined);
        throw error;
      });
      // Folders wait for the disk, and a proof for the kernel's clock: meanwhile the next batch is placed.
      settling = settle(context, batch, some, acted, outcome).catch(notNoted);
      settling.catch(() => undefined);
    }
    await settling;
  } catch (error) {
    // What was done and could not be noted is still to be done, for all that the journal says: it is looked at again.
    await settling;
    if (!isEnding(context.signal) && !(error instanceof NotNoted))
      await context.index.write(() => endIntents(context.index, context.run, notTried));
    throw error;
  }
  return outcome;
}

/** A run that stays open: whoever looks at it next finishes it. */
class NotNoted extends CodekeepError {}

function notNoted(error: unknown): never {
  if (error instanceof NotNoted) throw error;
  throw new NotNoted(
    'REPAIR_DATABASE_ERROR',
    `What was done could not be noted in the index: ${messageOf(error)}.`,
    'Nothing is lost. Look into the disk of the state directory; then call it again, which finishes what was begun first.',
  );
}

/** Aborted without a canceller, the whole process has to end: the next start goes on. */
function isEnding({ aborted, reason }: AbortSignal): boolean {
  return aborted && !(reason instanceof CodekeepError);
}

/**
 * Looks at what was done, in slices. A cancellation comes too late for it: all was done.
 * @returns what is not so
 */
export async function verifyEach<A>(
  done: readonly A[],
  signal: AbortSignal,
  problemsOf: (action: A) => readonly string[],
): Promise<string[]> {
  const slicer = new Slicer();
  const problems: string[] = [];
  for (const action of done) {
    if (isEnding(signal)) signal.throwIfAborted();
    problems.push(...problemsOf(action));
    await slicer.breathe();
  }
  return problems;
}

const notTried = 'it was not tried';

/** What was done for each. */
async function actAll<A extends NewAction>(
  { run }: BatchContext,
  batch: Batch<A>,
  intents: readonly Intent<A>[],
  onTried: (count: number) => void,
): Promise<Map<Intent<A>, Acted>> {
  const acted = new Map<Intent<A>, Acted>();
  await forEachLimited(intents, placementsAtOnce, async (intent) => {
    const token = temporaryToken(run, intent.journalId);
    acted.set(
      intent,
      await batch.act(intent.action, token).catch((error: unknown) => ({ ...failureOf(error), stamp: null })),
    );
    onTried(acted.size);
  });
  return acted;
}

async function settle<A extends NewAction>(
  { index, run, now }: BatchContext,
  batch: Batch<A>,
  intents: readonly Intent<A>[],
  acted: Map<Intent<A>, Acted>,
  total: RunOutcome<A>,
): Promise<void> {
  // Folders are durable before the journal says that their files are.
  const folders = await batch.finish().catch(notDurable);
  await prove(batch, acted);
  await index.write(() => {
    // The journal and the rows have the same time: so an undo sees whether anybody has written a row since.
    const at = now();
    recordFolders(index, run, folders);
    for (const intent of intents) {
      const { action, journalId } = intent;
      const outcome = settled(batch, action, acted.get(intent), at);
      recordOutcome(index, journalId, outcome, at);
      note(total, action, outcome);
    }
  });
}

/** What somebody has made of a file since it had its name is not what was placed. */
async function prove<A>(batch: Batch<A>, acted: Map<Intent<A>, Acted>): Promise<void> {
  const entries = [...acted].flatMap(([intent, one]) =>
    one.stamp === null ? [] : [{ one, placed: { ...batch.placedAs(intent.action), stamp: one.stamp } }],
  );
  const stamps = await provenStamps(entries.map(({ placed }) => placed));
  for (const [position, { one }] of entries.entries()) one.stamp = stamps[position] ?? one.stamp;
}

function settled<A>(batch: Batch<A>, action: A, acted: Acted | undefined, at: number): ActionOutcome {
  if (acted?.state === 'done') return batch.settle(action, acted, at);
  const { state, detail } = acted ?? { state: 'failed', detail: notTried };
  return { state, detail, marks: null, placed: null };
}

function note<A extends NewAction>(
  total: RunOutcome<A>,
  action: A,
  { state, detail }: Pick<ActionOutcome, 'state' | 'detail'>,
): void {
  if (state === 'done') return void total.done.push(action);
  total.failed.push(action);
  const { id, path } = action;
  if (state === 'conflict') total.conflicts.push({ id, path, reason: detail ?? '' });
  else total.errors.push(`${path}: ${detail ?? 'failed'}`);
}

/**
 * Ends a run that did not come to its end, and says why; cancelled, or failed. Without a canceller the whole process has to
 * end: then the run stays open, and the next start finishes it.
 */
export async function endEarly(
  { index, now, signal }: Pick<BatchContext, 'index' | 'now' | 'signal'>,
  run: RunKey,
  error: unknown,
): Promise<void> {
  if (isEnding(signal) || error instanceof NotNoted) return;
  await index.write(() => endRun(index, run, signal.aborted ? 'cancelled' : 'failed', String(error), now()));
}

/** Does what a run has in the journal, and ends it there, whatever comes of it. */
export async function concluding<A>(
  context: Pick<BatchContext, 'index' | 'now' | 'signal'>,
  run: RunKey,
  work: () => Promise<RunOutcome<A>>,
  summaryOf: (outcome: RunOutcome<A>) => string,
): Promise<RunOutcome<A>> {
  const { index, now } = context;
  try {
    const outcome = await work();
    const state = outcome.errors.length === 0 ? 'done' : 'failed';
    await index.write(() => endRun(index, run, state, summaryOf(outcome), now()));
    return outcome;
  } catch (error) {
    await endEarly(context, run, error);
    throw error;
  }
}

function notDurable(error: unknown): never {
  throw new NotNoted(
    'REPAIR_DATABASE_ERROR',
    `What was written could not be made durable: ${messageOf(error)}.`,
    'Check the disk, then do it again. Nothing that was there before is lost.',
  );
}

/** Names an action's temporary files, so that a run that was cut off can be cleaned up after. */
export function temporaryToken(run: RunKey, journalId: number): string {
  return `${run.runId.slice(0, 8)}-${journalId}`;
}

/** A person has to know which of two disks is full. */
export class VersionsFull extends Error {}

/** How a failure goes into the journal. */
function failureOf(error: unknown): Pick<ActionOutcome, 'state' | 'detail'> {
  if (error instanceof CodekeepError) return { state: 'conflict', detail: error.message };
  const full = error instanceof VersionsFull ? 'the disk of versions' : isDiskFull(error) ? 'the disk' : null;
  if (full !== null) return { state: 'failed', detail: `${full} is full: free some space, then do it again` };
  return { state: 'failed', detail: reasonOf(error) };
}
