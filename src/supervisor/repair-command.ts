import { randomUUID } from 'node:crypto';
import { Change } from '../base/change.js';
import { CodekeepError, messageOf } from '../base/errors.js';
import { unlessAborted } from '../base/waiting.js';
import type { RepairScope, ResolvedProject, WorkerOptions } from '../base/ipc.js';
import type { ProgressListener, Work } from '../base/progress.js';
import type { RepairResult, UndoResult, WorkersStopped } from '../contract/database.js';
import { pointInTime, type WorkerType, workerType } from '../contract/fields.js';
import type { Params } from '../contract/index.js';
import { repairInProgress } from './hold.js';
import { KeptPlans } from './kept-plans.js';
import {
  nothingResumed,
  nothingStopped,
  repairResultOf,
  type ResumedWorkers,
  type RunFrame,
  undoResultOf,
} from './repair-results.js';
import { type RepairProgress, RepairTrack } from './repair-track.js';
import type { EventSink } from './subscriptions.js';
import type { Supervisor } from './supervisor.js';

/** The watcher gets so long (ms) to follow what it has noticed before it is stopped. */
const drainMs = 2_000;
/** A watcher that does not answer for so long (ms) does not get its comparison done. */
const silenceMaxMs = 5_000;

type RepairParams = Omit<Params<'repair_database'>, 'wait'>;
type UndoParams = Omit<Params<'undo_repair'>, 'wait'>;
/** repair_database and undo_repair: reject a second one → drain → stop all → one process does it alone → resume. */
export class RepairCommand {
  readonly #supervisor: Supervisor;
  readonly #events: EventSink;
  readonly #plans = new KeptPlans();
  #track: RepairTrack | null = null;
  /** A client's repair runs, or waits for the end of the start. */
  #isTaken = false;
  readonly #change = new Change();

  constructor(supervisor: Supervisor, events: EventSink) {
    this.#supervisor = supervisor;
    this.#events = events;
  }

  /** The repair that is running, for health; null while there is none. A dry run is not one. */
  get progress(): RepairProgress | null {
    return this.#track?.now ?? null;
  }

  /**
   * For a refusal at once, and not as a job that fails later.
   * @throws CodekeepError REPAIR_IN_PROGRESS, or CANCELLED while the daemon ends
   */
  assertFree(): void {
    this.#supervisor.hold.assertNotEnding();
    if (this.#isTaken) throw repairInProgress();
  }

  /** Resolves when no client's repair runs or waits. */
  async idle(): Promise<void> {
    while (this.#isTaken) await this.#change.next(60_000);
  }

  /**
   * A repair that comes while the daemon starts waits until that is complete.
   * @throws CodekeepError REPAIR_IN_PROGRESS, WORKER_STOP_ERROR (then nothing was repaired), and what the
   * repair itself answers
   */
  async run(params: RepairParams, work: Work): Promise<RepairResult> {
    const scope = this.#scopeOf(params);
    if (params.dry_run) return await this.#dryRun(scope, work);
    return await this.#taken(work, async () => {
      await this.#compare(await this.#resolve(scope, false, work.signal), work);
      work.signal.throwIfAborted();
      return await this.#realRun(scope, params.resume_workers, work, 'command');
    });
  }

  /**
   * Takes back what a run did. Where that is nothing, no worker is stopped.
   * @throws CodekeepError NOT_FOUND, and as `run`
   */
  async undo({ run_id: undoes, dry_run }: UndoParams, work: Work): Promise<UndoResult> {
    const startedAt = performance.now();
    await this.#supervisor.whenStarted(work.signal);
    if (!dry_run) this.assertFree();
    const planned = await this.#supervisor.askIndex('plan_undo', { run_id: undoes }, work);
    if (dry_run || planned.totals.undone === 0) {
      const frame = { runId: randomUUID(), dryRun: dry_run, stopped: nothingStopped, startedAt };
      return undoResultOf(planned, undoes, frame, nothingResumed);
    }
    return await this.#taken(
      work,
      async () =>
        await this.#alone(
          { isResumed: true, force: false },
          work,
          async (track, following, onDeath) => {
            const request = { run_id: track.now.run_id, undoes };
            const task = { method: 'undo_repair', params: request } as const;
            return await this.#supervisor.tasks.run('repair', task, following, onDeath);
          },
          (report, frame, resumed) => undoResultOf(report, undoes, frame, resumed),
        ),
    );
  }

  async #taken<R>(work: Work, run: () => Promise<R>): Promise<R> {
    this.assertFree();
    this.#isTaken = true;
    try {
      await this.#supervisor.whenStarted(work.signal);
      return await run();
    } finally {
      this.#isTaken = false;
      this.#change.notify();
    }
  }

  /** Finishes a repair that was cut off with the daemon, before any other worker starts. */
  async recover(): Promise<void> {
    const work: Work = { signal: new AbortController().signal, progress: () => undefined };
    await this.#realRun({ deleted_since: null, force: false }, false, work, 'recovery');
  }

  async #dryRun(scope: RepairScope, work: Work): Promise<RepairResult> {
    const startedAt = performance.now();
    // What a cut-off run has still to do is no part of its plan.
    await this.#supervisor.whenStarted(work.signal);
    const projects = await this.#resolve(scope, true, work.signal);
    // Where a watcher has followed all that it was told of, a comparison would find nothing.
    const isDrained = await this.#drainWatcher(work.signal);
    const isProven = (id: string): boolean => isDrained && this.#supervisor.freshness.isFresh(id);
    await this.#compare(
      projects.filter(({ projectId }) => !isProven(projectId)),
      work,
    );
    const report = await this.#supervisor.askIndex('plan_repair', scope, work);
    const frame = { runId: randomUUID(), dryRun: true, stopped: nothingStopped, startedAt };
    if (report.plan !== undefined) this.#plans.keep(frame.runId, scope, report.plan);
    return repairResultOf(report, frame, nothingResumed);
  }

  async #realRun(
    scope: RepairScope,
    resumes: boolean,
    work: Work,
    origin: 'command' | 'recovery',
  ): Promise<RepairResult> {
    return await this.#alone(
      { isResumed: resumes, isAfterStart: origin === 'command', force: scope.force },
      work,
      async (track, following, onDeath) => {
        const params = { ...scope, run_id: track.now.run_id, origin, is_cancelled: false };
        const task = { method: 'repair_database', params } as const;
        return await this.#supervisor.tasks.run('repair', task, following, onDeath);
      },
      (report, frame, resumed) => repairResultOf(report, frame, resumed),
    );
  }

  /** Does something while no worker runs. */
  async #alone<R, T>(
    { isResumed, isAfterStart = true, force }: { isResumed: boolean; isAfterStart?: boolean; force: boolean },
    work: Work,
    run: (track: RepairTrack, following: Work, onDeath: () => void) => Promise<R>,
    shaped: (report: R, frame: RunFrame, resumed: ResumedWorkers) => T,
  ): Promise<T> {
    const frame = { runId: randomUUID(), dryRun: false, startedAt: performance.now() };
    const release = this.#supervisor.hold.takeForRepair();
    const track = new RepairTrack(frame.runId, this.#events);
    this.#track = track;
    let hasDied = false;
    const running = isAfterStart ? this.#running() : [];
    const resumable = isResumed ? running : [];
    const progress: ProgressListener = (phase, done, total) => {
      work.progress(phase, done, total);
      track.note(phase, done, total);
    };
    try {
      work.progress('stop', 0, 0);
      const stopped = await this.#stopAll(work.signal);
      const report = await run(track, { signal: work.signal, progress }, () => {
        hasDied = true;
      });
      track.finish(null);
      this.#letGo(release);
      return shaped(report, { ...frame, stopped }, await this.#resume(resumable));
    } catch (error) {
      if (hasDied) await this.#finishCutOff(force, work.signal.aborted);
      track.finish(error);
      this.#letGo(release);
      // Also after a failure: the workers that ran before run again.
      await this.#resume(resumable);
      throw error;
    }
  }

  #letGo(release: () => void): void {
    this.#track = null;
    release();
  }

  /**
   * No worker is stopped for a project that does not exist, or for a version_dir that cannot be one. What else is wrong,
   * the repair itself finds.
   */
  async #resolve(
    { root_dir, project_id, version_dir }: RepairScope,
    isDry: boolean,
    signal: AbortSignal,
  ): Promise<ResolvedProject[]> {
    try {
      return await this.#supervisor.askIndex(
        'resolve_repair',
        { root_dir, project_id, version_dir },
        { signal },
      );
    } catch (error) {
      signal.throwIfAborted();
      const code = error instanceof CodekeepError ? error.code : null;
      const isFinal =
        code === 'PROJECT_NOT_FOUND' || code === 'INVALID_PARAMS' || code === 'INDEX_UNAVAILABLE';
      if (isDry || isFinal) throw error;
      return [];
    }
  }

  /**
   * With a watcher, what somebody removed is a deletion and no loss: it has to be found before anything is concluded.
   * @throws CodekeepError INDEX_STALE where that cannot be done
   */
  async #compare(projects: readonly ResolvedProject[], { signal, progress }: Work): Promise<void> {
    if (!this.#supervisor.isWatched) return;
    for (const { projectId, rootDir } of projects) {
      const unanswered = new AbortController();
      const watch = setInterval(() => {
        if (this.#supervisor.freshness.silentMs > silenceMaxMs)
          unanswered.abort(new Error('file_watcher does not answer'));
      }, 1_000);
      try {
        const work = { signal: AbortSignal.any([signal, unanswered.signal]), progress };
        await this.#supervisor.reconciles.run({ projectId, isNew: false }, work);
      } catch (error) {
        signal.throwIfAborted();
        const code = error instanceof CodekeepError ? error.code : null;
        // The root is away or in doubt: the repair says what that means.
        if (code === 'ROOT_UNAVAILABLE') continue;
        if (code === 'REPAIR_IN_PROGRESS' || code === 'CANCELLED') throw error;
        throw new CodekeepError(
          'INDEX_STALE',
          `${rootDir} could not be compared with its index: ${messageOf(error)}`,
          'Nothing was changed. Mend the cause, or stop file_watcher: without one, everything that is missing counts as lost.',
        );
      } finally {
        clearInterval(watch);
      }
    }
  }

  /** What runs, and what was about to be started with the daemon. */
  #running(): { type: WorkerType; options: WorkerOptions }[] {
    const due = this.#supervisor.takeAutostart().map((type) => ({ type, options: {} }));
    const slots = workerType.options.map((type) => ({ type, slot: this.#supervisor.slots[type] }));
    const wanted = slots.filter(({ slot }) => slot.isWanted);
    return [...due, ...wanted.map(({ type, slot }) => ({ type, options: slot.options }))];
  }

  async #stopAll(signal: AbortSignal): Promise<WorkersStopped> {
    await this.#drain(signal);
    const stopped = await this.#supervisor.stopWorkers(workerType.options, this.#supervisor.stopTimeoutMs);
    signal.throwIfAborted();
    const failed = stopped.find(({ outcome }) => outcome.error !== null);
    if (failed !== undefined) {
      const { type, outcome } = failed;
      throw new CodekeepError(
        'WORKER_STOP_ERROR',
        `${type} (pid ${outcome.pid}) cannot be stopped: ${outcome.error ?? ''}.`,
        'Nothing was repaired. End that process, then call again.',
        { pid: outcome.pid },
      );
    }
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
    await Promise.all([this.#drainWatcher(signal), this.#supervisor.hold.quiet(signal)]);
  }

  /** False where it did not come to that in time, or none runs. */
  async #drainWatcher(signal: AbortSignal): Promise<boolean> {
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
      is_cancelled: isCancelled,
    } as const;
    const task = { method: 'repair_database', params: request } as const;
    const work: Work = { signal: new AbortController().signal, progress: () => undefined };
    try {
      await this.#supervisor.tasks.run('repair', task, work);
    } catch (error) {
      if (!isCancelled) this.#supervisor.log('warn', `a repair was cut off: ${messageOf(error)}`);
    }
  }

  /** What a plan was about says all but whether workers are resumed. */
  #scopeOf({ plan_id, ...params }: RepairParams): RepairScope {
    const { root_dir, project_id, version_dir, force, deleted_since } = params;
    const since = deleted_since === undefined ? null : pointInTime(deleted_since, Date.now());
    const scope = { root_dir, project_id, version_dir, force, deleted_since: since };
    if (plan_id === undefined) return scope;
    if (force || [root_dir, project_id, version_dir, deleted_since].some((one) => one !== undefined))
      throw new CodekeepError(
        'INVALID_PARAMS',
        'plan_id says by itself what the repair is about.',
        'Leave out the project, version_dir, deleted_since and force: they are those of the dry run.',
        { issues: [{ param: 'plan_id', message: 'stands alone' }] },
      );
    return this.#plans.scopeOf(plan_id);
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
      }
    });
    await Promise.all(resuming);
    return resumed;
  }
}
