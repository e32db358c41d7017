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

/** Of the trees in use: entities and chunks of one tree are made from the same layout. */
const layouts = new WeakMap<GreenTree, Layout>();

/** Takes about 10 ns an element, and nothing for a tree that had it before. */
export function layoutOf(tree: GreenTree): Layout {
  let layout = layouts.get(tree);
  if (layout === undefined) {
    layout = laidOut(tree);
    layouts.set(tree, layout);
  }
  return layout;
}

function laidOut({ shapes, shape, size }: GreenTree): Layout {
  const count = shape.length;
  const parent = new Int32Array(count);
  const start = new Uint32Array(count);
  const end = new Uint32Array(count);
  const next = new Uint32Array(count);
  const isToken = Uint8Array.from(shapes, ({ token }) => (token ? 1 : 0));
  /**
   * The open nodes, and the children of each that are still to come. The first entry is around the root: an index of -1
   * would have V8 look for a property of that name.
   */
  const open = [-1];
  const missing = [1];
  let depth = 0;
  let offset = 0;
  for (let i = 0; i < count; i++) {
    const length = size[i] ?? 0;
    parent[i] = open[depth] ?? -1;
    missing[depth] = (missing[depth] ?? 0) - 1;
    start[i] = offset;
    if (isToken[shape[i] ?? 0] === 0) {
      depth++;
      open[depth] = i;
      missing[depth] = length;
    } else {
      offset += length;
      end[i] = offset;
      next[i] = i + 1;
    }
    while (depth > 0 && missing[depth] === 0) {
      const closed = open[depth] ?? 0;
      end[closed] = offset;
      next[closed] = i + 1;
      depth--;
    }
  }
  return { parent, start, end, next };
}

/** The indexes of the children of element `index`, in order, trivia included. */
export function* childrenOf(layout: Layout, index: number): Generator<number> {
  const end = layout.next[index] ?? 0;
  for (let child = index + 1; child < end; child = layout.next[child] ?? end) yield child;
}
