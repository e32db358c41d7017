/**
 * Turns a tree-sitter tree into a green tree in one cursor walk.
 *
 * Only numbers cross from WASM per element (type, field, start, end); strings are looked up once per shape.
 * What lies between tree-sitter's tokens becomes trivia, put as high in the tree as it fits: before a node, not
 * inside its first child. Zero-width nodes (MISSING, empty blocks) are kept as tokens of length 0.
 */
import type { Language as Grammar, TreeCursor } from 'web-tree-sitter';
import { triviaKind } from './green-tree.js';
import type { GreenTree, Shape } from './green-tree.js';
import type { Language } from './language.js';
import type { Source } from './source.js';

/** tree-sitter's symbol for ERROR, which is in no grammar's table (ts_builtin_sym_error). */
const errorTypeId = 0xffff;

/** Field ids share a 31-bit key with the type id and the token bit; the largest grammar here has 54 fields. */
const fieldIdMax = 0x1ff;

/** Elements between two looks at the clock: about a millisecond. */
const pauseEveryElements = 1_024;

/** The shapes seen so far, numbered in order of appearance; 0 is trivia. */
class ShapeTable {
  readonly shapes: Shape[] = [{ kind: triviaKind, field: null, token: true, named: false }];
  private readonly ids = new Map<number, number>();
  private readonly grammar: Grammar;

  constructor(grammar: Grammar) {
    this.grammar = grammar;
  }

  idOf(typeId: number, fieldId: number, token: boolean): number {
    const key = (((typeId << 9) | (fieldId & fieldIdMax)) << 1) | (token ? 1 : 0);
    const known = this.ids.get(key);
    if (known !== undefined) return known;
    const isError = typeId === errorTypeId;
    const id = this.shapes.length;
    this.shapes.push({
      kind: this.kindOf(typeId),
      field: fieldId === 0 ? null : (this.grammar.fields[fieldId] ?? null),
      token,
      named: isError || this.grammar.nodeTypeIsNamed(typeId),
    });
    this.ids.set(key, id);
    return id;
  }

  /** ERROR is in no table, and a few symbols have no name (a token that is NUL itself): those are kept as errors. */
  private kindOf(typeId: number): string {
    const kind = this.grammar.types[typeId];
    return kind === undefined || kind === '' ? 'ERROR' : kind;
  }
}

/** The two columns while they grow, and the stack of nodes that are still open. */
class Columns {
  shape = new Uint32Array(1_024);
  size = new Uint32Array(1_024);
  count = 0;
  /** How many nodes are open. */
  depth = 0;
  /** Element indexes of the open nodes, outermost first, and how many children each has. */
  private readonly open: number[] = [];
  private readonly children: number[] = [0];

  /** Appends an element as the next child of the innermost open node, and gives its index. */
  append(shape: number, size: number): number {
    if (this.count === this.shape.length) this.grow();
    const index = this.count++;
    this.shape[index] = shape;
    this.size[index] = size;
    this.children[this.depth] = (this.children[this.depth] ?? 0) + 1;
    return index;
  }

  /** Appends a node, which is open then. */
  appendNode(shape: number): void {
    this.open[this.depth] = this.append(shape, 0);
    this.depth++;
    this.children[this.depth] = 0;
  }

  /** Closes the innermost open node. */
  closeNode(): void {
    const children = this.children[this.depth] ?? 0;
    this.depth--;
    this.size[this.open[this.depth] ?? 0] = children;
  }

  private grow(): void {
    const shape = new Uint32Array(this.shape.length * 2);
    const size = new Uint32Array(this.size.length * 2);
    shape.set(this.shape);
    size.set(this.size);
    this.shape = shape;
    this.size = size;
  }
}

/**
 * `cursor` stands on the root of the tree that `grammar` made of `source.text`, and is left anywhere.
 * Offsets are clamped to be monotone, so that even a faulty grammar cannot make a lossy tree.
 * Gives null when the nesting goes beyond `depthMax` nodes.
 */
export async function buildGreenTree(
  cursor: TreeCursor,
  grammar: Grammar,
  language: Language,
  source: Source,
  depthMax: number,
  pause: { isDue(): boolean; breathe(): Promise<void> },
): Promise<GreenTree | null> {
  const table = new ShapeTable(grammar);
  const out = new Columns();
  const length = source.text.length;
  /** How much of the text the tokens so far cover, in UTF-16 units. */
  let position = 0;
  const coverUpTo = (end: number): void => {
    if (end <= position) return;
    out.append(0, end - position);
    position = end;
  };

  // The root spans the whole file, whatever tree-sitter says: leading and trailing trivia are its children.
  out.appendNode(table.idOf(cursor.nodeTypeId, 0, false));
  let more = cursor.gotoFirstChild();
  while (more) {
    if (out.count % pauseEveryElements === 0 && pause.isDue()) await pause.breathe();
    coverUpTo(Math.min(cursor.startIndex, length));
    const typeId = cursor.nodeTypeId;
    const fieldId = cursor.currentFieldId;
    if (cursor.gotoFirstChild()) {
      if (out.depth >= depthMax) return null;
      out.appendNode(table.idOf(typeId, fieldId, false));
      continue;
    }
    const covered = Math.max(position, Math.min(cursor.endIndex, length));
    out.append(table.idOf(typeId, fieldId, true), covered - position);
    position = covered;
    more = cursor.gotoNextSibling();
    while (!more && out.depth > 1) {
      cursor.gotoParent();
      // Grammars hide some tokens (the text of Rust's line comments): they belong inside the node that ends here.
      coverUpTo(Math.min(cursor.endIndex, length));
      out.closeNode();
      more = cursor.gotoNextSibling();
    }
  }
  coverUpTo(length);
  out.closeNode();
  return {
    encoding: source.encoding,
    binary: source.binary,
    language,
    fallback: null,
    shapes: table.shapes,
    shape: out.shape.slice(0, out.count),
    size: out.size.slice(0, out.count),
    text: source.text,
  };
}
