import type { RequestName, RequestParams, RequestResult, WorkerKind } from '../base/ipc.js';
import type { Work } from '../base/progress.js';
import type { StopOutcome } from './lifecycle/stop-worker.js';
import { EndedEarly } from './lifecycle/worker-exit.js';
import type { WorkerProcess } from './lifecycle/worker-process.js';

export interface TasksOptions {
  startTimeoutMs: number;
  stopTimeoutMs: number;
  fork: <K extends WorkerKind, N extends RequestName<K>>(
    kind: K,
    task: { method: N; params: RequestParams<K, N> },
  ) => WorkerProcess<K>;
}

/** Processes that do one thing and end: a repair, and a reconcile while no watcher runs. */
export class Tasks {
  readonly #options: TasksOptions;
  readonly #running = new Set<WorkerProcess>();

  constructor(options: TasksOptions) {
    this.#options = options;
  }

  /**
   * Runs one task in a process of its own and waits until that process is gone. A task that is cancelled and has not
   * ended after the stop timeout is killed.
   * @param onDeath called where the process ended without an answer: what it did may be half done; and whether it was killed
   * @throws what the task answers; CodekeepError WORKER_START_ERROR, INDEX_UNAVAILABLE; the signal's reason
   */
  async run<K extends WorkerKind, N extends RequestName<K>>(
    kind: K,
    task: { method: N; params: RequestParams<K, N> },
    work: Work,
    onDeath: (wasKilled: boolean) => void = () => undefined,
  ): Promise<RequestResult<K, N>> {
    const { startTimeoutMs, stopTimeoutMs, fork } = this.#options;
    work.signal.throwIfAborted();
    const worker = fork(kind, task);
    this.#running.add(worker);
    const over = new AbortController();
    let killing: NodeJS.Timeout | undefined;
    const kill = (): void => {
      killing = setTimeout(() => void worker.stop(0), stopTimeoutMs);
    };
    work.signal.addEventListener('abort', kill, { once: true, signal: over.signal });
    try {
      const result = worker.taskResult<N>(work);
      result.catch(() => undefined);
      await worker.becomeReady(startTimeoutMs);
      return await result;
    } catch (error) {
      if (error instanceof EndedEarly || worker.wasKilled) onDeath(worker.wasKilled);
      // What it ended with says less than why it had to.
      if (worker.hasExited) work.signal.throwIfAborted();
      throw error;
    } finally {
      over.abort();
      clearTimeout(killing);
      await worker.stop(stopTimeoutMs);
      this.#running.delete(worker);
    }
  }

  has(kind: WorkerKind): boolean {
    return [...this.#running].some((worker) => worker.kind === kind);
  }

  /** Stops all of one kind at the same time. */
  async stop(timeoutMs: number, kind: WorkerKind): Promise<StopOutcome[]> {
    const chosen = [...this.#running].filter((worker) => worker.kind === kind);
    return await Promise.all(chosen.map((worker) => worker.stop(timeoutMs)));
  }
}
