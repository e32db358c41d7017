import type { WalkedFile } from './walk.js';

/**
 * Paths in the order in which they are to be indexed: what git does not track first, as nothing else could bring it back, and
 * then what was changed most recently. Pure; the order of the walk where both are the same.
 */
export function mostPreciousFirst(
  paths: readonly string[],
  walked: readonly Pick<WalkedFile, 'path' | 'tracked' | 'print'>[],
): string[] {
  const wanted = new Set(paths);
  return walked
    .filter(({ path }) => wanted.has(path))
    .map(({ path, tracked, print }) => ({ path, tracked, modifiedAt: modificationTimeIn(print) }))
    .sort((a, b) => a.tracked - b.tracked || b.modifiedAt - a.modifiedAt)
    .map(({ path }) => path);
}

/** ns since 1970 as printOf gives it; exact to 256 ns, which is enough for an order. */
function modificationTimeIn(print: string): number {
  return Number(print.split(' ', 2)[1]);
}
