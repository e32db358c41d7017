/**
 * Reads format version 1 of stored trees, which is written no more: indexes hold millions of them.
 *
 *     "CKST", 1, varint payload length, varint compressed length, payload compressed with zlib
 *
 * The payload: encoding, binary, reason, language, string table, shapes, the shape column, the size column, the text.
 * Sizes that are the same for all elements of a shape stand with the shape. zlib's Adler-32 catches most damage.
 */
import { isUtf8 } from 'node:buffer';
import { inflateSync } from 'node:zlib';
import { fallbackReasons, oneTokenTree } from './green-tree.js';
import type { GreenTree, Shape } from './green-tree.js';
import { isLanguage } from './language.js';
import type { Encoding } from './source.js';
import { ByteReader, TreeFormatError } from './tree-bytes.js';

/** Bytes before compression. */
const payloadBytesMax = 256 * 1024 * 1024;

/** deflate cannot compress better than 1032:1 (zlib's technical notes), so more is a forged length. */
const deflateRatioMax = 1_032;

const tokenBit = 1;
const namedBit = 2;
const constantSizeBit = 4;

/** `reader` stands behind the version byte. Throws TreeFormatError. */
export function decodeVersion1(reader: ByteReader): GreenTree {
  return readPayload(new ByteReader(payloadOf(reader)));
}

/** The source in a stored tree, which a payload ends with; `size` in bytes. Throws TreeFormatError. */
export function sourceInVersion1(reader: ByteReader, size: number): Buffer {
  const payload = payloadOf(reader);
  if (size > payload.length) throw new TreeFormatError('the text is not in the payload');
  return payload.subarray(payload.length - size);
}

function payloadOf(reader: ByteReader): Buffer {
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
