import { CodekeepError, messageOf } from '../base/errors.js';
import type { Activity, FromWorker, WorkerKind, WorkerStart } from '../base/ipc.js';
import { decideRestart, relevantExits, type UnexpectedExit } from './restart-policy.js';
import { type StopOutcome, stopWorkerProcess } from './stop-worker.js';
import { describeExit, type WorkerExit, WorkerProcess } from './worker-process.js';

export type SlotState = 'stopped' | 'starting' | 'ready' | 'stopping' | 'backoff' | 'failed';

export interface LastExit {
  code: number | null;
  signal: string | null;
  /** Milliseconds since 1970. */
  at: number;
  reason: string;
}

/** What a slot needs from the supervisor. */
export interface SlotOwner {
  readonly instance: string;
  nextMark(): string;
  startMessage(options: Record<string, unknown>, task: WorkerStart['task']): WorkerStart;
  startTimeoutMs: number;
  onState(slot: WorkerSlot): void;
  onMessage(slot: WorkerSlot, message: FromWorker): void;
  onOutput(kind: WorkerKind, stream: 'stdout' | 'stderr', line: string): void;
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
  /** What the worker said about itself when it became ready. */
  info: Record<string, unknown> = {};
  readonly #owner: SlotOwner;
  #state: SlotState = 'stopped';
  #process: WorkerProcess | null = null;
  #options: Record<string, unknown> = {};
  #exits: UnexpectedExit[] = [];
  #timer: NodeJS.Timeout | null = null;
  #stopping: Promise<StopOutcome | null> | null = null;
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
    await this.#stopping;
    await this.#cleanup;
    if (this.#process !== null) {
      throw new CodekeepError('WORKER_START_ERROR', `${this.kind} runs already.`, 'Stop it first.');
    }
    this.#options = options;
    this.#clearTimer();
    return await this.#spawn();
  }

  /** Stops it, whatever it is doing; null when there was no process. Blocks every respawn. */
  async stop(timeoutMs: number, force: boolean): Promise<StopOutcome | null> {
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
    if (outcome.error === null) {
      this.#process = null;
      this.#enter('stopped');
    } else {
      this.#owner.log(this.kind, 'error', `stop: ${outcome.error}`);
    }
    return outcome;
  }

  async #spawn(): Promise<WorkerProcess> {
    this.#enter('starting');
    const worker = new WorkerProcess({
      kind: this.kind,
      start: this.#owner.startMessage(this.#options, null),
      instance: this.#owner.instance,
      mark: this.#owner.nextMark(),
      onMessage: (message) => this.#receive(message),
      onOutput: (stream, line) => this.#owner.onOutput(this.kind, stream, line),
    });
    this.#process = worker;
    this.#owner.onState(this);
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
    else
      throw new CodekeepError(
        'WORKER_START_ERROR',
        `${this.kind} was stopped while it started.`,
        'Start it again.',
      );
  }

  #receive(message: FromWorker): void {
    if (message.type === 'activity') this.activity = message.activity;
    else this.#owner.onMessage(this, message);
  }

  #onExit(worker: WorkerProcess, exit: WorkerExit): void {
    const now = Date.now();
    this.activity = idle;
    this.lastExit = { code: exit.code, signal: exit.signal, at: now, reason: reasonOf(exit, this.#state) };
    if (this.#process !== worker || this.#state === 'stopping' || this.#state === 'stopped') return;
    this.#process = null;
    this.#exits = relevantExits([...this.#exits, { at: now, uptimeMs: now - worker.startedAt }]);
    const decision = decideRestart(this.#exits);
    this.#owner.log(
      this.kind,
      'error',
      `${describeExit(exit)}; ${decision.state}, next start in ${decision.delayMs} ms`,
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

function reasonOf(exit: WorkerExit, state: SlotState): string {
  if (state === 'stopping') return 'stopped';
  const last = exit.stderr.findLast(
    (line) => line.trim() !== '' && !/^\s+at /.test(line) && !line.startsWith('Node.js v'),
  );
  return last === undefined ? describeExit(exit) : `${describeExit(exit)}: ${last}`;
}
