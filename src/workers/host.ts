import { setMaxListeners } from 'node:events';
import { join } from 'node:path';
import { cancelled, CodekeepError, type ErrorShape, messageOf } from '../base/errors.js';
import { turn } from '../base/waiting.js';
import {
  type Activity,
  type FromWorker,
  type LogLevel,
  type RequestName,
  type RequestParams,
  type RequestResult,
  taskRequestId,
  type ToWorker,
  type WorkerInfo,
  type WorkerKind,
  type WorkerStart,
} from '../base/ipc.js';
import { throttled, throttledProgress, type Work } from '../base/progress.js';
import { outsideCause } from '../store/sqlite-errors.js';

/** A worker whose supervisor is gone has so long (ms) to end in order. */
const orphanGraceMs = 1_000;
/** How often a worker looks whether its supervisor is still its parent (ms). */
const parentCheckMs = 500;
/** Progress goes out at most this often (ms). */
const activityEveryMs = 100;

/** What a request handler may use; its signal aborts when the request is cancelled or the worker has to stop. */
export interface RequestCall extends Work {
  longStep: WorkerHost['longStep'];
}

/** One function for each request that this kind of worker can be asked. */
export type RequestHandlers<K extends WorkerKind> = {
  [N in RequestName<K>]: (
    params: RequestParams<K, N>,
    call: RequestCall,
  ) => Promise<RequestResult<K, N>> | RequestResult<K, N>;
};

/** What one kind of worker does: `run` resolves when the worker has nothing left to do or has to stop. */
export interface WorkerBody<K extends WorkerKind = WorkerKind> {
  /** Goes to the supervisor with "ready". */
  info?: WorkerInfo;
  requests: RequestHandlers<K>;
  onNudge?: (about: 'projects' | 'chunks') => void;
  onWatcherRunning?: (running: boolean) => void;
  onHeld?: (held: boolean) => void;
  run(): Promise<void>;
  close(): void | Promise<void>;
}

/**
 * The child half of a worker: the IPC channel, stop and orphan handling. Its parent half is
 * supervisor/lifecycle/worker-process.ts. Stopping is one AbortSignal that every loop and every sleep listens to.
 */
export class WorkerHost {
  readonly start: WorkerStart;
  /** Aborts when the worker has to stop. */
  readonly signal: AbortSignal;
  readonly #stopping: AbortController;
  readonly #requests = new Map<number, AbortController>();
  /** All requests so far have begun. */
  #begun: Promise<void> = Promise.resolve();
  /** Resolves when everything that was said is on its way. */
  #lastSent: Promise<void> = Promise.resolve();
  readonly #sendActivity = throttled(activityEveryMs, (activity: Activity) =>
    this.send({ type: 'activity', activity }),
  );

  private constructor(start: WorkerStart, stopping: AbortController) {
    this.start = start;
    this.#stopping = stopping;
    this.signal = stopping.signal;
  }

  /** The index in the state directory. */
  get indexPath(): string {
    return join(this.start.stateDir, 'index.db');
  }

  /**
   * Loads the program, waits for the start message, runs the body, and ends the process: by SIGTERM once all is done, 1
   * after a failure.
   */
  static async main(load: () => Promise<(host: WorkerHost) => Promise<WorkerBody>>): Promise<void> {
    const stopping = new AbortController();
    // Each project that is watched listens to it, and each sleep.
    setMaxListeners(0, stopping.signal);
    endWithSupervisor(stopping);
    process.on('SIGTERM', () => stopping.abort());
    // Ctrl-C is the supervisor's to handle; it stops its workers in order.
    process.on('SIGINT', () => undefined);
    const inbox = new Inbox();
    // Before it is told what to do it opens nothing: it may be started ahead of its time.
    const [open, start] = await Promise.all([load(), inbox.start]);
    const host = new WorkerHost(start, stopping);
    const body = await open(host).catch((error: unknown) => {
      // A stop that comes while it opens is no failure.
      if (error !== stopping.signal.reason) throw error;
      return null;
    });
    if (body === null) return endAtOnce();
    host.send({ type: 'ready', info: body.info ?? {} });
    try {
      const work = start.task === null ? host.#runBody(body) : host.#runTask(body, start.task);
      // A task may have been cancelled before it was begun: it has to be there to be cancelled.
      inbox.open((message) => host.#receive(body, message));
      await work;
    } catch (error) {
      if (!host.signal.aborted) throw error;
    } finally {
      await body.close();
    }
    await host.#lastSent;
    endAtOnce();
  }

  /** Sends unless the supervisor is gone. */
  send(message: FromWorker): void {
    if (!process.connected) return;
    this.#lastSent = new Promise((resolve) => {
      process.send?.(message, undefined, {}, () => resolve());
    });
  }

  log(level: LogLevel, message: string): void {
    this.send({ type: 'log', level, message });
  }

  /** Says what the worker is doing; the supervisor takes it for a sign of life. */
  report(operation: string | null, done = 0, total = 0): void {
    this.#sendActivity(operation === null || done === total, { operation, done, total });
  }

  /**
   * Does synchronous work that may hold the event loop longer than others do: until it is done the supervisor
   * takes silence for work.
   * @param longestMs beyond so much it is taken for hung
   */
  longStep<T>(longestMs: number, work: () => T): T {
    const usualMs = this.start.config.worker_hang_timeout * 1_000;
    this.send({ type: 'step', longestMs: Math.max(longestMs, usualMs) });
    try {
      return work();
    } finally {
      this.send({ type: 'step', longestMs: usualMs });
    }
  }

  /**
   * Does what may keep the worker from being ready for longer than the start timeout.
   * @param longestMs beyond so much it is taken for hung
   */
  async longStart<T>(longestMs: number, work: () => Promise<T>): Promise<T> {
    this.send({ type: 'step', longestMs });
    try {
      return await work();
    } finally {
      this.send({ type: 'step', longestMs: this.start.config.worker_hang_timeout * 1_000 });
    }
  }

  #receive(body: WorkerBody, message: ToWorker): void {
    switch (message.type) {
      case 'stop':
        return this.#stopping.abort();
      case 'cancel':
        return this.#requests.get(message.id)?.abort(cancelled('The work'));
      case 'nudge':
        return body.onNudge?.(message.about);
      case 'ping':
        return this.send({ type: 'pong' });
      case 'watcher_running':
        return body.onWatcherRunning?.(message.running);
      case 'held':
        return body.onHeld?.(message.held);
      case 'request':
        return this.#queue(body, message.id, message.method, message.params);
      case 'start':
        return undefined;
    }
  }

  async #runBody(body: WorkerBody): Promise<void> {
    // A stop that came while it opened is not announced again.
    if (!this.signal.aborted) await body.run();
  }

  /** One begins a turn of the event loop: many that each take a while must not hide a ping, or a stop. */
  #queue(body: WorkerBody, id: number, method: string, params: unknown): void {
    this.#requests.set(id, new AbortController());
    this.#begun = this.#begun.then(turn).then(() => {
      void this.#answer(body, id, method, params);
    });
  }

  async #runTask(body: WorkerBody, task: { method: string; params: unknown }): Promise<void> {
    await this.#answer(body, taskRequestId, task.method, task.params);
  }

  async #answer(body: WorkerBody, id: number, method: string, params: unknown): Promise<void> {
    const own = this.#requests.get(id) ?? new AbortController();
    this.#requests.set(id, own);
    const call: RequestCall = {
      signal: AbortSignal.any([own.signal, this.signal]),
      progress: throttledProgress((phase, done, total) =>
        this.send({ type: 'request_progress', id, phase, done, total }),
      ),
      longStep: (longestMs, work) => this.longStep(longestMs, work),
    };
    try {
      this.send({ type: 'reply', id, result: await handlerOf(body, method)(params, call) });
    } catch (error) {
      this.send({ type: 'failure', id, ...failureOf(error, call.signal) });
    } finally {
      this.#requests.delete(id);
    }
  }
}

/**
 * Everything is closed. process.exit would wait until V8 has optimised what it began to optimise, up to 1.3 s for
 * a large grammar; the default action of a signal waits for nothing.
 */
function endAtOnce(): void {
  process.removeAllListeners('SIGTERM');
  process.kill(process.pid, 'SIGTERM');
}

/** The channel carries names and JSON; the supervisor sends what RequestHandlers declares, and nothing else. */
function handlerOf(
  { requests }: WorkerBody,
  method: string,
): (params: unknown, call: RequestCall) => unknown {
  const handlers = requests as Record<string, (params: unknown, call: RequestCall) => unknown>;
  const handler = Object.hasOwn(handlers, method) ? handlers[method] : undefined;
  if (handler === undefined) throw new Error(`this worker is not asked for ${method}`);
  return handler;
}

function failureOf(error: unknown, signal: AbortSignal): { error: ErrorShape | null; defect: string } {
  if (error instanceof CodekeepError) return { error: error.toShape(), defect: '' };
  if (signal.aborted) return { error: cancelled('The work').toShape(), defect: '' };
  const cause = outsideCause(error);
  if (cause !== null) return { error: cause.toShape(), defect: '' };
  return { error: null, defect: error instanceof Error ? (error.stack ?? error.message) : messageOf(error) };
}

/** The messages of the supervisor, from the first on: what comes while nobody listens is lost in Node. */
class Inbox {
  readonly start: Promise<WorkerStart>;
  readonly #early: ToWorker[] = [];
  #take: ((message: ToWorker) => void) | null = null;

  constructor() {
    this.start = new Promise((resolve) => {
      process.on('message', (message: ToWorker) => {
        if (message.type === 'start') resolve(message.start);
        else if (this.#take === null) this.#early.push(message);
        else this.#take(message);
      });
    });
  }

  /** Hands over what came so far, and from now on what comes. */
  open(take: (message: ToWorker) => void): void {
    this.#take = take;
    for (const message of this.#early.splice(0)) take(message);
  }
}

/** A worker never outlives its supervisor: the channel closes, or the parent is another process by now. */
function endWithSupervisor(stopping: AbortController): void {
  const parent = process.ppid;
  const end = (): void => {
    stopping.abort();
    setTimeout(() => process.exit(1), orphanGraceMs).unref();
  };
  process.on('disconnect', end);
  setInterval(() => {
    if (process.ppid !== parent) end();
  }, parentCheckMs).unref();
}
