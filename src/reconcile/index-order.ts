import type { Differing } from './compare-walk.js';

/**
 * Paths in the order in which they are to be indexed: what git does not track first, as nothing else could bring it back, and
 * then what was changed most recently. Pure; the order of the walk where both are the same.
 */
export function mostPreciousFirst(entries: readonly Differing[]): string[] {
  return [...entries].sort((a, b) => a.tracked - b.tracked || b.mtimeMs - a.mtimeMs).map(({ path }) => path);
}
