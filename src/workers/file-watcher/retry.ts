/** After trouble a project is compared again this often (ms). */
const firstMs = 5_000;
/** A trouble that stays is looked at this often at last (ms). */
const lastMs = 60_000;

/**
 * In how many ms a project is compared again, longer after each failure, so that what goes wrong for good costs little. Pure.
 * @param troubles in a row
 * @param isWell all but what cannot be parsed yet: to try that again takes as long as to index it, and has no bound of its own
 */
export function retryAfterMs(troubles: number, isWell: boolean): number {
  if (troubles === 0) return Infinity;
  return Math.min(firstMs * 2 ** (troubles - 1), isWell ? Infinity : lastMs);
}
