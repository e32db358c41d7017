import { CodekeepError, messageOf } from '../../base/errors.js';
import type { Activity, FromWorker, WorkerKind } from '../../base/ipc.js';
import { decideRestart, relevantExits, type UnexpectedExit } from './restart-policy.js';
import { type StopOutcome, stopWorkerProcess } from './stop-worker.js';
import { describeExit, reasonOf, type WorkerExit, type WorkerProcess } from './worker-process.js';

export type SlotState = 'stopped' | 'starting' | 'ready' | 'stopping' | 'backoff' | 'failed';

export interface LastExit {
  code: number | null;
  signal: string | null;
  /** Milliseconds since 1970. */
  at: number;
  reason: string;
  /** Its last lines of stderr. */
  stderr: readonly string[];
}

/** What a slot needs from the supervisor. */
export interface SlotOwner {
  startTimeoutMs: number;
  failedRetryMs: number;
  fork(
    kind: WorkerKind,
    options: Record<string, unknown>,
    onMessage: (message: FromWorker) => void,
  ): WorkerProcess;
  onState(slot: WorkerSlot): void;
  onMessage(slot: WorkerSlot, message: FromWorker): void;
  log(kind: WorkerKind, level: 'error' | 'warn' | 'info', message: string): void;
}

const idle: Activity = { operation: null, done: 0, total: 0 };

/**
 * The lifecycle of one kind of worker: stopped → starting → ready → stopping → stopped; a crash goes to
 * backoff and starting again, crashes in a row to failed, which heals by a slow timer or by `start`.
 */
export class WorkerSlot {
  readonly kind: WorkerKind;
  restarts = 0;
  lastExit: LastExit | null = null;
  activity: Activity = idle;
  /** When it last said how far it is; milliseconds since 1970. */
  lastProgressAt: number | null = null;
  /** What the worker said about itself when it became ready. */
  info: Record<string, unknown> = {};
  readonly #owner: SlotOwner;
  #state: SlotState = 'stopped';
  #process: WorkerProcess | null = null;
  #options: Record<string, unknown> = {};
  #exits: UnexpectedExit[] = [];
  #timer: NodeJS.Timeout | null = null;
  #stopping: Promise<StopOutcome | null> | null = null;
  /** How often a stop was asked for. */
  #stops = 0;
  /** Ends what a crashed worker had started, before another one takes its place. */
  #cleanup: Promise<unknown> = Promise.resolve();

  constructor(kind: WorkerKind, owner: SlotOwner) {
    this.kind = kind;
    this.#owner = owner;
  }

  get state(): SlotState {
    return this.#state;
  }

  get options(): Record<string, unknown> {
    return this.#options;
  }

  /** The process, while there is one that has not ended. */
  get process(): WorkerProcess | null {
    return this.#process;
  }

  /** True when it runs or is going to run without being asked again. */
  get isWanted(): boolean {
    return this.#state !== 'stopped' && this.#state !== 'stopping';
  }

  /**
   * Starts the worker and waits until it says that it is ready.
   * @throws CodekeepError WORKER_START_ERROR with the end of its stderr
   */
  async start(options: Record<string, unknown>): Promise<WorkerProcess> {
    const stopsBefore = this.#stops;
    await this.#stopping;
    await this.#cleanup;
    // Whoever asked for a stop since then has been told that nothing runs.
    if (this.#stops !== stopsBefore) throw this.#stoppedMeanwhile();
    if (this.#process !== null) {
      throw new CodekeepError('WORKER_START_ERROR', `${this.kind} runs already.`, 'Stop it first.');
    }
    this.#options = options;
    this.#clearTimer();
    // Whoever asks for it has mended what was wrong.
    this.#exits = [];
    return await this.#spawn();
  }

  /** Stops it, whatever it is doing; null when there was no process. Blocks every respawn. */
  async stop(timeoutMs: number, force: boolean): Promise<StopOutcome | null> {
    this.#stops += 1;
    this.#stopping ??= this.#stop(timeoutMs, force).finally(() => {
      this.#stopping = null;
    });
    return await this.#stopping;
  }

  async #stop(timeoutMs: number, force: boolean): Promise<StopOutcome | null> {
    this.#clearTimer();
    this.#exits = [];
    // From here on nothing respawns, also what was about to.
    this.#enter('stopping');
    const worker = this.#process;
    if (worker === null) {
      await this.#cleanup;
      this.#enter('stopped');
      return null;
    }
    const outcome = await stopWorkerProcess(worker, timeoutMs, force);
    if (outcome.error !== null) this.#owner.log(this.kind, 'error', `stop: ${outcome.error}`);
    // What cannot be killed is still stopping; it is stopped when it has ended after all.
    if (outcome.error === null || worker.hasExited) this.#becomeStopped();
    return outcome;
  }

  #becomeStopped(): void {
    this.#process = null;
    this.#enter('stopped');
  }

  async #spawn(): Promise<WorkerProcess> {
    const worker = this.#owner.fork(this.kind, this.#options, (message) => this.#receive(message));
    this.#process = worker;
    this.#enter('starting');
    void worker.exited.then((exit) => this.#onExit(worker, exit));
    await this.#becomeReady(worker);
    return worker;
  }

  async #becomeReady(worker: WorkerProcess): Promise<void> {
    const timer = setTimeout(() => {
      this.#owner.log(this.kind, 'error', `not ready after ${this.#owner.startTimeoutMs} ms`);
      void stopWorkerProcess(worker, 0, true);
    }, this.#owner.startTimeoutMs);
    try {
      this.info = await worker.ready;
    } finally {
      clearTimeout(timer);
    }
    if (this.#process === worker && this.#state === 'starting') this.#enter('ready');
    else throw this.#stoppedMeanwhile();
  }

  #stoppedMeanwhile(): CodekeepError {
    return new CodekeepError(
      'WORKER_START_ERROR',
      `${this.kind} was stopped while it started.`,
      'Start it again.',
    );
  }

  #receive(message: FromWorker): void {
    if (message.type === 'activity') {
      this.activity = message.activity;
      this.lastProgressAt = Date.now();
    } else this.#owner.onMessage(this, message);
  }

  #onExit(worker: WorkerProcess, exit: WorkerExit): void {
    const now = Date.now();
    this.activity = idle;
    const isStopped = this.#state === 'stopping' || this.#process !== worker;
    const reason = isStopped ? 'stopped' : (worker.condemned ?? reasonOf(exit));
    this.lastExit = { code: exit.code, signal: exit.signal, at: now, reason, stderr: exit.stderr };
    if (this.#process !== worker) return;
    if (this.#state === 'stopping') {
      // Its stop has given it up already.
      if (this.#stopping === null) this.#becomeStopped();
      return;
    }
    this.#process = null;
    this.#exits = relevantExits([...this.#exits, { at: now, uptimeMs: now - worker.startedAt }]);
    const decision = decideRestart(this.#exits, this.#owner.failedRetryMs);
    this.#owner.log(
      this.kind,
      'error',
      `${worker.condemned ?? describeExit(exit)}; ${decision.state}, next start in ${decision.delayMs} ms`,
    );
    this.#enter(decision.state);
    this.#cleanup = stopWorkerProcess(worker, 0, true);
    this.#timer = setTimeout(() => void this.#respawn(), decision.delayMs);
  }

  async #respawn(): Promise<void> {
    await this.#cleanup;
    if (this.#state !== 'backoff' && this.#state !== 'failed') return;
    this.restarts += 1;
    try {
      await this.#spawn();
    } catch (error) {
      this.#owner.log(this.kind, 'error', messageOf(error));
    }
  }

  #clearTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #enter(state: SlotState): void {
    this.#state = state;
    this.#owner.onState(this);
  }
}
