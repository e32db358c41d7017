/**
 * Turns a tree-sitter tree into a green tree in one walk: over the WASM memory (tree-memory.ts), or with a cursor where
 * that is not as expected.
 *
 * Only numbers come from WASM per element (type, field, start, end); strings are looked up once per shape.
 * What lies between tree-sitter's tokens becomes trivia, put as high in the tree as it fits: before a node, not
 * inside its first child. Zero-width nodes (MISSING, empty blocks) are kept as tokens of length 0.
 */
import type { Language as Grammar, Tree, TreeCursor } from 'web-tree-sitter';
import { triviaKind } from './green-tree.js';
import type { GreenTree, Shape } from './green-tree.js';
import type { Language } from './language.js';
import type { Source } from './source.js';
import { errorTypeId, TreeMemoryWalk } from './tree-memory.js';
import type { TreeSink } from './tree-memory.js';

/** Field ids share a 31-bit key with the type id and the token bit; the largest grammar here has 54 fields. */
const fieldIdMax = 0x1ff;

/** Elements between two looks at the clock: about a millisecond with a cursor, a tenth of one without. */
const pauseEveryElements = 1_024;

/** Keys that are remembered by their hash, and the bits of it. A file has about 100 shapes, so nearly all are found there. */
const placeBits = 11;
/** 2^32 divided by the golden ratio (Knuth, The Art of Computer Programming 3, 6.4). */
const hashFactor = 0x9e3779b1;
const noKey = -1;

/** The shapes seen so far, numbered in order of appearance; 0 is trivia. */
class ShapeTable {
  readonly shapes: Shape[] = [{ kind: triviaKind, field: null, token: true, named: false }];
  private readonly ids = new Map<number, number>();
  private readonly placedKeys = new Int32Array(1 << placeBits).fill(noKey);
  private readonly placedIds = new Uint32Array(1 << placeBits);
  private readonly grammar: Grammar;

  constructor(grammar: Grammar) {
    this.grammar = grammar;
  }

  idOf(typeId: number, fieldId: number, token: boolean): number {
    const key = (((typeId << 9) | (fieldId & fieldIdMax)) << 1) | (token ? 1 : 0);
    const place = Math.imul(key, hashFactor) >>> (32 - placeBits);
    if (this.placedKeys[place] === key) return this.placedIds[place] ?? 0;
    const id = this.ids.get(key) ?? this.add(key, typeId, fieldId, token);
    this.placedKeys[place] = key;
    this.placedIds[place] = id;
    return id;
  }

  private add(key: number, typeId: number, fieldId: number, token: boolean): number {
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

/** A green tree while it grows. Offsets are clamped to be monotone: even a faulty grammar cannot make a lossy tree. */
class Growing implements TreeSink {
  private readonly table: ShapeTable;
  private readonly columns = new Columns();
  private readonly length: number;
  /** How much of the text the tokens so far cover, in UTF-16 units. */
  private position = 0;

  /** The root spans the whole text, whatever tree-sitter says: leading and trailing trivia are its children. */
  constructor(grammar: Grammar, rootTypeId: number, length: number) {
    this.table = new ShapeTable(grammar);
    this.length = length;
    this.columns.appendNode(this.table.idOf(rootTypeId, 0, false));
  }

  get depth(): number {
    return this.columns.depth;
  }

  get count(): number {
    return this.columns.count;
  }

  openNode(typeId: number, fieldId: number, start: number): void {
    this.coverUpTo(start);
    this.columns.appendNode(this.table.idOf(typeId, fieldId, false));
  }

  token(typeId: number, fieldId: number, start: number, end: number): void {
    this.coverUpTo(start);
    const covered = Math.max(this.position, Math.min(end, this.length));
    this.columns.append(this.table.idOf(typeId, fieldId, true), covered - this.position);
    this.position = covered;
  }

  closeNode(end: number): void {
    // Grammars hide some tokens (the text of Rust's line comments): they belong inside the node that ends here.
    this.coverUpTo(end);
    this.columns.closeNode();
  }

  /** Closes the root. */
  finish(language: Language, { encoding, binary, text }: Source): GreenTree {
    this.closeNode(this.length);
    const { shape, size, count } = this.columns;
    return {
      encoding,
      binary,
      language,
      fallback: null,
      shapes: this.table.shapes,
      shape: shape.slice(0, count),
      size: size.slice(0, count),
      text,
    };
  }

  private coverUpTo(offset: number): void {
    const end = Math.min(offset, this.length);
    if (end <= this.position) return;
    this.columns.append(0, end - this.position);
    this.position = end;
  }
}

/** What a green tree is made of, and how. */
export interface Building {
  /** Of `source.text`, by `grammar`. */
  readonly tree: Tree;
  readonly grammar: Grammar;
  readonly language: Language;
  readonly source: Source;
  /** Nodes that may be open at once. */
  readonly depthMax: number;
  /** The runtime's memory as it is when it is asked for; null: it cannot be read here. */
  readonly words: () => Uint32Array | null;
  readonly pause: { isDue(): boolean; breathe(): Promise<void> };
}

/** Gives null when the nesting goes beyond `depthMax` nodes. */
export async function buildGreenTree(building: Building): Promise<GreenTree | null> {
  return (await readMemory(building)) ?? (await walkWithCursor(building));
}

/** Null where the memory does not serve. */
async function readMemory(building: Building): Promise<GreenTree | null> {
  const { tree, grammar, language, source, depthMax, pause } = building;
  const root = tree.rootNode;
  const first = building.words();
  const walking = first === null ? null : TreeMemoryWalk.begin(first, grammar, root);
  if (walking === null) return null;
  const growing = new Growing(grammar, root.typeId, source.text.length);
  for (;;) {
    const words = building.words();
    if (words === null) return null;
    const end = walking.go(words, growing, growing.count + pauseEveryElements, depthMax);
    if (end === 'unfit') return null;
    if (end === 'complete') return growing.finish(language, source);
    if (pause.isDue()) await pause.breathe();
  }
}

async function walkWithCursor(building: Building): Promise<GreenTree | null> {
  const cursor = building.tree.walk();
  try {
    return await follow(cursor, building);
  } finally {
    cursor.delete();
  }
}

/** `cursor` stands on the root, and is left anywhere. */
async function follow(cursor: TreeCursor, building: Building): Promise<GreenTree | null> {
  const { grammar, language, source, depthMax, pause } = building;
  const growing = new Growing(grammar, cursor.nodeTypeId, source.text.length);
  let more = cursor.gotoFirstChild();
  while (more) {
    if (growing.count % pauseEveryElements === 0 && pause.isDue()) await pause.breathe();
    const start = cursor.startIndex;
    const typeId = cursor.nodeTypeId;
    const fieldId = cursor.currentFieldId;
    if (cursor.gotoFirstChild()) {
      if (growing.depth >= depthMax) return null;
      growing.openNode(typeId, fieldId, start);
      continue;
    }
    growing.token(typeId, fieldId, start, cursor.endIndex);
    more = cursor.gotoNextSibling();
    while (!more && growing.depth > 1) {
      cursor.gotoParent();
      growing.closeNode(cursor.endIndex);
      more = cursor.gotoNextSibling();
    }
  }
  return growing.finish(language, source);
}
