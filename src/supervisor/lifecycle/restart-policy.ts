/** When a worker ended by itself; times in milliseconds. */
export interface UnexpectedExit {
  at: number;
  /** How long it had run. */
  uptimeMs: number;
}

export interface RestartDecision {
  /** backoff: it will be started again soon; failed: it crashes again and again, and is retried slowly. */
  state: 'backoff' | 'failed';
  delayMs: number;
}

/** First pause after a crash: short enough not to be noticed when it was an accident. */
const firstDelayMs = 250;
/** Longest pause between quick retries. */
const restartDelayMaxMs = 30_000;
/** A worker that ran so long is taken for sound, and its crash for the first one. */
const stableMs = 60_000;
/** So many crashes in a row without a stable run make a worker failed. */
const crashesMax = 6;

/**
 * What to do after an unexpected exit: a pure function of the exits so far, oldest first. Exponential
 * backoff with a cap; a stable run resets it.
 * @param failedRetryMs a failed worker is tried again after so long: whatever was wrong may have been mended
 * @param isFutile it ended of what another start does not mend
 */
export function decideRestart(
  exits: readonly UnexpectedExit[],
  failedRetryMs: number,
  isFutile = false,
): RestartDecision {
  let crashes = 0;
  for (const exit of exits) crashes = exit.uptimeMs >= stableMs ? 1 : crashes + 1;
  if (isFutile || crashes >= crashesMax) return { state: 'failed', delayMs: failedRetryMs };
  return {
    state: 'backoff',
    delayMs: Math.min(firstDelayMs * 2 ** Math.max(crashes - 1, 0), restartDelayMaxMs),
  };
}

/** Exits that still matter to decideRestart; older ones can be forgotten. */
export function relevantExits(exits: readonly UnexpectedExit[]): UnexpectedExit[] {
  return exits.slice(-crashesMax);
}
