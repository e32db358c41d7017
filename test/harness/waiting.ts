import { setTimeout as delay } from 'node:timers/promises';

const pollMs = 20;

/**
 * Looks again and again until `look` gives something other than undefined, null or false, and gives that.
 * A look that throws counts as "not yet"; the last error is told when the time is over.
 * @param what for the failure's message: what was waited for
 * @param boundMs far beyond what it takes: on a machine that does something else, all takes ten times as long
 */
export async function waitFor<T>(
  what: string,
  look: () => T | Promise<T>,
  boundMs = 30_000,
): Promise<Exclude<T, undefined | null | false>> {
  const giveUpAt = performance.now() + boundMs;
  let last: unknown;
  for (;;) {
    try {
      const seen = await look();
      if (seen !== undefined && seen !== null && seen !== false)
        return seen as Exclude<T, undefined | null | false>;
      last = seen;
    } catch (error) {
      last = error;
    }
    if (performance.now() > giveUpAt)
      throw new Error(`not within ${boundMs} ms: ${what} (last: ${String(last)})`, { cause: last });
    await delay(pollMs);
  }
}

/** The promise's value, or a failure that says what took too long. */
export async function within<T>(what: string, promise: Promise<T>, boundMs = 30_000): Promise<T> {
  const patience = new AbortController();
  try {
    return await Promise.race([
      promise,
      delay(boundMs, undefined, { signal: patience.signal }).then(() => {
        throw new Error(`not within ${boundMs} ms: ${what}`);
      }),
    ]);
  } finally {
    patience.abort();
  }
}
