/** Line numbers. A line ends with CRLF, LF or a lone CR, so that old Mac files are not one line. */
import type { GreenTree } from './green-tree.js';

export interface Lines {
  readonly count: number;
  /** The 1-based number of the line that holds `offset` (UTF-16 units). */
  lineAt(offset: number): number;
  /** The offset of the first unit of a 1-based line. */
  startOf(line: number): number;
  /** The offset after the last unit of a 1-based line, its line end left out. */
  endOf(line: number): number;
}

/** Of the trees in use: entities and chunks of one tree ask for the same lines. */
const known = new WeakMap<GreenTree, Lines>();

/** The lines of a tree's text, found when they are first asked for. */
export function linesIn(tree: GreenTree): Lines {
  let lines = known.get(tree);
  if (lines === undefined) {
    lines = linesOf(tree.text);
    known.set(tree, lines);
  }
  return lines;
}

/** A text that ends with a line end has no empty line after it; the empty text has one line. */
function linesOf(text: string): Lines {
  const starts = [0];
  /** Offsets where the line ends begin. */
  const ends: number[] = [];
  let lineFeed = nextOf(text, '\n', 0);
  let carriageReturn = nextOf(text, '\r', 0);
  while (lineFeed < text.length || carriageReturn < text.length) {
    const end = Math.min(lineFeed, carriageReturn);
    const start = carriageReturn + 1 === lineFeed ? lineFeed + 1 : end + 1;
    ends.push(end);
    starts.push(start);
    if (lineFeed < start) lineFeed = nextOf(text, '\n', start);
    if (carriageReturn < start) carriageReturn = nextOf(text, '\r', start);
  }
  if (ends.length > 0 && starts[starts.length - 1] === text.length) starts.pop();
  return {
    count: starts.length,
    lineAt: (offset) => lastAtMost(starts, offset) + 1,
    startOf: (line) => starts[line - 1] ?? text.length,
    endOf: (line) => ends[line - 1] ?? text.length,
  };
}

/** Where the next `unit` stands; the length where there is none. */
function nextOf(text: string, unit: string, from: number): number {
  const at = text.indexOf(unit, from);
  return at === -1 ? text.length : at;
}

/** The index of the last of the ascending `values` that is not above `limit`; 0 when all are. */
function lastAtMost(values: readonly number[], limit: number): number {
  let low = 0;
  let high = values.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((values[middle] ?? 0) <= limit) low = middle;
    else high = middle - 1;
  }
  return low;
}
