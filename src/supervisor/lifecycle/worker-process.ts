import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { CodekeepError, messageOf } from '../../base/errors.js';
import {
  type FromWorker,
  type RequestName,
  type RequestParams,
  type RequestResult,
  taskRequestId,
  type ToWorker,
  type WorkerInfo,
  type WorkerKind,
  type WorkerStart,
} from '../../base/ipc.js';
import { look, type ProcessIdentity } from '../../base/process-identity.js';
import type { Work } from '../../base/progress.js';
import { unlessAborted, within } from '../../base/waiting.js';
import { writes } from '../../contract/index.js';
import { type Launcher, launch } from './launch.js';
import { lookEveryMs, residentBytes, type Vitals } from './liveness.js';
import { type StopOutcome, WorkerStop } from './stop-worker.js';
import { EndedEarly, reasonOf, startFailure, type WorkerExit } from './worker-exit.js';

/** Lines of stderr kept to explain why a worker ended. */
const stderrLinesKept = 20;
/** So long (ms) after its exit what a crashed worker wrote is read on. */
const lastWordsMaxMs = 200;
/** Requests under way in one worker: a worker that does not answer must not fill the supervisor's memory. */
const requestsMax = 2_000;

interface PendingRequest {
  resolve: (result: unknown) => void;
  reject: (error: unknown) => void;
  /** It changes something, as the contract says of a method, or as a repair does. */
  isWrite: boolean;
  onProgress: Work['progress'] | undefined;
}

export interface WorkerProcessOptions<K extends WorkerKind> {
  kind: K;
  launcher: Launcher;
  /** Unique for this process; its descendants inherit it. */
  mark: string;
  onOutput: (stream: 'stdout' | 'stderr', line: string) => void;
}

/** The parent half of a worker; the child half is workers/host.ts. It loads its program, and does nothing before `begin`. */
export class WorkerProcess<K extends WorkerKind = WorkerKind> {
  readonly kind: K;
  readonly mark: string;
  readonly startedAt = Date.now();
  /** Null when the process could not be started, or was killed at once: nothing is signalled that is not known for certain. */
  readonly identity: ProcessIdentity | null;
  /** Resolves with what the worker said about itself; rejects when it ends before. */
  readonly ready: Promise<WorkerInfo>;
  readonly exited: Promise<WorkerExit>;
  readonly #child: ChildProcess;
  readonly #pending = new Map<number, PendingRequest>();
  #unsent = 0;
  #nextId = taskRequestId + 1;
  #hasExited = false;
  #endedBy: NodeJS.Signals | null = null;
  /** How it ended, once its last words are read. */
  #exitReason: string | null = null;
  #isReady = false;
  /** It has said that its start takes until then (performance.now). */
  #startsUntil = 0;
  #isAsked = false;
  #hasSpoken = false;
  #silentLooks = 0;
  /** As it declares; before it is ready the start timeout watches it. */
  #longestStepMs = Number.POSITIVE_INFINITY;
  #condemned: string | null = null;
  #stop: WorkerStop | null = null;
  #remaining: readonly ProcessIdentity[] = [];
  /** Resolves when the channel has taken what was sent last; null while it takes everything at once. */
  #backlog: Promise<void> | null = null;

  constructor(options: WorkerProcessOptions<K>) {
    this.kind = options.kind;
    this.mark = options.mark;
    this.#child = launch(options.launcher, options.kind, options.mark);
    this.identity = this.#identify();
    const stderr: string[] = [];
    void this.#followOutput('stdout', this.#child.stdout, options);
    this.exited = this.#exit(stderr, this.#followOutput('stderr', this.#child.stderr, options, stderr));
    this.ready = this.#whenReady();
    this.ready.catch(() => undefined);
  }

  /** Tells it what to do, once. */
  begin(start: WorkerStart, onMessage: (message: FromWorker) => void): void {
    this.#longestStepMs = start.config.worker_hang_timeout * 1_000;
    this.#child.on('message', (message: FromWorker) => this.#receive(message, onMessage));
    this.send({ type: 'start', start });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get hasExited(): boolean {
    return this.#hasExited;
  }

  /** Why it had to be ended; null for one that ended by itself or was stopped. */
  get condemned(): string | null {
    return this.#condemned;
  }

  /** A signal has ended it that nobody here had sent because of what it did. */
  get wasKilled(): boolean {
    return this.#endedBy !== null && this.#condemned === null;
  }

  condemn(reason: string): void {
    this.#condemned = reason;
  }

  /** What was still there when it could not be stopped; empty otherwise. */
  get remaining(): readonly ProcessIdentity[] {
    return this.#remaining;
  }

  /**
   * Waits until it says that it is ready; one that takes longer than `timeoutMs` is ended.
   * @throws CodekeepError WORKER_START_ERROR with the end of its stderr
   */
  async becomeReady(timeoutMs: number): Promise<WorkerInfo> {
    const begun = performance.now();
    for (let leftMs = timeoutMs; leftMs > 0;) {
      const info = await within(leftMs, this.ready);
      if (info !== null) return info;
      leftMs = Math.max(begun + timeoutMs, this.#startsUntil) - performance.now();
    }
    const why = `was not ready within ${timeoutMs / 1_000} s`;
    this.condemn(why);
    await this.stop(0);
    throw startFailure(this.kind, why, []);
  }

  /**
   * Stops it, whatever it is doing, as WorkerStop says. Whoever asks while a stop is under way can only bring its
   * deadline nearer; one that failed is tried again.
   * @param timeoutMs until SIGKILL; 0: at once
   */
  async stop(timeoutMs: number): Promise<StopOutcome> {
    if (this.#stop === null) this.#stop = new WorkerStop(this, timeoutMs);
    else this.#stop.shorten(timeoutMs);
    const outcome = await this.#stop.outcome;
    this.#remaining = outcome.remaining;
    if (outcome.error !== null) this.#stop = null;
    return outcome;
  }

  /** Counts the looks since it last said anything, and asks it for a sign of life; call it every lookEveryMs. */
  look(): Vitals {
    this.#silentLooks = this.#isAsked && !this.#hasSpoken ? this.#silentLooks + 1 : 0;
    // One question at a time: what is sent to a stopped process is kept without bound. Before it is ready, the
    // start timeout watches it.
    if (this.#isReady && (!this.#isAsked || this.#hasSpoken)) {
      this.#isAsked = true;
      this.send({ type: 'ping' });
    }
    this.#hasSpoken = false;
    return {
      silentMs: this.#silentLooks * lookEveryMs,
      longestStepMs: this.#longestStepMs,
      memoryBytes: residentBytes(this.pid),
    };
  }

  /** Sends a message unless the channel is closed: what it was for is gone then, too. */
  send(message: ToWorker): void {
    if (!this.#child.connected) return;
    let hasRoom = true;
    const taken = new Promise<void>((resolve) => {
      hasRoom = this.#child.send(message, () => resolve());
    });
    if (hasRoom) return;
    const backlog = taken.then(() => {
      if (this.#backlog === backlog) this.#backlog = null;
    });
    this.#backlog = backlog;
  }

  /**
   * Asks the worker and waits for its answer.
   * @throws what the worker answered; CodekeepError INDEX_UNAVAILABLE when it ends before it answers; the signal's
   * reason where it aborts before the request could be sent
   */
  async request<N extends RequestName<K>>(
    method: N,
    params: RequestParams<K, N>,
    work: Partial<Work> = {},
  ): Promise<RequestResult<K, N>> {
    if (this.#pending.size + this.#unsent >= requestsMax) {
      throw new CodekeepError(
        'LIMIT_EXCEEDED',
        `${requestsMax} requests wait for ${this.kind}.`,
        'Wait for replies before you send more.',
      );
    }
    await this.#room(work.signal);
    const id = this.#nextId++;
    this.send({ type: 'request', id, method, params });
    return (await this.#answer(id, writes(method), work)) as RequestResult<K, N>;
  }

  /** What is sent to a process that does not read is kept without bound: so no more than one backlog of it is. */
  async #room(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    this.#unsent += 1;
    try {
      while (this.#backlog !== null && !this.#hasExited)
        await unlessAborted(Promise.race([this.#backlog, this.exited]), signal);
    } finally {
      this.#unsent -= 1;
    }
  }

  /** The result of the task that the worker was started with. */
  async taskResult<N extends RequestName<K>>(work: Partial<Work> = {}): Promise<RequestResult<K, N>> {
    return (await this.#answer(taskRequestId, this.kind === 'repair', work)) as RequestResult<K, N>;
  }

  async #answer(id: number, isWrite: boolean, { signal, progress }: Partial<Work>): Promise<unknown> {
    const cancel = (): void => this.send({ type: 'cancel', id });
    signal?.addEventListener('abort', cancel, { once: true });
    if (signal?.aborted === true) cancel();
    try {
      return await new Promise((resolve, reject) => {
        if (this.#exitReason !== null) reject(this.#endedEarly(this.#exitReason, isWrite));
        else this.#pending.set(id, { resolve, reject, isWrite, onProgress: progress });
      });
    } finally {
      signal?.removeEventListener('abort', cancel);
      this.#pending.delete(id);
    }
  }

  #receive(message: FromWorker, onMessage: (message: FromWorker) => void): void {
    this.#hasSpoken = true;
    switch (message.type) {
      case 'pong':
        return undefined;
      case 'step':
        this.#longestStepMs = message.longestMs;
        if (!this.#isReady) this.#startsUntil = performance.now() + message.longestMs;
        return undefined;
      case 'reply':
        return this.#pending.get(message.id)?.resolve(message.result);
      case 'failure': {
        const error =
          message.error === null ? new Error(message.defect) : CodekeepError.fromShape(message.error);
        return this.#pending.get(message.id)?.reject(error);
      }
      case 'request_progress':
        return this.#pending.get(message.id)?.onProgress?.(message.phase, message.done, message.total);
      default:
        return onMessage(message);
    }
  }

  /** It has started nothing yet: one that cannot be looked at is ended while it can be ended as a child. */
  #identify(): ProcessIdentity | null {
    const { pid } = this.#child;
    if (pid === undefined) return null;
    try {
      return look(pid);
    } catch (error) {
      this.condemn(`could not be started: ${messageOf(error)}`);
      this.#child.kill('SIGKILL');
      return null;
    }
  }

  async #whenReady(): Promise<WorkerInfo> {
    return await new Promise((resolve, reject) => {
      this.#child.on('message', (message: FromWorker) => {
        if (message.type !== 'ready') return;
        this.#isReady = true;
        resolve(message.info);
      });
      void this.exited.then((exit) => {
        const how = this.#child.pid === undefined ? '' : 'was not ready when it ';
        const why = this.#condemned ?? `${how}${reasonOf(exit)}`;
        reject(startFailure(this.kind, why, exit.stderr));
      });
    });
  }

  async #exit(stderr: string[], stderrRead: Promise<void>): Promise<WorkerExit> {
    const exit = await new Promise<WorkerExit>((resolve) => {
      // 'exit' and not 'close': a grandchild that holds stdio would keep 'close' waiting.
      this.#child.once('exit', (code, signal) => resolve({ code, signal, stderr }));
      this.#child.once('error', (error) => {
        stderr.push(error.message);
        if (this.#child.pid === undefined) resolve({ code: null, signal: null, stderr });
      });
    });
    this.#hasExited = true;
    this.#endedBy = exit.signal;
    // Its last words may still be in the pipe; a process that it has left behind may keep the pipe open.
    if (exit.code !== 0 && exit.signal === null) await within(lastWordsMaxMs, stderrRead);
    this.#exitReason = reasonOf(exit);
    for (const { reject, isWrite } of this.#pending.values())
      reject(this.#endedEarly(this.#exitReason, isWrite));
    return exit;
  }

  #endedEarly(exitReason: string, isWrite: boolean): EndedEarly {
    return new EndedEarly(this.kind, this.#condemned ?? exitReason, isWrite);
  }

  /** Resolves when all of it has been read. */
  async #followOutput(
    name: 'stdout' | 'stderr',
    stream: Readable | null | undefined,
    { onOutput }: Pick<WorkerProcessOptions<K>, 'onOutput'>,
    tail: string[] = [],
  ): Promise<void> {
    // There is none where it could not be started, whatever Node's types say.
    if (stream === null || stream === undefined) return;
    const lines = createInterface({ input: stream, crlfDelay: Infinity });
    lines.on('line', (line) => {
      tail.push(line);
      if (tail.length > stderrLinesKept) tail.shift();
      onOutput(name, line);
    });
    await once(lines, 'close');
  }
}
