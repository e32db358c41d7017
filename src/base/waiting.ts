import { setTimeout as delay } from 'node:timers/promises';

/** Sleeps `ms` milliseconds; returns early (and never throws) as soon as `signal` aborts. */
export async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  try {
    await delay(ms, undefined, signal === undefined ? {} : { signal });
  } catch (error) {
    if (signal?.aborted !== true) throw error;
  }
}

/**
 * Keeps a long loop from holding the event loop: `await slicer.breathe()` yields once more than
 * `sliceMs` have passed since the last yield, and costs next to nothing in between.
 */
export class Slicer {
  readonly #sliceMs: number;
  #since = performance.now();

  /** @param sliceMs 20 by default: short enough for a stop to be noticed at once, long enough to be free. */
  constructor(sliceMs = 20) {
    this.#sliceMs = sliceMs;
  }

  isDue(): boolean {
    return performance.now() - this.#since >= this.#sliceMs;
  }

  async breathe(signal?: AbortSignal): Promise<void> {
    if (this.isDue()) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      this.#since = performance.now();
    }
    signal?.throwIfAborted();
  }
}

/** Runs `work` over `items` with at most `limit` at once, in order of start; rejects with the first failure. */
export async function forEachLimited<T>(
  items: readonly T[],
  limit: number,
  work: (item: T, index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < items.length) {
      const index = next++;
      await work(items[index] as T, index);
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, lane));
}
