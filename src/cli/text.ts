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

export type Why = Result<'list_changes'>['changes'][number]['cause'];

/** Why something became what it is, for people. */
export const whyText: Record<Why, string> = {
  ...causeText,
  found: 'at the first look',
  edit: 'by an edit',
  rename: 'by a rename',
  repair: 'by a repair',
  rewind: 'by a rewind',
  restore: 'by a restore',
  rules: 'by rules that ignore it',
};

/** As the clock on the wall has it. To the second and not rounded, so that what is typed again is never after it. */
export function localTime(iso: string): string {
  const at = new Date(iso);
  const two = (number: number): string => String(number).padStart(2, '0');
  const day = [at.getFullYear(), two(at.getMonth() + 1), two(at.getDate())].join('-');
  return `${day} ${[at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(':')}`;
}

/** A difference in bytes, with its sign; nothing for none. */
export function growthText(bytes: number): string {
  if (bytes === 0) return '';
  const size = Math.abs(bytes);
  const sign = bytes < 0 ? '-' : '+';
  if (size < 1_000) return `${sign}${size} B`;
  return size < 1_000_000
    ? `${sign}${(size / 1_000).toFixed(1)} kB`
    : `${sign}${(size / 1_000_000).toFixed(1)} MB`;
}
