import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { CodekeepError } from '../../base/errors.js';
import {
  type FromWorker,
  taskRequestId,
  type ToWorker,
  type WorkerKind,
  type WorkerStart,
} from '../../base/ipc.js';
import { within } from '../../base/waiting.js';
import { type Launcher, launch } from './launch.js';
import { lookEveryMs, residentBytes, type Vitals } from './liveness.js';
import { identify, type ProcessIdentity } from './process-table.js';

/** Lines of stderr kept to explain why a worker ended. */
const stderrLinesKept = 20;
/** So long (ms) after its exit what a crashed worker wrote is read on. */
const lastWordsMaxMs = 200;
/** Requests under way in one worker: a worker that does not answer must not fill the supervisor's memory. */
const requestsMax = 2_000;

export interface WorkerExit {
  code: number | null;
  signal: NodeJS.Signals | null;
  /** Last lines of stderr. */
  stderr: string[];
}

export interface RequestOptions {
  signal?: AbortSignal | undefined;
  onProgress?: ((phase: string, done: number, total: number) => void) | undefined;
}

interface PendingRequest {
  resolve: (result: unknown) => void;
  reject: (error: unknown) => void;
  onProgress: RequestOptions['onProgress'];
}

export interface WorkerProcessOptions {
  kind: WorkerKind;
  start: WorkerStart;
  launcher: Launcher;
  /** Unique for this process; its descendants inherit it. */
  mark: string;
  onMessage: (message: FromWorker) => void;
  onOutput: (stream: 'stdout' | 'stderr', line: string) => void;
}

/** The parent half of a worker; the child half is workers/host.ts. */
export class WorkerProcess {
  readonly kind: WorkerKind;
  readonly mark: string;
  readonly startedAt = Date.now();
  /** Null only when the process could not be started at all. */
  readonly identity: ProcessIdentity | null;
  /** Resolves with what the worker said about itself; rejects when it ends before. */
  readonly ready: Promise<Record<string, unknown>>;
  readonly exited: Promise<WorkerExit>;
  readonly #child: ChildProcess;
  readonly #pending = new Map<number, PendingRequest>();
  #nextId = taskRequestId + 1;
  #hasExited = false;
  #isReady = false;
  #isAsked = false;
  #hasSpoken = false;
  #silentLooks = 0;
  #longestStepMs: number;
  #condemned: string | null = null;

  constructor(options: WorkerProcessOptions) {
    this.kind = options.kind;
    this.mark = options.mark;
    this.#longestStepMs = options.start.config.worker_hang_timeout * 1_000;
    this.#child = launch(options.launcher, options.kind, options.mark);
    const { pid } = this.#child;
    this.identity = pid === undefined ? null : identify(pid);
    const stderr: string[] = [];
    void this.#followOutput('stdout', this.#child.stdout, options);
    this.exited = this.#exit(stderr, this.#followOutput('stderr', this.#child.stderr, options, stderr));
    this.ready = this.#whenReady();
    this.ready.catch(() => undefined);
    this.#child.on('message', (message: FromWorker) => this.#receive(message, options.onMessage));
    this.send({ type: 'start', start: options.start });
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

  condemn(reason: string): void {
    this.#condemned = reason;
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
    if (this.#child.connected) this.#child.send(message, () => undefined);
  }

  /**
   * Asks the worker and waits for its answer.
   * @throws what the worker answered; CodekeepError INDEX_UNAVAILABLE when it ends before it answers
   */
  async request(method: string, params: unknown, options: RequestOptions = {}): Promise<unknown> {
    if (this.#pending.size >= requestsMax) {
      throw new CodekeepError(
        'LIMIT_EXCEEDED',
        `${requestsMax} requests wait for ${this.kind}.`,
        'Wait for replies before you send more.',
      );
    }
    const id = this.#nextId++;
    this.send({ type: 'request', id, method, params });
    return await this.#answer(id, options);
  }

  /** The result of the task that the worker was started with. */
  async taskResult(options: RequestOptions = {}): Promise<unknown> {
    return await this.#answer(taskRequestId, options);
  }

  async #answer(id: number, options: RequestOptions): Promise<unknown> {
    const cancel = (): void => this.send({ type: 'cancel', id });
    options.signal?.addEventListener('abort', cancel, { once: true });
    if (options.signal?.aborted === true) cancel();
    try {
      return await new Promise((resolve, reject) => {
        if (this.#hasExited) reject(this.#endedEarly());
        else this.#pending.set(id, { resolve, reject, onProgress: options.onProgress });
      });
    } finally {
      options.signal?.removeEventListener('abort', cancel);
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

  async #whenReady(): Promise<Record<string, unknown>> {
    return await new Promise((resolve, reject) => {
      this.#child.on('message', (message: FromWorker) => {
        if (message.type !== 'ready') return;
        this.#isReady = true;
        resolve(message.info);
      });
      void this.exited.then((exit) => reject(startFailure(this.kind, exit)));
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
    // Its last words may still be in the pipe; a process that it has left behind may keep the pipe open.
    if (exit.code !== 0 && exit.signal === null) await within(lastWordsMaxMs, stderrRead);
    for (const { reject } of this.#pending.values()) reject(this.#endedEarly());
    return exit;
  }

  #endedEarly(): CodekeepError {
    const why = this.#condemned === null ? '' : `: it ${this.#condemned}`;
    return new CodekeepError(
      'INDEX_UNAVAILABLE',
      `The ${this.kind} process ended before it answered${why}.`,
      'Call again; it is started again by itself.',
    );
  }

  /** Resolves when all of it has been read. */
  async #followOutput(
    name: 'stdout' | 'stderr',
    stream: Readable | null,
    options: WorkerProcessOptions,
    tail: string[] = [],
  ): Promise<void> {
    if (stream === null) return;
    const lines = createInterface({ input: stream, crlfDelay: Infinity });
    lines.on('line', (line) => {
      tail.push(line);
      if (tail.length > stderrLinesKept) tail.shift();
      options.onOutput(name, line);
    });
    await once(lines, 'close');
  }
}

export function describeExit({ code, signal }: Pick<WorkerExit, 'code' | 'signal'>): string {
  if (signal !== null) return `was ended by ${signal}`;
  return code === null ? 'could not be started' : `ended with exit status ${code}`;
}

/** The line in which Node or V8 says what is fatal; around it are source, stack and fields of the error. */
const fatalLine = /^(?:FATAL ERROR|Error \[\w+\]|\w*Error)\b[^:]*: /;

/** How it ended and, where its stderr says so, why. */
export function reasonOf(exit: WorkerExit): string {
  const lines = exit.stderr.filter((line) => line.trim() !== '');
  const said = lines.findLast((line) => fatalLine.test(line)) ?? lines.at(-1);
  return said === undefined ? describeExit(exit) : `${describeExit(exit)}: ${said}`;
}

function startFailure(kind: WorkerKind, exit: WorkerExit): CodekeepError {
  return new CodekeepError(
    'WORKER_START_ERROR',
    `${kind} was not ready when it ${reasonOf(exit)}`,
    'Look into its log with view_worker_logs, mend the cause, then call start_worker.',
    { stderr: exit.stderr },
  );
}
