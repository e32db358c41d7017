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

/** Of the trees in use: entities and chunks of one tree ask for the same runs. */
const known = new WeakMap<GreenTree, ReadonlyMap<number, LeadingRun>>();

/**
 * For each offset where something starts right after such a run: the run. Goes by the order of the text, not by
 * siblings, because grammars that know indentation put a comment into the block before it.
 */
export function leadingRuns(tree: GreenTree, layout: Layout): ReadonlyMap<number, LeadingRun> {
  let runs = known.get(tree);
  if (runs === undefined) {
    runs = found(tree, layout);
    known.set(tree, runs);
  }
  return runs;
}

/** What a shape is to a run. */
const node = 0;
const comment = 1;
const attribute = 2;
const trivia = 3;
const token = 4;

function rolesOf(tree: GreenTree): Uint8Array {
  return Uint8Array.from(tree.shapes, (shape) => {
    if (isCommentKind(shape.kind)) return comment;
    if (!shape.token) return attributeKinds.has(shape.kind) ? attribute : node;
    return shape.kind === triviaKind ? trivia : token;
  });
}

function found(tree: GreenTree, layout: Layout): ReadonlyMap<number, LeadingRun> {
  const roles = rolesOf(tree);
  const runs = new Map<number, LeadingRun>();
  const hasShebang = tree.text.startsWith('#!');
  let run: { start: number; comments: number[] } | null = null;
  for (let i = 0; i < tree.shape.length;) {
    const role = roles[tree.shape[i] ?? 0] ?? node;
    if (role === node || (run === null && role >= trivia)) {
      i++;
      continue;
    }
    const start = layout.start[i] ?? 0;
    const end = layout.end[i] ?? 0;
    const isShebang = hasShebang && start === 0;
    if ((role === comment && !isShebang) || (role === attribute && !isInsideFirst(layout, i))) {
      if (run !== null || startsLine(tree.text, start)) {
        run ??= { start, comments: [] };
        if (role === comment && run.comments.length < runCommentsMax) run.comments.push(i);
      }
      i = layout.next[i] ?? i + 1;
      continue;
    }
    i++;
    if (run === null || start === end || tree.shapes[tree.shape[i - 1] ?? 0]?.token !== true) continue;
    if (role === trivia || isShebang || isBlank(tree.text, start, end)) {
      if (hasBlankLine(tree.text, start, end)) run = null;
    } else {
      runs.set(start, run);
      run = null;
    }
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
