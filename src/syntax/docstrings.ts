/** The documentation of an entity: the comments before it, or the string that Python puts first in a body. */
import { fieldChild, kindChild } from './entity-names.js';
import { shapeAt } from './green-tree.js';
import type { GreenTree } from './green-tree.js';
import { childrenOf } from './layout.js';
import type { Layout } from './layout.js';
import { isCommentKind } from './leading.js';
import type { LeadingRun } from './leading.js';

/** UTF-16 units; enough for what search weighs, and it bounds what one file adds to the index. */
export const docstringLengthMax = 2_000;

/**
 * The text of the comments of `run`, their markers and indentation taken off, cut to `docstringLengthMax`; null
 * when nothing is left.
 */
export function commentText(tree: GreenTree, layout: Layout, run: LeadingRun): string | null {
  let text = '';
  for (const index of run.comments) {
    const start = layout.start[index] ?? 0;
    const comment = tree.text.slice(start, Math.min(layout.end[index] ?? 0, start + docstringLengthMax));
    // Rust's comments hold their line end, the others do not.
    text += `${comment.trimEnd()}\n`;
    if (text.length > docstringLengthMax) break;
  }
  const lines = text.split(/\r\n|\n|\r/).map(withoutMarkers);
  return bounded(lines.join('\n'));
}

function withoutMarkers(line: string): string {
  return line
    .trim()
    .replace(/^(?:\/\*[*!]?|\/\/[/!]?|\*(?!\/)|#+|;+)/, '')
    .replace(/\*\/$/, '')
    .trim();
}

/** Python's docstring in the `body` field of a function or class at `index`; null when there is none. */
export function bodyDocstring(tree: GreenTree, layout: Layout, index: number): string | null {
  const body = fieldChild(tree, layout, index, 'body');
  if (body === -1) return null;
  for (const statement of childrenOf(layout, body)) {
    const { kind, named } = shapeAt(tree, statement);
    if (!named || isCommentKind(kind)) continue;
    if (kind !== 'expression_statement') return null;
    const string = kindChild(tree, layout, statement, 'string');
    return string === -1 ? null : stringContent(tree, layout, string);
  }
  return null;
}

function stringContent(tree: GreenTree, layout: Layout, string: number): string | null {
  const content = kindChild(tree, layout, string, 'string_content');
  if (content === -1) return null;
  const start = layout.start[content] ?? 0;
  const text = tree.text.slice(start, Math.min(layout.end[content] ?? 0, start + docstringLengthMax));
  return bounded(
    text
      .split(/\r\n|\n|\r/)
      .map((line) => line.trim())
      .join('\n'),
  );
}

function bounded(text: string): string | null {
  const trimmed = text.slice(0, docstringLengthMax).trim();
  return trimmed === '' ? null : trimmed;
}
