/** After trouble a project is compared again this often (ms). */
const firstMs = 5_000;
/** A trouble that stays is looked at this often at last (ms). */
const lastMs = 60_000;

/**
 * In how many ms a project is compared again, longer after each failure, so that what goes wrong for good costs little. Pure.
 * @param troubles in a row
 */
export function retryAfterMs(troubles: number): number {
  return Math.min(firstMs * 2 ** Math.max(troubles - 1, 0), lastMs);
}
