import { setTimeout as delay } from 'node:timers/promises';

/** Node's timers end at 2^31 - 1 ms (24.8 days), and run at once when they are asked for more. */
const timerMaxMs = 2 ** 31 - 1;

/** Sleeps `ms` milliseconds, 24.8 days at most; returns early (and never throws) as soon as `signal` aborts. */
export async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  try {
    await delay(Math.min(ms, timerMaxMs), undefined, signal === undefined ? {} : { signal });
  } catch (error) {
    if (signal?.aborted !== true) throw error;
  }
}

/** The outcome of `work`, or null when it takes longer than `ms` milliseconds; the work itself goes on. */
export async function within<T>(ms: number, work: Promise<T>): Promise<T | null> {
  const patience = new AbortController();
  try {
    return await Promise.race([work, sleep(ms, patience.signal).then(() => null)]);
  } finally {
    patience.abort();
  }
}

/**
 * The outcome of `work`, which goes on by itself where the signal aborts before.
 * @throws the signal's reason, as soon as it aborts
 */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await work;
  signal.throwIfAborted();
  const settled = new AbortController();
  const aborted = new Promise<never>((_resolve, reject) => {
    const listening = { once: true, signal: settled.signal };
    signal.addEventListener('abort', () => reject(signal.reason as Error), listening);
  });
  return await Promise.race([work, aborted]).finally(() => settled.abort());
}

/** Who waits for a slice, in the order in which they asked. */
const sliceWanted: (() => void)[] = [];

/** One slice a turn of the event loop: however many long loops there are, each turn stays as short as with one. */
async function nextSlice(): Promise<void> {
  await new Promise<void>((resolve) => {
    if (sliceWanted.push(resolve) === 1) setImmediate(giveSlice);
  });
}

function giveSlice(): void {
  sliceWanted.shift()?.();
  if (sliceWanted.length > 0) setImmediate(giveSlice);
}

/**
 * Keeps a long loop from holding the event loop: `await slicer.breathe()` yields once more than
 * `sliceMs` have passed since the last yield, and costs next to nothing in between. An aborted signal is seen before
 * the first step, and at each one: the constructor throws its reason, `breathe` rejects with it.
 */
export class Slicer {
  readonly #signal: AbortSignal | undefined;
  readonly #sliceMs: number;
  #since = performance.now();

  /** @param sliceMs 20 by default: short enough for a stop to be noticed at once, long enough to be free. */
  constructor(signal?: AbortSignal, sliceMs = 20) {
    signal?.throwIfAborted();
    this.#signal = signal;
    this.#sliceMs = sliceMs;
  }

  /** True when it is time to breathe: the slice is over, or the work is to end. */
  isDue(): boolean {
    return this.#signal?.aborted === true || performance.now() - this.#since >= this.#sliceMs;
  }

  async breathe(): Promise<void> {
    if (this.isDue()) {
      await nextSlice();
      this.#since = performance.now();
    }
    this.#signal?.throwIfAborted();
  }
}

/**
 * Runs `work` over `items` with at most `limit` at once, in order of start. After a failure nothing new is
 * started; rejects with the first one as soon as what was under way has ended.
 */
export async function forEachLimited<T>(
  items: readonly T[],
  limit: number,
  work: (item: T, index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const failures: unknown[] = [];
  const lane = async (): Promise<void> => {
    while (next < items.length && failures.length === 0) {
      const index = next++;
      try {
        await work(items[index] as T, index);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, lane));
  if (failures.length > 0) throw failures[0];
}

/** Resolves after one turn of the event loop: what has come in meanwhile has been handed out. */
export async function turn(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve));
}
