import { randomUUID } from 'node:crypto';
import { Change } from '../base/change.js';
import { CodekeepError, messageOf } from '../base/errors.js';
import type { WorkerKind, WorkerOptions } from '../base/ipc.js';
import { RunningNote } from '../base/running-note.js';
import type { ProgressListener, Work } from '../base/progress.js';
import { unlessAborted } from '../base/waiting.js';
import type { WorkersStopped } from '../contract/database.js';
import { type WorkerType, workerType } from '../contract/fields.js';
import { aRepair, cutOffByEnd, repairInProgress } from './hold.js';
import type { StopOutcome } from './lifecycle/stop-worker.js';
import type { ResumedWorkers, RunFrame } from './repair-results.js';
import { type RepairProgress, RepairTrack } from './repair-track.js';
import type { EventSink } from './subscriptions.js';
import type { Supervisor } from './supervisor.js';

/** The watcher gets so long (ms) to follow what it has noticed before it is stopped. */
const drainMs = 2_000;

export interface AloneOptions {
  isResumed: boolean;
  /** What was about to start with the daemon counts as running. */
  isAfterStart?: boolean;
  /** Done when requests are served again and before the workers are resumed, also where the run failed. */
  onEnd?: () => Promise<void>;
  force: boolean;
  /** Of the run that it finishes; without it one of its own. */
  runId?: string | undefined;
}

/** Something that is done while no worker runs: drain → stop all → one process does it alone → resume. One at a time. */
export class Alone {
  readonly #supervisor: Supervisor;
  readonly #events: EventSink;
  #track: RepairTrack | null = null;
  /** What ran before and could not be started again, as where the index was no better then: the next run does that. */
  #unresumed: { type: WorkerType; options: WorkerOptions }[] = [];
  /** What some client's is that runs, or waits for its turn; null: there is none. */
  #taken: string | null = null;
  readonly #change = new Change();
  readonly #note: RunningNote;
  #isSettled = false;

  constructor(supervisor: Supervisor, events: EventSink) {
    this.#supervisor = supervisor;
    this.#events = events;
    this.#note = new RunningNote(supervisor.stateDir);
  }

  /** What is running, for health; null while nothing is. */
  get progress(): RepairProgress | null {
    return this.#track?.now ?? null;
  }

  /** What an earlier daemon was cut off in, while it is not finished; null: nothing. */
  get owed(): RepairProgress | null {
    const runId = this.#supervisor.unfinishedRuns[0] ?? this.#note.left;
    return this.#isSettled || runId === null ? null : { run_id: runId, phase: 'recover', done: 0, total: 0 };
  }

  /** At a start, once what was left is finished. */
  settle(): void {
    this.#isSettled = true;
    this.#note.remove();
  }

  /**
   * For a refusal at once, and not as a job that fails later.
   * @throws CodekeepError REPAIR_IN_PROGRESS, or CANCELLED while the daemon ends
   */
  assertFree(): void {
    this.#supervisor.hold.assertNotEnding();
    if (this.#taken !== null) throw repairInProgress(this.#taken);
  }

  /** Resolves when no client's runs or waits. */
  async idle(): Promise<void> {
    while (this.#taken !== null) await this.#change.next(60_000);
  }

  /**
   * From here on nobody else's begins, until it has ended.
   * @param what it is, for who is refused meanwhile
   */
  async take<R>(run: () => Promise<R>, what = aRepair): Promise<R> {
    this.assertFree();
    this.#taken = what;
    try {
      return await run();
    } finally {
      this.#taken = null;
      this.#change.notify();
    }
  }

  /** Does something while no worker runs. */
  async run<R, T>(
    { isResumed, isAfterStart = true, onEnd, force, runId = randomUUID() }: AloneOptions,
    work: Work,
    run: (track: RepairTrack, following: Work, onDeath: () => void) => Promise<R>,
    shaped: (report: R, frame: RunFrame, resumed: ResumedWorkers) => T,
  ): Promise<T> {
    const frame = { runId, dryRun: false, startedAt: performance.now() };
    const release = this.#supervisor.hold.takeForRepair(this.#taken ?? aRepair);
    const track = new RepairTrack(runId, this.#events);
    this.#track = track;
    this.#note.write(runId);
    let hasDied = false;
    const running = isAfterStart ? this.#running() : [];
    const resumable = isResumed ? running : [];
    let isEndNear = false;
    const progress: ProgressListener = (phase, done, total) => {
      work.progress(phase, done, total);
      track.note(phase, done, total);
      if (phase !== 'verify' || isEndNear) return;
      isEndNear = true;
      this.#prepare(resumable.map(({ type }) => type));
    };
    try {
      work.progress('stop', 0, 0);
      this.#prepare(['repair']);
      const stopped = await this.#stopAll(work.signal);
      const report = await run(track, { signal: work.signal, progress }, () => {
        hasDied = true;
      });
      track.finish(null);
      this.#letGo(release);
      await onEnd?.();
      return shaped(report, { ...frame, stopped }, await this.#resume(resumable));
    } catch (error) {
      if (hasDied) await this.#finishCutOff(force, work.signal.aborted);
      track.finish(error);
      this.#letGo(release);
      await onEnd?.().catch(() => undefined);
      // Also after a failure: the workers that ran before run again.
      await this.#resume(resumable);
      // What its process ended with says less than why it had to.
      if (this.#supervisor.hold.isEnding) throw cutOffByEnd();
      throw error;
    }
  }

  /** What is forked soon loads its program meanwhile. */
  #prepare(kinds: readonly WorkerKind[]): void {
    if (!this.#supervisor.hold.isEnding) for (const kind of kinds) this.#supervisor.fleet.prepare(kind);
  }

  #letGo(release: () => void): void {
    this.#track = null;
    // What the end of the daemon cuts off is finished at its next start.
    if (!this.#supervisor.hold.isEnding) this.#note.remove();
    release();
  }

  /** What runs, and what was about to be started with the daemon. */
  #running(): { type: WorkerType; options: WorkerOptions }[] {
    const autostart = this.#supervisor.takeAutostart().map((type) => ({ type, options: {} }));
    const due = [
      ...autostart,
      ...this.#unresumed.filter(({ type }) => !this.#supervisor.slots[type].isWanted),
    ];
    this.#unresumed = [];
    const slots = workerType.options.map((type) => ({ type, slot: this.#supervisor.slots[type] }));
    const wanted = slots.filter(({ slot }) => slot.isWanted);
    return [...due, ...wanted.map(({ type, slot }) => ({ type, options: slot.options }))];
  }

  async #stopAll(signal: AbortSignal): Promise<WorkersStopped> {
    await this.#drain(signal);
    const stopped = await this.#supervisor.stopWorkers(workerType.options, this.#supervisor.stopTimeoutMs);
    signal.throwIfAborted();
    assertStopped(stopped);
    const workers = stopped.map(({ type, outcome: { pid, graceful, how, durationMs } }) => ({
      pid,
      type,
      graceful,
      how,
      duration_ms: durationMs,
    }));
    return { stopped_count: workers.length, stopped_workers: workers, errors: [] };
  }

  /** What was begun is ended, and what was noticed is followed, as far as that does not take long. */
  async #drain(signal: AbortSignal): Promise<void> {
    await Promise.all([this.drainWatcher(signal), this.#supervisor.hold.quiet(signal)]);
  }

  /** False where it did not come to that in time, or none runs. */
  async drainWatcher(signal: AbortSignal): Promise<boolean> {
    const watcher = this.#supervisor.slots.file_watcher;
    const patience = AbortSignal.any([signal, AbortSignal.timeout(drainMs)]);
    const drained = watcher.state === 'ready' ? watcher.process?.request('drain', null) : undefined;
    if (drained === undefined) return false;
    return await unlessAborted(drained, patience).then(
      () => true,
      () => false,
    );
  }

  /**
   * The repair's process is gone in the middle of its work: another one finishes it before any worker runs again, or
   * only writes down what is left where it was cancelled. Else the watcher would take the rest for deletions.
   */
  async #finishCutOff(force: boolean, isCancelled: boolean): Promise<void> {
    const request = {
      run_id: randomUUID(),
      origin: 'recovery',
      deleted_since: null,
      force,
      on_damage: 'go_on',
      is_cancelled: isCancelled,
    } as const;
    const task = { method: 'repair_database', params: request } as const;
    const work: Work = { signal: new AbortController().signal, progress: () => undefined };
    try {
      await this.#supervisor.tasks.run('repair', task, work);
    } catch (error) {
      if (!isCancelled)
        this.#supervisor.log('warn', `a repair, a rewind or an undo was cut off: ${messageOf(error)}`);
    }
  }

  async #resume(workers: readonly { type: WorkerType; options: WorkerOptions }[]): Promise<ResumedWorkers> {
    const resumed: ResumedWorkers = { workers_resumed: [], workers_not_resumed: [] };
    if (this.#supervisor.hold.isEnding) return resumed;
    const resuming = workers.map(async ({ type, options }) => {
      try {
        const { worker } = await this.#supervisor.startWorker(type, options);
        resumed.workers_resumed.push({ pid: worker.pid, type });
      } catch (error) {
        // Where the daemon ends, or another repair begins, that is no failure.
        const level = this.#supervisor.hold.isFree ? 'error' : 'info';
        this.#supervisor.log(level, `${type} was not resumed: ${messageOf(error)}`);
        resumed.workers_not_resumed.push({ type, error: messageOf(error) });
        this.#unresumed.push({ type, options });
      }
    });
    await Promise.all(resuming);
    // What could not be started needs none that is loaded.
    await this.#supervisor.fleet.endPrepared();
    return resumed;
  }
}

/** @throws CodekeepError WORKER_STOP_ERROR */
export function assertStopped(stopped: readonly { type: WorkerKind; outcome: StopOutcome }[]): void {
  const failed = stopped.find(({ outcome }) => outcome.error !== null);
  if (failed === undefined) return;
  const { type, outcome } = failed;
  throw new CodekeepError(
    'WORKER_STOP_ERROR',
    `${type} (pid ${outcome.pid}) cannot be stopped: ${outcome.error ?? ''}.`,
    'Nothing was repaired. End that process, then call again.',
    { pid: outcome.pid },
  );
}
