import { Change } from '../base/change.js';
import type { Config } from '../base/config.js';
import { CodekeepError, messageOf } from '../base/errors.js';
import { type FromWorker, type RepairRound, type WorkerKind, workerKinds } from '../base/ipc.js';
import type { WorkerType } from '../contract/fields.js';
import { FreshnessBoard } from './freshness-board.js';
import { heldBack, type Hold } from './hold.js';
import { workerProgram } from './lifecycle/launch.js';
import { LogFiles } from './logs/log-files.js';
import { type StopOutcome, stopWorkerProcess } from './lifecycle/stop-worker.js';
import type { EventSink } from './subscriptions.js';
import { publishState } from './worker-events.js';
import type { RequestOptions, WorkerProcess } from './lifecycle/worker-process.js';
import { WorkerProcesses } from './lifecycle/fleet.js';
import { type SlotOwner, WorkerSlot } from './lifecycle/worker-slot.js';

/** Workers that are started and stopped by request; index_service is the supervisor's own. */
export const workerTypes: readonly WorkerType[] = ['file_watcher', 'vectorization', 'repair'];

export interface SupervisorOptions {
  stateDir: string;
  logsDir: string;
  config: Config;
  events: EventSink;
}

/**
 * Owns every worker process. It never opens the index and never walks a project: whatever could block is in
 * a worker, so that the supervisor always answers.
 */
export class Supervisor {
  readonly config: Config;
  readonly stateDir: string;
  readonly logs: LogFiles;
  repairRound: RepairRound = { rounds: 0, lastRound: null, haltedReason: null };
  readonly #events: EventSink;
  readonly #freshness: FreshnessBoard;
  readonly #slots: Record<WorkerKind, WorkerSlot>;
  readonly #tasks = new Set<WorkerProcess>();
  readonly #processes: WorkerProcesses;
  readonly #stateChange = new Change();
  #hold: Hold | null = null;

  constructor({ stateDir, logsDir, config, events }: SupervisorOptions) {
    this.stateDir = stateDir;
    this.config = config;
    this.#events = events;
    this.#freshness = new FreshnessBoard(events);
    this.logs = new LogFiles(logsDir, config.log_level);
    this.#processes = new WorkerProcesses({
      stateDir,
      config,
      program: workerProgram,
      log: (source, level, message) => this.logs.write(source, level, message),
    });
    const owner = this.#slotOwner();
    this.#slots = {
      index_service: new WorkerSlot('index_service', owner),
      file_watcher: new WorkerSlot('file_watcher', owner),
      vectorization: new WorkerSlot('vectorization', owner),
      repair: new WorkerSlot('repair', owner),
    };
  }

  slot(kind: WorkerKind): WorkerSlot {
    return this.#slots[kind];
  }

  /**
   * Ends what an earlier supervisor left, then starts index_service and waits for it, however often it has to
   * be started: nothing else may open the index before it has brought the schema up to date.
   * @param onUseful called once index_service is ready or has failed for the first time
   */
  async begin(onUseful: () => void): Promise<void> {
    await this.#processes.begin();
    this.#assertNotHeld();
    const slot = this.#slots.index_service;
    await slot.start({}).catch((error: unknown) => this.#logStartFailure(error));
    onUseful();
    // By now the first answers have gone out.
    await this.logs.open();
    while (slot.state !== 'ready') {
      this.#assertNotHeld();
      await this.#stateChange.next(60_000);
    }
  }

  /** Repairs that were cut off when the index was opened. */
  get unfinishedRepairs(): number {
    return Number(this.#slots.index_service.info['unfinished_repairs'] ?? 0);
  }

  async autostart(): Promise<void> {
    // A repair that was asked for meanwhile goes first.
    while (this.#hold?.reason === 'REPAIR_IN_PROGRESS') await this.#stateChange.next(200);
    const started = this.config.autostart.map(async (type) => {
      try {
        await this.startWorker(type, {});
      } catch (error) {
        this.#logStartFailure(error);
      }
    });
    await Promise.all(started);
  }

  /** A worker that was not ready yet when the daemon was stopped did not fail. */
  #logStartFailure(error: unknown): void {
    this.log(this.isEnding ? 'info' : 'error', messageOf(error));
  }

  /** @throws CodekeepError WORKER_START_ERROR, or REPAIR_IN_PROGRESS while workers are held back */
  async startWorker(type: WorkerType, options: Record<string, unknown>): Promise<WorkerProcess> {
    this.#assertNotHeld();
    // Nothing else may open the index before index_service has brought the schema up to date.
    await this.readyProcess(this.#slots.index_service);
    this.#assertNotHeld();
    if (type === 'repair') this.repairRound = { rounds: 0, lastRound: null, haltedReason: null };
    const watching = this.#slots.file_watcher.state === 'ready';
    return await this.#slots[type].start(
      type === 'repair' ? { ...options, watcher_running: watching } : options,
    );
  }

  async stopWorker(type: WorkerType, timeoutMs: number, force: boolean): Promise<StopOutcome | null> {
    return await this.#slots[type].stop(timeoutMs, force);
  }

  /** Stops the given workers at the same time: the whole takes one timeout, not their sum. */
  async stopWorkers(
    types: readonly WorkerType[],
    timeoutMs: number,
  ): Promise<{ type: WorkerType; outcome: StopOutcome }[]> {
    const outcomes = await Promise.all([
      ...types.map(async (type) => ({ type, outcome: await this.stopWorker(type, timeoutMs, false) })),
      // A comparison of its own that runs because no watcher does.
      ...[...this.#tasks].map(async (task) => ({
        type: 'file_watcher' as const,
        outcome: await stopWorkerProcess(task, timeoutMs, false),
      })),
    ]);
    return outcomes.filter(
      (entry): entry is { type: WorkerType; outcome: StopOutcome } => entry.outcome !== null,
    );
  }

  /** Keeps every worker from being started until the returned function is called. */
  holdWorkers(): () => void {
    this.#assertNotHeld();
    const hold: Hold = { reason: 'REPAIR_IN_PROGRESS' };
    this.#hold = hold;
    return () => {
      if (this.#hold === hold) this.#hold = null;
    };
  }

  #assertNotHeld(): void {
    if (this.#hold !== null) throw heldBack(this.#hold);
  }

  /** True once the daemon is being stopped. */
  get isEnding(): boolean {
    return this.#hold?.reason === 'shutdown';
  }

  get isHeld(): boolean {
    return this.#hold !== null;
  }

  /**
   * Asks index_service. A read that was in flight when it crashed is asked once more.
   * @throws what it answers; CodekeepError INDEX_UNAVAILABLE
   */
  async askIndex(
    method: string,
    params: unknown,
    isRead: boolean,
    options: RequestOptions = {},
  ): Promise<unknown> {
    const request = { params, freshness: this.#freshness.asRecord() };
    const slot = this.#slots.index_service;
    const ask = async (): Promise<unknown> =>
      await (await this.readyProcess(slot)).request(method, request, options);
    try {
      return await ask();
    } catch (error) {
      const isCrash = error instanceof CodekeepError && error.code === 'INDEX_UNAVAILABLE';
      if (!isCrash || !isRead || options.signal?.aborted === true) throw error;
      return await ask();
    }
  }

  /** Waits for a worker that is starting or about to be started again, bounded by the start timeout. */
  async readyProcess(slot: WorkerSlot): Promise<WorkerProcess> {
    const giveUpAt = performance.now() + this.config.worker_start_timeout * 1_000;
    // index_service is not there in the first instants, but never because somebody stopped it.
    const isExpected = (): boolean => slot.isWanted || (slot.kind === 'index_service' && !this.isEnding);
    while (isExpected() && slot.state !== 'failed' && performance.now() < giveUpAt) {
      const worker = slot.process;
      if (worker !== null && slot.state === 'ready') return worker;
      await this.#stateChange.next(giveUpAt - performance.now());
    }
    throw new CodekeepError(
      'INDEX_UNAVAILABLE',
      `${slot.kind} is ${slot.state}${slot.lastExit === null ? '' : `: it ${slot.lastExit.reason}`}.`,
      'Call again in a moment; view_worker_logs has the cause.',
    );
  }

  /**
   * Runs one task in a process of its own and waits until that process is gone.
   * @throws what the task answers; CodekeepError WORKER_START_ERROR, INDEX_UNAVAILABLE
   */
  async runTask(
    kind: WorkerKind,
    method: string,
    params: unknown,
    options: RequestOptions,
  ): Promise<unknown> {
    if (this.#hold !== null && this.isEnding) throw heldBack(this.#hold);
    const onMessage = (message: FromWorker): void => this.#onMessage(kind, message);
    const worker = this.#processes.fork(kind, {}, { method, params }, onMessage);
    this.#tasks.add(worker);
    try {
      const result = worker.taskResult(options);
      result.catch(() => undefined);
      await worker.ready;
      return await result;
    } finally {
      await stopWorkerProcess(worker, this.config.worker_stop_timeout * 1_000, false);
      this.#tasks.delete(worker);
    }
  }

  /** Stops everything: nothing is started any more, and no process is left when this resolves. */
  async end(): Promise<void> {
    this.#hold = { reason: 'shutdown' };
    const timeoutMs = this.config.worker_stop_timeout * 1_000;
    await Promise.all([
      ...workerKinds.map((kind) => this.#slots[kind].stop(timeoutMs, false)),
      ...[...this.#tasks].map((task) => stopWorkerProcess(task, timeoutMs, false)),
    ]);
    this.#processes.end();
    this.log('info', 'stopped');
    await this.logs.close();
  }

  log(level: 'error' | 'warn' | 'info' | 'debug', message: string): void {
    this.logs.write('supervisor', level, message);
  }

  #slotOwner(): SlotOwner {
    return {
      startTimeoutMs: this.config.worker_start_timeout * 1_000,
      failedRetryMs: this.config.worker_retry_interval * 1_000,
      fork: (kind, options, onMessage) => this.#processes.fork(kind, options, null, onMessage),
      onState: (slot) => this.#onState(slot),
      onMessage: (slot, message) => this.#onMessage(slot.kind, message),
      log: (kind, level, message) => this.logs.write(kind, level, message),
    };
  }

  #onState(slot: WorkerSlot): void {
    const { kind, state, process: worker } = slot;
    if (state === 'ready' || state === 'stopped')
      this.logs.write(kind, 'info', `${state}${worker === null ? '' : ` (pid ${worker.pid})`}`);
    if (kind === 'file_watcher') {
      if (state !== 'ready') this.#freshness.clear();
      this.#slots.repair.process?.send({ type: 'watcher_running', running: state === 'ready' });
    }
    publishState(this.#events, slot);
    this.#stateChange.notify();
  }

  #onMessage(kind: WorkerKind, message: FromWorker): void {
    switch (message.type) {
      case 'log':
        return this.logs.write(kind, message.level, message.message);
      case 'freshness':
        return this.#freshness.note(message.project);
      case 'chunks_changed':
        return this.#slots.vectorization.process?.send({ type: 'nudge', about: 'chunks' });
      case 'repair_round':
        this.repairRound = message.round;
        return;
      default:
    }
  }

  /** Projects were added or removed. */
  projectsChanged(): void {
    this.#events.publish('index', () => ({ topic: 'index', type: 'projects' }));
    this.#slots.file_watcher.process?.send({ type: 'nudge', about: 'projects' });
    this.#slots.vectorization.process?.send({ type: 'nudge', about: 'projects' });
  }
}
