/** The comments, attributes and decorators that stand right before something and belong to it. */
import { triviaKind } from './green-tree.js';
import type { GreenTree } from './green-tree.js';
import type { Layout } from './layout.js';

/** A run of comments and attributes with no blank line between them and what they precede. */
export interface LeadingRun {
  /** UTF-16 offset of its first unit. */
  readonly start: number;
  /** Element indexes of its comments, in order; attributes are left out. */
  readonly comments: readonly number[];
}

/** Siblings that precede a declaration: Rust's attributes, TypeScript's decorators on methods. */
const attributeKinds: ReadonlySet<string> = new Set(['attribute_item', 'decorator', 'attribute_list']);

/** Comments of one run that are kept; a licence header of 200 line comments is whole. */
const runCommentsMax = 500;

/** True for `comment`, `line_comment`, `block_comment` and the like: the field's names in all the grammars here. */
export function isCommentKind(kind: string): boolean {
  return kind.endsWith('comment');
}

/**
 * For each offset where something starts right after such a run: the run. Goes by the order of the text, not by
 * siblings, because grammars that know indentation put a comment into the block before it.
 */
export function leadingRuns(tree: GreenTree, layout: Layout): ReadonlyMap<number, LeadingRun> {
  const comment = tree.shapes.map((shape) => isCommentKind(shape.kind));
  const attribute = tree.shapes.map((shape) => !shape.token && attributeKinds.has(shape.kind));
  const blank = tree.shapes.map((shape) => shape.kind === triviaKind);
  const runs = new Map<number, LeadingRun>();
  let run: { start: number; comments: number[] } | null = null;
  for (let i = 0; i < tree.shape.length;) {
    const shape = tree.shape[i] ?? 0;
    const start = layout.start[i] ?? 0;
    const end = layout.end[i] ?? 0;
    const isShebang = start === 0 && tree.text.startsWith('#!');
    if ((comment[shape] && !isShebang) || (attribute[shape] && !isInsideFirst(layout, i))) {
      if (run !== null || startsLine(tree.text, start)) {
        run ??= { start, comments: [] };
        if (comment[shape] && run.comments.length < runCommentsMax) run.comments.push(i);
      }
      i = layout.next[i] ?? i + 1;
      continue;
    }
    if (!tree.shapes[shape]?.token || start === end) {
      i++;
      continue;
    }
    if (blank[shape] || isShebang || isBlank(tree.text, start, end)) {
      if (run !== null && hasBlankLine(tree.text, start, end)) run = null;
    } else if (run !== null) {
      runs.set(start, run);
      run = null;
    }
    i++;
  }
  return runs;
}

/** An attribute that is its parent's first child is part of the declaration itself, which starts with it. */
function isInsideFirst(layout: Layout, index: number): boolean {
  const parent = layout.parent[index] ?? -1;
  return parent > 0 && layout.start[parent] === layout.start[index];
}

/** A comment after code on its line belongs to that code. */
function startsLine(text: string, offset: number): boolean {
  for (let i = offset - 1; i >= 0; i--) {
    const unit = text[i];
    if (unit === '\n' || unit === '\r') return true;
    if (unit !== ' ' && unit !== '\t' && unit !== '\uFEFF') return false;
  }
  return true;
}

function isBlank(text: string, start: number, end: number): boolean {
  // Newline tokens are short; a longer token is never only white space.
  return end - start <= 8 && text.slice(start, end).trim() === '';
}

/** The line end of a line comment may be the comment's own (Rust) or the trivia's: a blank line needs two either way. */
function hasBlankLine(text: string, start: number, end: number): boolean {
  const before = start > 0 && text[start - 1] === '\n' ? '\n' : '';
  return /(?:\r\n|\n|\r)[ \t\f]*(?:\r\n|\n|\r(?!\n))/.test(before + text.slice(start, end));
}
