/**
 * Chunks: the pieces of a file that search indexes. One for each function or method with the comments before it,
 * one for the rest of each class (its header and fields), and windows over everything else.
 *
 * Method: every line is given to an owner (the innermost class-like entity or outermost function on it), runs of
 * lines of one owner are cut to windows. So the chunks of a file never overlap, and every non-blank line is in one.
 */
import type { Entity, EntityKind } from './entities.js';
import type { GreenTree } from './green-tree.js';
import { layoutOf } from './layout.js';
import { leadingRuns } from './leading.js';
import { linesIn } from './lines.js';
import type { Lines } from './lines.js';

export interface Chunk {
  /** 1-based, inclusive. */
  readonly startLine: number;
  readonly endLine: number;
  /** UTF-16 units of the file's text; `text` is what lies between them. */
  readonly startOffset: number;
  readonly endOffset: number;
  /** The entity it is of, as an index into the entities it was made with; null outside of all. */
  readonly entityIndex: number | null;
  readonly text: string;
}

/** About what fits a screen, and the most that embedding models of 512 to 2,048 tokens take in. */
export const chunkLinesMax = 60;

/** UTF-16 units; about 1,000 tokens. A longer line is cut into pieces of this length. */
export const chunkTextLengthMax = 4_000;

/**
 * Per file; text beyond it is not searched. It takes more than 100,000 lines, or 2 MiB in 16 times as many pieces
 * as full ones would be, to get there.
 */
export const chunksMax = 2_000;

/** Entities that keep their own lines but give those of the functions in them to these. */
const containerKinds: ReadonlySet<EntityKind> = new Set([
  'class',
  'interface',
  'struct',
  'enum',
  'trait',
  'module',
]);

const functionKinds: ReadonlySet<EntityKind> = new Set(['function', 'method']);

/** `entities` are those of `entitiesOf(tree)`. A binary file has no chunks; a text file without a grammar has windows. */
export function chunksOf(tree: GreenTree, entities: readonly Entity[]): Chunk[] {
  if (tree.binary) return [];
  const lines = linesIn(tree);
  const owners = lineOwners(tree, entities, lines);
  const chunks: Chunk[] = [];
  let first = 1;
  while (first <= lines.count && chunks.length < chunksMax) {
    const owner = owners[first] ?? -1;
    let last = first;
    while (last < lines.count && (owners[last + 1] ?? -1) === owner) last++;
    cutToWindows(tree.text, lines, first, last, owner === -1 ? null : owner, chunks);
    first = last + 1;
  }
  return chunks;
}

/** Per 1-based line: the index of the entity that owns it, or -1. */
function lineOwners(tree: GreenTree, entities: readonly Entity[], lines: Lines): Int32Array {
  const owners = new Int32Array(lines.count + 1).fill(-1);
  const runs = leadingRuns(tree, layoutOf(tree));
  /** Whether the entity, or one around it, is a function: that one's chunk has it already. */
  const inFunction: boolean[] = [];
  entities.forEach((entity, index) => {
    const outer = entity.parent !== null && inFunction[entity.parent] === true;
    const isFunction = functionKinds.has(entity.kind);
    inFunction.push(outer || isFunction);
    if (outer || !(isFunction || containerKinds.has(entity.kind))) return;
    if (entity.kind === 'method' && isSignature(entities, entity)) return;
    const run = runs.get(entity.startOffset);
    const from = run === undefined ? entity.startLine : lines.lineAt(run.start);
    owners.fill(index, from, entity.endLine + 1);
  });
  return owners;
}

/** An interface's methods have no bodies: it is read as a whole. */
function isSignature(entities: readonly Entity[], method: Entity): boolean {
  return (
    method.parent !== null &&
    entities[method.parent]?.kind === 'interface' &&
    method.startLine === method.endLine
  );
}

/** Appends the chunks of lines `first` to `last`, which all have the same owner. */
function cutToWindows(
  text: string,
  lines: Lines,
  first: number,
  last: number,
  entityIndex: number | null,
  chunks: Chunk[],
): void {
  let line = first;
  while (line <= last && chunks.length < chunksMax) {
    if (isBlankLine(text, lines, line)) {
      line++;
      continue;
    }
    const startOffset = lines.startOf(line);
    if (lines.endOf(line) - startOffset > chunkTextLengthMax) {
      cutLine(text, lines, line, entityIndex, chunks);
      line++;
      continue;
    }
    let endLine = line;
    for (let next = line + 1; next <= last && next < line + chunkLinesMax; next++) {
      if (lines.endOf(next) - startOffset > chunkTextLengthMax) break;
      // A window ends with text, never with blank lines.
      if (!isBlankLine(text, lines, next)) endLine = next;
    }
    const endOffset = lines.endOf(endLine);
    const piece = text.slice(startOffset, endOffset);
    chunks.push({ startLine: line, endLine, startOffset, endOffset, entityIndex, text: piece });
    line = endLine + 1;
  }
}

function cutLine(
  text: string,
  lines: Lines,
  line: number,
  entityIndex: number | null,
  chunks: Chunk[],
): void {
  const lineEnd = lines.endOf(line);
  let startOffset = lines.startOf(line);
  while (startOffset < lineEnd && chunks.length < chunksMax) {
    let endOffset = Math.min(lineEnd, startOffset + chunkTextLengthMax);
    if (endOffset < lineEnd && isHighSurrogate(text.charCodeAt(endOffset - 1))) endOffset--;
    const piece = text.slice(startOffset, endOffset);
    if (piece.trim() !== '') {
      chunks.push({ startLine: line, endLine: line, startOffset, endOffset, entityIndex, text: piece });
    }
    startOffset = endOffset;
  }
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}

function isBlankLine(text: string, lines: Lines, line: number): boolean {
  const end = lines.endOf(line);
  for (let at = lines.startOf(line); at < end; at++) {
    const unit = text.charCodeAt(at);
    if (unit === 0x20 || unit === 0x09) continue;
    // Beyond ASCII, and for its rarer spaces, what is blank is as String.trim has it.
    if (unit > 0x20 && unit < 0x7f) return false;
    return text.slice(at, end).trim() === '';
  }
  return true;
}
