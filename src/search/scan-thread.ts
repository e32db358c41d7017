import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { packagePath } from '../base/package.js';
import { unlessAborted } from '../base/waiting.js';
import type { Stretch } from './chunk-ranges.js';
import { nearestRows, type SignatureTable } from './signature-scan.js';

/**
 * A second thread that goes through the signatures of a large project while this one looks for words: each takes some 20 ms
 * for 1.7 million chunks. It stays, since a start takes longer than that, and needs 8 MB.
 */

/** From so many signatures on it pays: they take 2 ms. */
const threadMinRows = 150_000;

interface Task {
  id: number;
  /** Its arrays are shared. */
  table: SignatureTable;
  question: Float32Array;
  stretches: readonly Stretch[];
  limit: number;
}

interface Answer {
  id: number;
  rows: readonly number[];
}

/** As nearestRows, by another thread where there are many rows and one can be had. */
export async function nearestRowsAside(
  table: SignatureTable,
  question: Float32Array,
  stretches: readonly Stretch[],
  limit: number,
  signal: AbortSignal,
): Promise<readonly number[]> {
  const rows = stretches.reduce((sum, [start, end]) => sum + end - start, 0);
  if (rows >= threadMinRows) {
    const found = await unlessAborted(thread().nearest({ table, question, stretches, limit }), signal);
    if (found !== null) return found;
  }
  return await nearestRows(table, question, stretches, limit, signal);
}

let running: ScanThread | null = null;

function thread(): ScanThread {
  running ??= new ScanThread(() => (running = null));
  return running;
}

class ScanThread {
  readonly #thread: Worker;
  readonly #waiting = new Map<number, (rows: readonly number[] | null) => void>();
  #tasks = 0;

  /** @param onEnd it is of no use any more */
  constructor(onEnd: () => void) {
    this.#thread = new Worker(packagePath('dist', 'search', 'scan-thread.js'), { workerData: 'scan' });
    this.#thread.on('message', ({ id, rows }: Answer) => this.#settle(id, rows));
    const end = (): void => {
      onEnd();
      // A machine that has no more threads: then who asks goes through them.
      for (const id of this.#waiting.keys()) this.#settle(id, null);
    };
    this.#thread.once('error', end).once('exit', end);
    this.#thread.unref();
  }

  /** Null where the thread has ended. */
  async nearest(task: Omit<Task, 'id'>): Promise<readonly number[] | null> {
    const id = this.#tasks++;
    const answered = new Promise<readonly number[] | null>((resolve) => this.#waiting.set(id, resolve));
    this.#thread.ref();
    this.#thread.postMessage({ ...task, id } satisfies Task);
    return await answered;
  }

  #settle(id: number, rows: readonly number[] | null): void {
    const settle = this.#waiting.get(id);
    this.#waiting.delete(id);
    // A process that has nothing else to do ends.
    if (this.#waiting.size === 0) this.#thread.unref();
    settle?.(rows);
  }
}

function work(): void {
  parentPort?.on('message', ({ id, table, question, stretches, limit }: Task) => {
    void nearestRows(table, question, stretches, limit).then((rows) =>
      parentPort?.postMessage({ id, rows } satisfies Answer),
    );
  });
}

if (!isMainThread && workerData === 'scan') work();
