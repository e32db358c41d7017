/**
 * The structure of a tree, given its text, as bytes that a general compressor makes much of: what the text tells is
 * left out. Part of format version 2 of stored trees.
 *
 *     shapes: kind, field and flags, child count + 1 (0: it varies, or tokens)
 *     length of the elements' bytes; elements in preorder: shape + 1, child count where it varies
 *     lengths of tokens that are not what token-lengths.ts tells: how many were since the last, length
 *
 * White space between two children of a node is trivia, but for a few tokens that begin with some. So trivia that is
 * no node's first or last child and is all the white space there is has no element here and is in no child count; any
 * other child that follows a sibling and begins with white space has `noTrivia` before it.
 */
import { triviaKind } from './green-tree.js';
import type { GreenTree, Shape } from './green-tree.js';
import { TokenLengths, partOf, runOf, spacePart } from './token-lengths.js';
import { ByteReader, ByteWriter, TreeFormatError } from './tree-bytes.js';
import { vocabulary } from './tree-vocabulary.js';

const noTrivia = 0;

const tokenBit = 1;
const namedBit = 2;
const flagBits = 2;

/** The two columns of a tree, of equal length; see green-tree.ts. */
export interface Columns {
  readonly shape: Uint32Array;
  readonly size: Uint32Array;
}

/** @param units the text's UTF-16 units, the lower byte of each */
export function encodeStructure(tree: GreenTree, units: Uint8Array): Buffer {
  const lengths = new ByteWriter();
  const { mark, children, constants } = marksOf(tree, units, lengths);
  const elements = new ByteWriter(tree.shape.length + 16);
  for (let i = 0; i < tree.shape.length; i++) {
    if (mark[i] === isLeftOut) continue;
    if (mark[i] === isMarked) elements.byte(noTrivia);
    const shape = tree.shape[i] ?? 0;
    elements.varint(shape + 1);
    if (constants[shape] === childrenVary) elements.varint(children[i] ?? 0);
  }
  const writer = new ByteWriter(tree.shape.length + 1_024);
  writeShapes(writer, tree.shapes, constants);
  writer.blob(elements.written());
  writer.raw(lengths.written());
  return writer.written();
}

/** What is not written of a tree, and what is written instead. */
interface Marks {
  /** Per element: 0, or one of the two below. */
  readonly mark: Uint8Array;
  /** Per node: its children without those that are left out. */
  readonly children: Uint32Array;
  /** Per shape: how many children all of its nodes have, as far as they are written, or one of the two below. */
  readonly constants: Int32Array;
}

const isLeftOut = 1;
const isMarked = 2;

/** Of a shape whose child count is with each of its nodes. */
const childrenVary = -1;
/** Of tokens, and of shapes that no element has. */
const noChildren = -2;

/** Writes the lengths, too, which are found in the same walk. Throws TreeFormatError when the tree is not well-formed. */
function marksOf(tree: GreenTree, units: Uint8Array, lengths: ByteWriter): Marks {
  const { shapes, shape, size } = tree;
  const mark = new Uint8Array(shape.length);
  const children = new Uint32Array(shape.length);
  const constants = new Int32Array(shapes.length).fill(noChildren);
  const isToken = tokenFlags(shapes);
  const trivia = triviaShape(shapes);
  const told = new TokenLengths(shapes, units);
  /** The open nodes, outermost first, and how many children of each are still to come; the first holds the root. */
  const open = [-1];
  const missing = [1];
  let depth = 0;
  let position = 0;
  let rightOnes = 0;
  for (let i = 0; i < shape.length; i++) {
    if (depth === 0 && i > 0) throw new TreeFormatError(`element ${i} is outside of the root`);
    const node = open[depth] ?? 0;
    const left = (missing[depth] ?? 0) - 1;
    missing[depth] = left;
    const id = shape[i] ?? 0;
    const length = size[i] ?? 0;
    if (i > node + 1 && partOf[units[position] ?? 0] === spacePart) {
      if (id === trivia && left > 0 && isWholeSpace(units, position, length)) {
        mark[i] = isLeftOut;
        position += length;
        continue;
      }
      mark[i] = isMarked;
    }
    if (depth > 0) children[node] = (children[node] ?? 0) + 1;
    if (isToken[id] === 0) {
      depth++;
      open[depth] = i;
      missing[depth] = length;
    } else {
      if (told.tell(id, position) === length) rightOnes++;
      else {
        told.learn(id, position, length);
        lengths.varint(rightOnes);
        lengths.varint(length);
        rightOnes = 0;
      }
      position += length;
    }
    while (depth > 0 && missing[depth] === 0) {
      const closed = open[depth] ?? 0;
      const closedId = shape[closed] ?? 0;
      const count = children[closed] ?? 0;
      if (constants[closedId] !== count)
        constants[closedId] = constants[closedId] === noChildren ? count : childrenVary;
      depth--;
    }
  }
  if (depth > 0 || shape.length === 0) throw new TreeFormatError('elements are missing');
  if (position !== units.length) throw new TreeFormatError('the tokens do not add up to the text');
  return { mark, children, constants };
}

function tokenFlags(shapes: readonly Shape[]): Uint8Array {
  const flags = new Uint8Array(shapes.length);
  for (let id = 0; id < flags.length; id++) flags[id] = shapes[id]?.token === true ? 1 : 0;
  return flags;
}

function isWholeSpace(units: Uint8Array, position: number, length: number): boolean {
  return runOf(units, spacePart, position) === length && partOf[units[position + length] ?? 0] !== spacePart;
}

function triviaShape(shapes: readonly Shape[]): number {
  return shapes.findIndex(({ kind, token }) => token && kind === triviaKind);
}

const positions: ReadonlyMap<string, number> = new Map(vocabulary.map((name, at) => [name, at]));

/** A name that is not in the vocabulary: its letters follow. Positions start behind it. */
const spelt = 0;
/** Fields also may be none. */
const noField = 0;

function writeShapes(writer: ByteWriter, shapes: readonly Shape[], constants: Int32Array): void {
  writer.varint(shapes.length);
  shapes.forEach(({ kind, field, token, named }, id) => {
    const kindAt = positions.get(kind);
    writer.varint(kindAt === undefined ? spelt : kindAt + 1);
    if (kindAt === undefined) writer.string(kind);
    const fieldAt = field === null ? undefined : positions.get(field);
    const fieldCode = field === null ? noField : 1 + (fieldAt === undefined ? spelt : fieldAt + 1);
    writer.varint((fieldCode << flagBits) | (token ? tokenBit : 0) | (named ? namedBit : 0));
    if (field !== null && fieldAt === undefined) writer.string(field);
    if (!token) writer.varint(Math.max(childrenVary, constants[id] ?? childrenVary) + 1);
  });
}

/**
 * The inverse of `encodeStructure`. What it gives is a well-formed tree over the text.
 * @param elementCount which is refused before anything of that size is allocated, if it is too large
 * @throws TreeFormatError
 */
export function decodeStructure(
  reader: ByteReader,
  units: Uint8Array,
  elementCount: number,
): Columns & { readonly shapes: Shape[] } {
  const { shapes, constants } = readShapes(reader);
  const elements = new ByteReader(reader.blob());
  // Each element that is written has at least a byte, and stands for at most one more that is left out.
  if (elementCount > 2 * elements.remaining)
    throw new TreeFormatError(`truncated: ${elementCount} elements declared`);
  const columns = { shape: new Uint32Array(elementCount), size: new Uint32Array(elementCount) };
  const lengths = new StoredLengths(reader, shapes, units);
  readElements(elements, lengths, units, shapes, constants, columns);
  if (elements.remaining > 0 || lengths.remaining)
    throw new TreeFormatError('the structure goes on after its end');
  return { shapes, ...columns };
}

function readShapes(reader: ByteReader): { shapes: Shape[]; constants: Int32Array } {
  const shapes: Shape[] = [];
  const count = reader.count(2);
  const constants = new Int32Array(count).fill(noChildren);
  for (let id = 0; id < count; id++) {
    const kind = readName(reader, reader.varint());
    const code = reader.varint();
    const [fieldCode, token, named] = [code >>> flagBits, (code & tokenBit) !== 0, (code & namedBit) !== 0];
    const field = fieldCode === noField ? null : readName(reader, fieldCode - 1);
    if (kind === '') throw new TreeFormatError(`shape ${id} has no kind`);
    shapes.push({ kind, field, token, named });
    if (!token) constants[id] = reader.varint() - 1;
  }
  return { shapes, constants };
}

function readName(reader: ByteReader, code: number): string {
  if (code === spelt) return reader.string();
  const name = vocabulary[code - 1];
  if (name === undefined) throw new TreeFormatError(`there is no name ${code} in the vocabulary`);
  return name;
}

/** The lengths of tokens: as they are told, but for those that are stored. */
class StoredLengths {
  private readonly reader: ByteReader;
  private readonly told: TokenLengths;
  /** Tokens up to the next one whose length is stored. */
  private rightOnes: number;

  constructor(reader: ByteReader, shapes: readonly Shape[], units: Uint8Array) {
    this.reader = reader;
    this.told = new TokenLengths(shapes, units);
    this.rightOnes = this.nextGap();
  }

  /** Whether there is one that has not been asked for. */
  get remaining(): boolean {
    return this.rightOnes !== Infinity;
  }

  next(shape: number, position: number): number {
    if (this.rightOnes > 0) {
      this.rightOnes--;
      return this.told.tell(shape, position);
    }
    const length = this.reader.varint();
    this.told.learn(shape, position, length);
    this.rightOnes = this.nextGap();
    return length;
  }

  private nextGap(): number {
    return this.reader.remaining > 0 ? this.reader.varint() : Infinity;
  }
}

function readElements(
  elements: ByteReader,
  lengths: StoredLengths,
  units: Uint8Array,
  shapes: readonly Shape[],
  constants: Int32Array,
  { shape, size }: Columns,
): void {
  const isToken = tokenFlags(shapes);
  const trivia = triviaShape(shapes);
  const open = [-1];
  const missing = [1];
  let depth = 0;
  let position = 0;
  let i = 0;
  do {
    const node = open[depth] ?? 0;
    let code = elements.varint();
    if (i > node + 1 && partOf[units[position] ?? 0] === spacePart) {
      if (code === noTrivia) code = elements.varint();
      else {
        if (trivia === -1 || i >= shape.length)
          throw new TreeFormatError('white space is left out for nothing');
        const length = runOf(units, spacePart, position);
        shape[i] = trivia;
        size[i++] = length;
        size[node] = (size[node] ?? 0) + 1;
        position += length;
      }
    }
    const id = code - 1;
    if (id < 0 || id >= shapes.length) throw new TreeFormatError(`element ${i} has no shape`);
    if (i >= shape.length) throw new TreeFormatError('there are more elements than declared');
    shape[i] = id;
    if (depth > 0) size[node] = (size[node] ?? 0) + 1;
    missing[depth] = (missing[depth] ?? 0) - 1;
    if (isToken[id] === 1) {
      const length = lengths.next(id, position);
      if (length < 0 || length > units.length - position)
        throw new TreeFormatError('the tokens go beyond the text');
      size[i] = length;
      position += length;
    } else {
      const constant = constants[id] ?? childrenVary;
      depth++;
      open[depth] = i;
      missing[depth] = constant === childrenVary ? elements.varint() : constant;
    }
    i++;
    while (depth > 0 && missing[depth] === 0) depth--;
  } while (depth > 0);
  if (i < shape.length) throw new TreeFormatError('elements are missing');
  if (position < units.length) throw new TreeFormatError('the tokens do not add up to the text');
}
