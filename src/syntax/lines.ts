/** Line numbers. A line ends with CRLF, LF or a lone CR, so that old Mac files are not one line. */

export interface Lines {
  readonly count: number;
  /** The 1-based number of the line that holds `offset` (UTF-16 units). */
  lineAt(offset: number): number;
  /** The offset of the first unit of a 1-based line. */
  startOf(line: number): number;
  /** The offset after the last unit of a 1-based line, its line end left out. */
  endOf(line: number): number;
}

/** A text that ends with a line end has no empty line after it; the empty text has one line. */
export function linesOf(text: string): Lines {
  const starts = [0];
  /** Offsets where the line ends begin. */
  const ends: number[] = [];
  for (const match of text.matchAll(/\r\n|\n|\r/g)) {
    ends.push(match.index);
    starts.push(match.index + match[0].length);
  }
  if (ends.length > 0 && starts[starts.length - 1] === text.length) starts.pop();
  return {
    count: starts.length,
    lineAt: (offset) => lastAtMost(starts, offset) + 1,
    startOf: (line) => starts[line - 1] ?? text.length,
    endOf: (line) => ends[line - 1] ?? text.length,
  };
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
