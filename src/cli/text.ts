import type { Result } from '../contract/index.js';
/**
 * What comes from disk (names, snippets, log messages, reasons) may hold anything, also what moves a terminal's
 * cursor, changes its title or reverses its text: it is shown, never carried out.
 *
 * Escaped wherever it goes, as git does it, and not on a terminal only, as ls does it: a pipe often ends on a
 * terminal after all (less -R, ssh, a build's log), and a row of a table has to stay a row for grep and awk, too.
 * Exact names are in --json.
 */
const unprintable = /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu;

const shortEscapes: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

function escaped(character: string): string {
  const code = character.charCodeAt(0);
  return (
    shortEscapes[character] ??
    (code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`)
  );
}

/** As one line: for a name, a reason, a cell of a table. */
export function oneLine(value: string | number): string {
  return String(value).replaceAll(unprintable, escaped);
}

/** With its line breaks and tabs: for snippets, patches and the like. A line break of Windows counts as one. */
export function manyLines(text: string): string {
  return text
    .replaceAll('\r\n', '\n')
    .replaceAll(unprintable, (character) =>
      character === '\n' || character === '\t' ? character : escaped(character),
    );
}

/** JSON whose strings have escapes for what JSON.stringify leaves as it is: C1 and bidi controls. It means the same. */
export function jsonText(value: unknown, indent = 0): string {
  return JSON.stringify(value, null, indent).replaceAll(unprintable, (character) =>
    character === '\n' ? character : `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Rows under aligned columns, one line each whatever is in the cells; the last column is not padded. */
export function tableLines(rows: readonly (readonly (string | number)[])[]): string[] {
  const cells = rows.map((row) => row.map(oneLine));
  const widths: number[] = [];
  for (const row of cells)
    row.forEach((cell, column) => (widths[column] = Math.max(widths[column] ?? 0, cell.length)));
  return cells.map((row) =>
    row
      .map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
}

export type Cause = NonNullable<Result<'list_deleted_files'>['files'][number]['cause']>;

/** Why something is marked deleted, for people. */
export const causeText: Record<Cause, string> = {
  seen: 'seen by the watcher',
  unseen: 'while nobody watched',
  git: 'by git',
  asked: 'on request',
  repair: 'by a repair, which found its copy only',
};
