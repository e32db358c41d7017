import { wordsOf } from '../base/search-words.js';

export const snippetLinesMax = 12;
/** UTF-16 units of a line that are shown; a longer one is cut around its first query word. */
export const snippetLineLengthMax = 240;
/** What is kept before that word (UTF-16 units). */
const contextBefore = 40;
/** Words are compared by so many first letters, because the index knows them by their stems. */
const stemLength = 5;

/** The lines of a chunk that have the most different words of the query, at most `snippetLinesMax`. */
export function snippetOf(text: string, words: readonly string[]): string {
  const stems = new Set(words.map(stemOf));
  const lines = text.split(/\r\n|\r|\n/);
  const stemsOfLines = lines.map((line) => queryStemsOf(line, stems));
  const start = bestWindow(stemsOfLines, lines.length - snippetLinesMax);
  return lines
    .slice(start, start + snippetLinesMax)
    .map((line) => cutLine(line, stems))
    .join('\n');
}

function stemOf(word: string): string {
  return word.slice(0, stemLength);
}

function queryStemsOf(line: string, stems: ReadonlySet<string>): string[] {
  return wordsOf(line)
    .map(stemOf)
    .filter((stem) => stems.has(stem));
}

/** The first line of the window with the most different stems, then the most lines that have one; the earliest. */
function bestWindow(stemsOfLines: readonly string[][], lastStart: number): number {
  let best = { start: 0, score: -1 };
  for (let start = 0; start <= lastStart; start++) {
    const window = stemsOfLines.slice(start, start + snippetLinesMax);
    const different = new Set(window.flat()).size;
    const score = different * snippetLinesMax + window.filter((stems) => stems.length > 0).length;
    if (score > best.score) best = { start, score };
  }
  return best.start;
}

function cutLine(line: string, stems: ReadonlySet<string>): string {
  if (line.length <= snippetLineLengthMax) return line;
  const hit = [...line.matchAll(/[\p{L}\p{N}_$]+/gu)].find(
    (match) => queryStemsOf(match[0], stems).length > 0,
  );
  const wanted = Math.max(0, (hit?.index ?? 0) - contextBefore);
  const start = Math.min(wanted, line.length - snippetLineLengthMax);
  const end = start + snippetLineLengthMax;
  return `${start > 0 ? '…' : ''}${line.slice(start, end).toWellFormed()}${end < line.length ? '…' : ''}`;
}
