/**
 * The stored form of a green tree.
 *
 *     "CKST", version byte, varint payload length, varint compressed length, payload compressed with zlib
 *
 * The payload is columnar like the tree: header, string table, shapes, the shape column, the size column, the
 * text. Sizes that are the same for all elements of a shape (nearly all punctuation and keywords, many nodes) are
 * stored once with the shape, which leaves about a third of the size column. zlib's Adler-32 catches most damage
 * to the bytes; the caller's SHA-256 of the rendered file catches the rest. What decodes is a well-formed tree.
 */
import { isUtf8 } from 'node:buffer';
import { deflateSync, inflateSync } from 'node:zlib';
import { fallbackReasons, oneTokenTree } from './green-tree.js';
import type { GreenTree, Shape } from './green-tree.js';
import { isLanguage } from './language.js';
import { encodeSource } from './source.js';
import type { Encoding } from './source.js';
import { ByteReader, ByteWriter, TreeFormatError } from './tree-bytes.js';

export { TreeFormatError } from './tree-bytes.js';

const magic = Buffer.from('CKST', 'latin1');

/** Raised when the payload changes; older versions stay readable or are refused by name, never guessed at. */
const formatVersion = 1;

/** Bytes before compression; V8's longest string is 2^29 - 24 units, and a payload is mostly one string. */
export const payloadBytesMax = 256 * 1024 * 1024;

/** deflate cannot compress better than 1032:1 (zlib's technical notes), so more is a forged length. */
const deflateRatioMax = 1_032;

/** On 8 MB of JavaScript and Python, level 6 is 13 % smaller than 1 and 8 % than 3, for 3 % of the indexing time. */
const deflateLevel = 6;

const tokenBit = 1;
const namedBit = 2;
const constantSizeBit = 4;

/** Throws TreeFormatError when the tree's payload is larger than `payloadBytesMax`. */
export function encodeTree(tree: GreenTree): Buffer {
  const payload = writePayload(tree);
  if (payload.length > payloadBytesMax) {
    throw new TreeFormatError(`a payload of ${payload.length} bytes is over the limit of ${payloadBytesMax}`);
  }
  const compressed = deflateSync(payload, { level: deflateLevel });
  const head = new ByteWriter();
  for (const byte of magic) head.byte(byte);
  head.byte(formatVersion);
  head.varint(payload.length);
  head.varint(compressed.length);
  return Buffer.concat([head.written(), compressed]);
}

/** Throws TreeFormatError for any bytes that `encodeTree` did not make. */
export function decodeTree(bytes: Buffer): GreenTree {
  return readPayload(new ByteReader(payloadOf(bytes)));
}

/**
 * The source that a stored tree renders to, without the tree: the text is what a payload ends with. zlib's Adler-32 has
 * checked the whole payload.
 * @param size of the source, bytes
 * @throws TreeFormatError
 */
export function sourceIn(bytes: Buffer, size: number): Buffer {
  const payload = payloadOf(bytes);
  if (size > payload.length) throw new TreeFormatError('the text is not in the payload');
  return payload.subarray(payload.length - size);
}

function payloadOf(bytes: Buffer): Buffer {
  const reader = new ByteReader(bytes);
  for (const byte of magic) {
    if (reader.byte() !== byte) throw new TreeFormatError('not a stored tree: wrong magic');
  }
  const version = reader.byte();
  if (version !== formatVersion) throw new TreeFormatError(`unknown format version ${version}`);
  const payloadLength = reader.varint();
  const compressed = reader.blob();
  if (reader.remaining > 0) throw new TreeFormatError('more bytes than declared');
  const bound = Math.min(payloadBytesMax, compressed.length * deflateRatioMax);
  if (payloadLength > bound)
    throw new TreeFormatError(`a declared payload of ${payloadLength} bytes is too large`);
  return inflate(compressed, payloadLength);
}

function inflate(compressed: Buffer, payloadLength: number): Buffer {
  let payload: Buffer;
  try {
    payload = inflateSync(compressed, { maxOutputLength: Math.max(1, payloadLength) });
  } catch (error) {
    throw new TreeFormatError('the compressed payload is damaged', { cause: error });
  }
  if (payload.length !== payloadLength) throw new TreeFormatError('the payload has not its declared length');
  return payload;
}

function writePayload(tree: GreenTree): Buffer {
  const writer = new ByteWriter();
  writer.byte(tree.encoding === 'utf8' ? 0 : 1);
  writer.byte(tree.binary ? 1 : 0);
  writer.byte(tree.fallback === null ? 0 : fallbackReasons.indexOf(tree.fallback) + 1);
  writer.string(tree.language ?? '');
  const constants = constantSizes(tree);
  writeShapes(writer, tree.shapes, constants);
  writer.varint(tree.shape.length);
  writer.varints(tree.shape);
  writer.varints(varyingSizes(tree, constants));
  writer.blob(encodeSource(tree.text, tree.encoding));
  return writer.written();
}

/** Per shape: the size that all its elements have, or -1 when they differ. */
function constantSizes(tree: GreenTree): Float64Array {
  const unseen = -2;
  const constants = new Float64Array(tree.shapes.length).fill(unseen);
  for (let i = 0; i < tree.shape.length; i++) {
    const shape = tree.shape[i] ?? 0;
    const size = tree.size[i] ?? 0;
    const constant = constants[shape];
    if (constant === size || constant === -1) continue;
    constants[shape] = constant === unseen ? size : -1;
  }
  return constants;
}

function varyingSizes(tree: GreenTree, constants: Float64Array): Uint32Array {
  const sizes = new Uint32Array(tree.size.length);
  let count = 0;
  for (let i = 0; i < tree.size.length; i++) {
    if (constants[tree.shape[i] ?? 0] === -1) sizes[count++] = tree.size[i] ?? 0;
  }
  return sizes.subarray(0, count);
}

function writeShapes(writer: ByteWriter, shapes: readonly Shape[], constants: Float64Array): void {
  const strings = [...new Set(shapes.flatMap((shape) => [shape.kind, shape.field ?? '']))];
  const ids = new Map(strings.map((text, id) => [text, id]));
  writer.varint(strings.length);
  for (const text of strings) writer.string(text);
  writer.varint(shapes.length);
  shapes.forEach((shape, id) => {
    const constant = constants[id] ?? -1;
    writer.varint(ids.get(shape.kind) ?? 0);
    writer.varint(ids.get(shape.field ?? '') ?? 0);
    writer.byte(
      (shape.token ? tokenBit : 0) | (shape.named ? namedBit : 0) | (constant >= 0 ? constantSizeBit : 0),
    );
    if (constant >= 0) writer.varint(constant);
  });
}

function readPayload(reader: ByteReader): GreenTree {
  const encoding: Encoding = readFlag(reader) ? 'latin1' : 'utf8';
  const binary = readFlag(reader);
  const reason = reader.byte();
  const fallback = reason === 0 ? null : (fallbackReasons[reason - 1] ?? 'unknown');
  const language = reader.string();
  const { shapes, constants } = readShapes(reader);
  const { shape, size } = readColumns(reader, shapes.length, constants);
  const blob = reader.blob();
  if (encoding === 'utf8' && !isUtf8(blob)) throw new TreeFormatError('the text is not valid UTF-8');
  if (reader.remaining > 0) throw new TreeFormatError('the payload goes on after its end');
  const tree: GreenTree = {
    encoding,
    binary,
    language: isLanguage(language) ? language : null,
    fallback,
    shapes,
    shape,
    size,
    text: blob.toString(encoding),
  };
  checkStructure(tree);
  // Of a language that is not known (any more), the tree is what parsing would make of the file now.
  return language === '' || tree.language !== null ? tree : oneTokenTree(tree, 'no_grammar');
}

function readFlag(reader: ByteReader): boolean {
  const value = reader.byte();
  if (value > 1) throw new TreeFormatError(`a flag is ${value}`);
  return value === 1;
}

function readShapes(reader: ByteReader): { shapes: Shape[]; constants: Float64Array } {
  const strings: string[] = [];
  for (let left = reader.count(1); left > 0; left--) strings.push(reader.string());
  const shapes: Shape[] = [];
  const count = reader.count(3);
  const constants = new Float64Array(count).fill(-1);
  for (let id = 0; id < count; id++) {
    const kind = strings[reader.varint()];
    const field = strings[reader.varint()];
    const flags = reader.byte();
    if (!kind || field === undefined) throw new TreeFormatError(`shape ${id} names no string`);
    if (flags > (tokenBit | namedBit | constantSizeBit))
      throw new TreeFormatError(`shape ${id} has unknown flags`);
    const [token, named] = [(flags & tokenBit) !== 0, (flags & namedBit) !== 0];
    shapes.push({ kind, field: field === '' ? null : field, token, named });
    if ((flags & constantSizeBit) !== 0) constants[id] = reader.varint();
  }
  return { shapes, constants };
}

function readColumns(
  reader: ByteReader,
  shapeCount: number,
  constants: Float64Array,
): { shape: Uint32Array; size: Uint32Array } {
  const count = reader.count(1);
  const shape = new Uint32Array(count);
  const size = new Uint32Array(count);
  for (let i = 0; i < count; i++) {
    const id = reader.varint();
    if (id >= shapeCount) throw new TreeFormatError(`element ${i} has no shape`);
    shape[i] = id;
  }
  for (let i = 0; i < count; i++) {
    const constant = constants[shape[i] ?? 0] ?? -1;
    size[i] = constant >= 0 ? constant : reader.varint();
  }
  return { shape, size };
}

/** The invariants at the head of green-tree.ts, checked without recursion. */
function checkStructure(tree: GreenTree): void {
  const isToken = tree.shapes.map((shape) => shape.token);
  /** Children still to come of each open node, outermost first; the first entry is the root's place. */
  const missing = [1];
  let covered = 0;
  for (let i = 0; i < tree.shape.length; i++) {
    const left = missing.pop() ?? 0;
    if (left === 0) throw new TreeFormatError(`element ${i} is outside of the root`);
    const size = tree.size[i] ?? 0;
    // A node whose last child this is need not stay on the stack, which keeps it as deep as the open work only.
    if (left > 1) missing.push(left - 1);
    if (isToken[tree.shape[i] ?? 0] === true) covered += size;
    else if (size > 0) missing.push(size);
  }
  if (missing.length > 0) throw new TreeFormatError('elements are missing');
  if (covered !== tree.text.length) throw new TreeFormatError('the tokens do not add up to the text');
}
