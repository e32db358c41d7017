import { Change } from '../base/change.js';
import type { Config } from '../base/config.js';
import { CodekeepError, messageOf } from '../base/errors.js';
import {
  type FromWorker,
  type IndexExchanges,
  type LogLevel,
  type RepairRound,
  type WorkerKind,
  workerKinds,
  type WorkerOptions,
} from '../base/ipc.js';
import type { Work } from '../base/progress.js';
import { turn, unlessAborted, within } from '../base/waiting.js';
import type { WorkerType } from '../contract/fields.js';
import { writes } from '../contract/index.js';
import { End } from './end.js';
import { FreshnessBoard } from './freshness-board.js';
import { Hold } from './hold.js';
import { Fleet } from './lifecycle/fleet.js';
import { workerProgram } from './lifecycle/launch.js';
import type { StopOutcome } from './lifecycle/stop-worker.js';
import type { WorkerProcess } from './lifecycle/worker-process.js';
import { type SlotOwner, StoppedMeanwhile, WorkerSlot } from './lifecycle/worker-slot.js';
import { LogFiles } from './logs/log-files.js';
import { Reconciles } from './reconciles.js';
import type { EventSink } from './subscriptions.js';
import { Tasks } from './tasks.js';

export interface SupervisorOptions {
  stateDir: string;
  logsDir: string;
  config: Config;
  events: EventSink;
}

type Slots = { readonly [K in WorkerKind]: WorkerSlot<K> };

const noRound: RepairRound = { rounds: 0, lastRound: null, haltedReason: null, scrub: null };

/**
 * Owns every worker process. It never opens the index and never walks a project: whatever could block is in
 * a worker, so that the supervisor always answers.
 */
export class Supervisor {
  readonly config: Config;
  readonly stateDir: string;
  readonly logs: LogFiles;
  readonly hold = new Hold((held) => this.slots.index_service.process?.send({ type: 'held', held }));
  readonly slots: Slots;
  readonly tasks: Tasks;
  readonly reconciles: Reconciles;
  readonly ending = new End(this);
  repairRound = noRound;
  /** Why the work of a worker that runs does not get on. */
  readonly troubles = new Map<WorkerKind, string>();
  readonly #events: EventSink;
  readonly freshness: FreshnessBoard;
  readonly fleet: Fleet;
  readonly #change = new Change();
  readonly #toStart: Set<WorkerType>;
  #isStarted = false;
  #isTried = false;
  #startFailure: string | null = null;

  constructor({ stateDir, logsDir, config, events }: SupervisorOptions) {
    this.stateDir = stateDir;
    this.config = config;
    this.#toStart = new Set(config.autostart);
    this.#events = events;
    this.freshness = new FreshnessBoard(events);
    this.logs = new LogFiles(logsDir, config.log_level);
    this.fleet = new Fleet({
      stateDir,
      config,
      program: workerProgram,
      assertMayFork: () => this.hold.assertNotEnding(),
      log: (source, level, message) => this.logs.write(source, level, message),
      onLook: (worker, { silentMs }) => {
        if (worker === this.slots.file_watcher.process) this.freshness.noteSilence(silentMs);
      },
    });
    const owner = this.#slotOwner();
    this.slots = {
      index_service: new WorkerSlot('index_service', owner),
      file_watcher: new WorkerSlot('file_watcher', owner),
      vectorization: new WorkerSlot('vectorization', owner),
      repair: new WorkerSlot('repair', owner),
    };
    this.tasks = new Tasks({
      startTimeoutMs: owner.startTimeoutMs,
      stopTimeoutMs: this.stopTimeoutMs,
      fork: (kind, task) => {
        const start = { options: {}, watcherRunning: this.#isWatching, task };
        this.hold.assertNotEnding();
        return this.fleet.fork(kind, start, (message) => this.#onMessage(kind, message));
      },
    });
    this.reconciles = new Reconciles(this.hold, this.slots.file_watcher, this.tasks);
  }

  get stopTimeoutMs(): number {
    return this.config.worker_stop_timeout * 1_000;
  }

  /**
   * Ends what an earlier supervisor left, then starts index_service and waits for it, however often it has to
   * be started: nothing else may open the index before it has brought the schema up to date. The watcher's program is
   * loaded meanwhile. Only the end of the daemon interrupts it.
   * @param onUseful called once index_service is ready, has failed for the first time, or takes long
   */
  async begin(onUseful: () => void): Promise<void> {
    await this.fleet.begin();
    this.hold.assertNotEnding();
    const slot = this.slots.index_service;
    const starting = slot
      .start({})
      .catch((error: unknown) => this.#logStartFailure(error))
      .finally(() => {
        this.#isTried = true;
        this.#change.notify();
      });
    // It is forked first.
    await turn();
    if (this.#toStart.has('file_watcher')) this.fleet.prepare('file_watcher');
    // A backup before a new schema may take longer.
    await within(this.config.worker_start_timeout * 1_000, starting);
    onUseful();
    const isReady = (): boolean => slot.state === 'ready';
    // Nobody knows how long it takes, and why is in the logs.
    if (!isReady()) await Promise.all([this.fleet.endPrepared(), this.logs.open()]);
    while (!isReady()) {
      this.hold.assertNotEnding();
      await this.#change.next(60_000);
    }
  }

  /**
   * What an earlier supervisor left is ended, the schema is up to date, and no repair is left half done: from here on a
   * client's repair may begin.
   */
  started(): void {
    this.#isStarted = true;
    this.#change.notify();
  }

  /** Waits until index_service was started or could not be: whoever stops it before would have it started behind him. */
  async whenTried(signal?: AbortSignal): Promise<void> {
    while (!this.#isTried && this.#startFailure === null) {
      this.hold.assertNotEnding();
      await this.#change.next(60_000, signal);
    }
  }

  get isStarted(): boolean {
    return this.#isStarted;
  }

  /** It never will be complete: nobody waits for it any more. */
  startFailed(reason: string): void {
    this.#startFailure = reason;
    this.#change.notify();
  }

  /**
   * Waits until the start is complete.
   * @throws CodekeepError INDEX_UNAVAILABLE where it cannot be as long as nobody mends something; the signal's reason
   */
  async whenStarted(signal?: AbortSignal): Promise<void> {
    while (!this.#isStarted) {
      this.hold.assertNotEnding();
      if (this.#startFailure !== null) {
        throw new CodekeepError(
          'INDEX_UNAVAILABLE',
          `The daemon could not start everything: ${this.#startFailure}.`,
          'Mend the cause, then restart the daemon.',
        );
      }
      if (this.slots.index_service.state === 'failed') await this.slots.index_service.whenReady(signal);
      await this.#change.next(60_000, signal);
    }
  }

  /** What was cut off when the index was opened, the oldest first. */
  get unfinishedRuns(): readonly string[] {
    return this.slots.index_service.info.unfinishedRuns ?? [];
  }

  /** The workers that are to start with the daemon and have not been started yet; whoever takes them starts them. */
  takeAutostart(): WorkerType[] {
    const types = [...this.#toStart];
    this.#toStart.clear();
    return types;
  }

  /** Somebody stops it before it was started. */
  async leaveOut(type: WorkerType): Promise<void> {
    if (this.#toStart.delete(type) && type === 'file_watcher') await this.fleet.endPrepared();
  }

  async autostart(): Promise<void> {
    const started = [...this.#toStart].map(async (type) => {
      try {
        await this.#index();
        if (this.#toStart.delete(type)) await this.startWorker(type, {});
      } catch (error) {
        this.#logStartFailure(error);
      }
    });
    await Promise.all(started);
  }

  /** A worker that was not ready yet when somebody, a repair or the end of the daemon stopped it did not fail. */
  #logStartFailure(error: unknown): void {
    const isFailure = this.hold.isFree && !(error instanceof StoppedMeanwhile);
    this.log(isFailure ? 'error' : 'info', messageOf(error));
  }

  /**
   * @returns isNew: false for one that runs already
   * @throws CodekeepError WORKER_START_ERROR, or REPAIR_IN_PROGRESS while workers are held back
   */
  async startWorker(
    type: WorkerType,
    options: WorkerOptions,
  ): Promise<{ worker: WorkerProcess; isNew: boolean }> {
    this.hold.assertFree();
    const index = this.slots.index_service;
    // Whoever asks for a worker has mended what was wrong with the index, too.
    if (index.state === 'failed') await index.start({});
    // Nothing else may open the index before index_service has brought the schema up to date.
    await this.#index();
    this.hold.assertFree();
    if (type === 'repair' && !this.slots.repair.isWanted) this.repairRound = noRound;
    return await this.slots[type].start(options);
  }

  /**
   * Stops these workers and every task of theirs at the same time: the whole takes one timeout, not their sum.
   * @returns an outcome for each process that there was
   */
  async stopWorkers<K extends WorkerKind>(
    types: readonly K[],
    timeoutMs: number,
  ): Promise<{ type: K; outcome: StopOutcome }[]> {
    const stopping = types.flatMap((type) => [
      this.slots[type].stop(timeoutMs).then((outcome) => (outcome === null ? [] : [{ type, outcome }])),
      this.tasks.stop(timeoutMs, type).then((outcomes) => outcomes.map((outcome) => ({ type, outcome }))),
    ]);
    return (await Promise.all(stopping)).flat();
  }

  /**
   * Asks index_service. What the contract says of a method that writes holds here, for whoever asks. A read that was
   * in flight when the process crashed is asked once more.
   * @throws what it answers; CodekeepError INDEX_UNAVAILABLE, REPAIR_IN_PROGRESS; the signal's reason
   */
  async askIndex<N extends keyof IndexExchanges>(
    name: N,
    params: IndexExchanges[N]['params'],
    work: Partial<Work> = {},
  ): Promise<IndexExchanges[N]['result']> {
    const isWrite = writes(name);
    const ask = async (): Promise<IndexExchanges[N]['result']> => {
      const worker = await this.#index(work.signal);
      const question = { params, isWrite, freshness: this.freshness.asRecord() };
      // Nobody waits for a read that is cancelled, whether its process listens or not.
      if (!isWrite) return await unlessAborted(worker.request(name, question, work), work.signal);
      // A write goes on when its caller goes away: half of it would be worse than all of it.
      return await this.hold.write(() => worker.request(name, question));
    };
    if (isWrite) this.hold.assertFree();
    const wasStarted = this.#isStarted;
    try {
      return await ask();
    } catch (error) {
      // What the process ended with says less than why it had to.
      this.hold.assertNotEnding();
      const code = error instanceof CodekeepError ? error.code : null;
      if (code === 'PROJECT_NOT_FOUND' && !wasStarted) {
        // The projects that are named at the start were still to be added.
        await this.whenStarted(work.signal);
        return await ask();
      }
      if (code !== 'INDEX_UNAVAILABLE' || isWrite || work.signal?.aborted === true) throw error;
      return await ask();
    }
  }

  /** index_service is not there in the first instants, but never because somebody stopped it. */
  async #index(signal?: AbortSignal): Promise<WorkerProcess<'index_service'>> {
    return await this.slots.index_service.whenReady(signal, () => !this.hold.isEnding);
  }

  /** Processes that could not be ended, for health. */
  stuck(): { kind: WorkerKind; pid: number }[] {
    return this.fleet.stuck();
  }

  /**
   * Stops everything: nothing is started any more, and no process is left when this resolves, but for what it says.
   * @param onSaving as of End.stopAll
   */
  async end(onSaving: () => void): Promise<string[]> {
    this.hold.takeForShutdown();
    this.#change.notify();
    const failures = await this.ending.stopAll(onSaving);
    for (const failure of failures) this.log('error', failure);
    this.fleet.end();
    this.log('info', failures.length === 0 ? 'stopped' : 'ended');
    await this.logs.close();
    return failures;
  }

  /** Somebody cannot wait for the stop that is under way: every worker is killed now. */
  hurry(): void {
    void this.stopWorkers(workerKinds, 0);
  }

  log(level: LogLevel, message: string): void {
    this.logs.write('supervisor', level, message);
  }

  #slotOwner(): SlotOwner {
    return {
      startTimeoutMs: this.config.worker_start_timeout * 1_000,
      failedRetryMs: this.config.worker_retry_interval * 1_000,
      // A watcher reconciles what was asked of a process of its own.
      makeWay: (kind) => (this.tasks.has(kind) ? this.tasks.stop(this.stopTimeoutMs, kind) : null),
      fork: (kind, options, onMessage) =>
        this.fleet.fork(kind, { options, watcherRunning: this.#isWatching, task: null }, onMessage),
      onState: (slot) => this.#onState(slot),
      onMessage: (slot, message) => this.#onMessage(slot.kind, message),
      log: (kind, level, message) => this.logs.write(kind, level, message),
    };
  }

  /** A watcher runs, or is about to. */
  get isWatched(): boolean {
    if (this.#toStart.has('file_watcher')) return true;
    const { isWanted, state } = this.slots.file_watcher;
    return isWanted && state !== 'failed' && state !== 'backoff';
  }

  get #isWatching(): boolean {
    return this.slots.file_watcher.state === 'ready';
  }

  #onState(slot: WorkerSlot): void {
    const { kind, state, process: worker } = slot;
    if (state === 'ready' || state === 'stopped')
      this.logs.write(kind, 'info', `${state}${worker === null ? '' : ` (pid ${worker.pid})`}`);
    if (state !== 'ready') this.troubles.delete(kind);
    if (kind === 'index_service') worker?.send({ type: 'held', held: !this.hold.isFree });
    if (kind === 'file_watcher') {
      if (state !== 'ready') this.freshness.noteEnd();
      this.slots.repair.process?.send({ type: 'watcher_running', running: state === 'ready' });
    }
    this.#events.publish('worker', () => ({
      topic: 'worker',
      type: 'state',
      worker_type: kind,
      state,
      pid: worker?.pid ?? null,
      reason: state === 'backoff' || state === 'failed' ? (slot.lastExit?.reason ?? null) : null,
    }));
    this.#change.notify();
  }

  #onMessage(kind: WorkerKind, message: FromWorker): void {
    switch (message.type) {
      case 'log':
        return this.logs.write(kind, message.level, message.message);
      case 'freshness':
        return this.freshness.note(message.project);
      case 'watched':
        return this.freshness.retain(message.projectIds);
      case 'chunks_changed':
        return this.slots.vectorization.process?.send({ type: 'nudge', about: 'chunks' });
      case 'projects_changed':
        return this.#projectsChanged();
      case 'repair_round':
        this.repairRound = message.round;
        return;
      case 'trouble':
        if (message.reason === null) this.troubles.delete(kind);
        else this.troubles.set(kind, message.reason);
        return;
      default:
    }
  }

  #projectsChanged(): void {
    this.freshness.forget();
    this.#events.publish('index', () => ({ topic: 'index', type: 'projects' }));
    this.slots.file_watcher.process?.send({ type: 'nudge', about: 'projects' });
    this.slots.vectorization.process?.send({ type: 'nudge', about: 'projects' });
  }
}
