import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { packagePath } from '../../base/package.js';
import { IndexDatabase } from '../../store/index-database.js';
import { type Looked, lookAtRanges, type Ranges } from './look-at-rows.js';

/** A second thread for the first look at rows, over a connection of its own that cannot write. */

interface Task {
  databasePath: string;
  ranges: Ranges;
}

export class LookThread {
  /** What it found in its share of the ranges; null where it failed. */
  readonly looked: Promise<Looked | null>;
  readonly #thread: Worker;

  constructor(databasePath: string, ranges: Ranges) {
    const task: Task = { databasePath, ranges };
    this.#thread = new Worker(packagePath('dist', 'reconcile', 'repair', 'look-thread.js'), {
      workerData: task,
    });
    this.looked = new Promise((resolve) => {
      this.#thread.once('message', resolve);
      this.#thread.once('error', () => resolve(null));
      this.#thread.once('exit', () => resolve(null));
    });
  }

  /** Nobody waits for it: it may hang in a file system that does not answer. */
  end(): void {
    void this.#thread.terminate();
  }
}

function work({ databasePath, ranges }: Task): Looked {
  const index = IndexDatabase.openReadOnly(databasePath);
  try {
    const looking = lookAtRanges(index, ranges);
    for (;;) {
      const { done, value } = looking.next();
      if (done === true) return value;
    }
  } finally {
    index.close();
  }
}

if (!isMainThread) parentPort?.postMessage(work(workerData as Task));
