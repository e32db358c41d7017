import { Change } from '../../base/change.js';
import { CodekeepError, messageOf } from '../../base/errors.js';
import type { Activity, FromWorker, WorkerInfo, WorkerKind, WorkerOptions } from '../../base/ipc.js';
import { decideRestart, relevantExits, type UnexpectedExit } from './restart-policy.js';
import type { StopOutcome } from './stop-worker.js';
import { damageHint, reasonOf, saysDamage, type WorkerExit } from './worker-exit.js';
import type { WorkerProcess } from './worker-process.js';

/** Requests that may wait for one worker to be ready. */
const waitingMax = 2_000;

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

/** The index could not be opened: to start it again does not help. */
export function isOfDamage(exit: LastExit | null): boolean {
  return exit !== null && saysDamage(exit.reason);
}

/** Somebody stopped it before it was ready: it did not fail. */
export class StoppedMeanwhile extends CodekeepError {
  constructor(kind: WorkerKind) {
    super('WORKER_START_ERROR', `${kind} was stopped while it started.`, 'Start it again.');
  }
}

/** What a slot needs from the supervisor. */
export interface SlotOwner {
  startTimeoutMs: number;
  failedRetryMs: number;
  /** Ends what else does this worker's job, before each fork; null where nothing does. */
  makeWay(kind: WorkerKind): Promise<unknown> | null;
  fork<K extends WorkerKind>(
    kind: K,
    options: WorkerOptions,
    onMessage: (message: FromWorker) => void,
  ): WorkerProcess<K>;
  onState(slot: WorkerSlot): void;
  onMessage(slot: WorkerSlot, message: FromWorker): void;
  log(kind: WorkerKind, level: 'error' | 'warn' | 'info', message: string): void;
}

const idle: Activity = { operation: null, done: 0, total: 0 };

/**
 * The lifecycle of one kind of worker: stopped → starting → ready → stopping → stopped; a crash goes to
 * backoff and starting again, crashes in a row to failed, which heals by a slow timer or by `start`.
 */
export class WorkerSlot<K extends WorkerKind = WorkerKind> {
  readonly kind: K;
  restarts = 0;
  lastExit: LastExit | null = null;
  activity: Activity = idle;
  /** When it last said how far it is; milliseconds since 1970. */
  lastProgressAt: number | null = null;
  /** What the worker said about itself when it became ready. */
  info: WorkerInfo = {};
  readonly #owner: SlotOwner;
  readonly #change = new Change();
  #state: SlotState = 'stopped';
  #process: WorkerProcess<K> | null = null;
  #options: WorkerOptions = {};
  #waiting = 0;
  #exits: UnexpectedExit[] = [];
  #timer: NodeJS.Timeout | null = null;
  #stopping: Promise<StopOutcome | null> | null = null;
  /** From the wish for a process to its being there. */
  #forking: Promise<WorkerProcess<K>> | null = null;
  /** How often a stop was asked for. */
  #stops = 0;
  /** Ends what a crashed worker had started, before another one takes its place. */
  #cleanup: Promise<unknown> = Promise.resolve();

  constructor(kind: K, owner: SlotOwner) {
    this.kind = kind;
    this.#owner = owner;
  }

  get state(): SlotState {
    return this.#state;
  }

  get options(): WorkerOptions {
    return this.#options;
  }

  /** The process, while there is one that has not ended. */
  get process(): WorkerProcess<K> | null {
    return this.#process;
  }

  /** True when it runs or is going to run without being asked again. */
  get isWanted(): boolean {
    return this.#state !== 'stopped' && this.#state !== 'stopping';
  }

  /**
   * Starts the worker and waits until it says that it is ready.
   * @returns isNew: false for one that runs already, which need not be ready yet
   * @throws CodekeepError WORKER_START_ERROR with the end of its stderr
   */
  async start(options: WorkerOptions): Promise<{ worker: WorkerProcess<K>; isNew: boolean }> {
    const stopsBefore = this.#stops;
    await this.#stopping;
    await this.#cleanup;
    // Whoever asked for a stop since then has been told that nothing runs.
    if (this.#stops !== stopsBefore) throw this.#stoppedMeanwhile();
    if (this.#forking !== null) return { worker: await this.#forking, isNew: false };
    if (this.#process !== null && this.isWanted) return { worker: this.#process, isNew: false };
    if (this.#process !== null) throw this.#cannotEnd(this.#process);
    this.#options = options;
    this.#clearTimer();
    // Whoever asks for it has mended what was wrong.
    this.#exits = [];
    return { worker: await this.#spawn(), isNew: true };
  }

  /**
   * The process, once it is ready: waits for one that starts or is about to be started again, bounded by the start
   * timeout.
   * @param isExpected whether to wait also while nobody has asked for it
   * @throws CodekeepError INDEX_UNAVAILABLE, DATABASE_CORRUPT, LIMIT_EXCEEDED; the signal's reason
   */
  async whenReady(signal?: AbortSignal, isExpected = () => this.isWanted): Promise<WorkerProcess<K>> {
    const giveUpAt = performance.now() + this.#owner.startTimeoutMs;
    this.#waiting += 1;
    try {
      if (this.#waiting > waitingMax) throw this.#tooManyWait();
      while (isExpected() && this.#state !== 'failed') {
        signal?.throwIfAborted();
        if (this.#process?.hasExited === false && this.#state === 'ready') return this.#process;
        const leftMs = giveUpAt - performance.now();
        if (leftMs <= 0) break;
        await this.#change.next(leftMs, signal);
      }
    } finally {
      this.#waiting -= 1;
    }
    throw this.#unavailable();
  }

  /**
   * Stops it, whatever it is doing; null when there was no process. Blocks every respawn. While a stop is under way
   * another one only brings its deadline nearer.
   * @param timeoutMs until SIGKILL; 0: at once
   */
  async stop(timeoutMs: number): Promise<StopOutcome | null> {
    this.#stops += 1;
    if (this.#stopping !== null) void this.#process?.stop(timeoutMs);
    this.#stopping ??= this.#stop(timeoutMs).finally(() => {
      this.#stopping = null;
    });
    return await this.#stopping;
  }

  async #stop(timeoutMs: number): Promise<StopOutcome | null> {
    this.#clearTimer();
    this.#exits = [];
    // From here on nothing respawns, also what was about to.
    this.#enter('stopping');
    await this.#forking?.catch(() => undefined);
    const worker = this.#process;
    if (worker === null) {
      await this.#cleanup;
      this.#enter('stopped');
      return null;
    }
    const outcome = await worker.stop(timeoutMs);
    if (outcome.error !== null) this.#owner.log(this.kind, 'error', `stop: ${outcome.error}`);
    // What cannot be killed is still stopping; it is stopped when it has ended after all.
    if (outcome.error === null || worker.hasExited) this.#becomeStopped();
    return outcome;
  }

  #becomeStopped(): void {
    this.#process = null;
    this.#enter('stopped');
  }

  async #spawn(): Promise<WorkerProcess<K>> {
    this.#forking = this.#fork().finally(() => {
      this.#forking = null;
    });
    const stopsBefore = this.#stops;
    const worker = await this.#forking;
    this.info = await worker.becomeReady(this.#owner.startTimeoutMs).catch((error: unknown) => {
      throw this.#stops === stopsBefore ? error : this.#stoppedMeanwhile();
    });
    if (this.#process === worker && this.#state === 'starting') this.#enter('ready');
    else throw this.#stoppedMeanwhile();
    return worker;
  }

  async #fork(): Promise<WorkerProcess<K>> {
    const other = this.#owner.makeWay(this.kind);
    if (other !== null) {
      // Said before it is true of a process: who asks meanwhile is to wait for that.
      this.#enter('starting');
      await other;
      if (this.#state !== 'starting') throw this.#stoppedMeanwhile();
    }
    const worker = this.#forkNow();
    this.#process = worker;
    this.#enter('starting');
    void worker.exited.then((exit) => this.#onExit(worker, exit));
    return worker;
  }

  #forkNow(): WorkerProcess<K> {
    try {
      return this.#owner.fork(this.kind, this.#options, (message) => this.#receive(message));
    } catch (error) {
      this.#enter('stopped');
      throw error;
    }
  }

  #stoppedMeanwhile(): CodekeepError {
    return new StoppedMeanwhile(this.kind);
  }

  #cannotEnd({ pid }: WorkerProcess<K>): CodekeepError {
    return new CodekeepError(
      'WORKER_START_ERROR',
      `The ${this.kind} process before (pid ${pid}) cannot be ended.`,
      'End it by hand; then start it again.',
    );
  }

  #tooManyWait(): CodekeepError {
    return new CodekeepError(
      'LIMIT_EXCEEDED',
      `${waitingMax} requests wait for ${this.kind} to be ready.`,
      'Call again once some of them are answered.',
    );
  }

  #unavailable(): CodekeepError {
    const why = this.lastExit === null ? '' : `: it ${this.lastExit.reason}`;
    const message = `${this.kind} is ${this.#state}${why}.`;
    if (isOfDamage(this.lastExit)) return new CodekeepError('DATABASE_CORRUPT', message, damageHint);
    return new CodekeepError(
      'INDEX_UNAVAILABLE',
      message,
      `Call again in a moment; view_worker_logs ${this.kind} has the cause.`,
    );
  }

  #receive(message: FromWorker): void {
    if (message.type === 'activity') {
      this.activity = message.activity;
      this.lastProgressAt = Date.now();
    } else this.#owner.onMessage(this, message);
  }

  #onExit(worker: WorkerProcess<K>, exit: WorkerExit): void {
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
    const { state, delayMs } = decideRestart(
      this.#exits,
      this.#owner.failedRetryMs,
      isOfDamage(this.lastExit),
    );
    this.#owner.log(this.kind, 'error', `${reason}; ${state}, next start in ${delayMs} ms`);
    this.#enter(state);
    this.#cleanup = worker.stop(0);
    this.#timer = setTimeout(() => void this.#respawn(), delayMs);
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
    this.#change.notify();
  }
}
