/**
 * The stored form of a green tree, format version 2:
 *
 *     "CKST", 2, flags, reason, language, element count,
 *     text: length, deflated; structure (tree-structure.ts): length, deflated; CRC-32 of all before it
 *
 * Version 1 (tree-version-1.ts) is read, never written. What decodes is a well-formed tree. The checksum finds any
 * damage by chance; the caller's SHA-256 of the rendered file proves the text.
 *
 * Measured on 1.5 MB each of zlib, Lua and Redis, Python's library, and packages' TypeScript, Markdown and JSON:
 *
 *                                    C      Python  TypeScript  Markdown  JSON
 *     stored / source, version 1     0.456  0.415   0.470       0.256     0.229
 *     stored / source, version 2     0.358  0.333   0.350       0.256     0.194
 *     time to encode, to version 1   0.95   1.01    0.91        0.99      1.12
 *     time to decode, to version 1   1.26   1.14    0.89        1.10      1.55
 *     `sourceIn`, to version 1       0.65   0.64    0.74        0.95      0.86
 *
 * Brotli (quality 5) would take 0.012 of the source off the text (5 % of what is stored), for 1.3 times the time to
 * encode. An arithmetic coder that tells each shape from the text ahead would halve the structure, for 4 times the
 * time to decode.
 */
import { isUtf8 } from 'node:buffer';
import { crc32, deflateRawSync, inflateRawSync } from 'node:zlib';
import { fallbackReasons, oneTokenTree } from './green-tree.js';
import type { GreenTree } from './green-tree.js';
import { isLanguage } from './language.js';
import { encodeSource } from './source.js';
import type { Encoding } from './source.js';
import { ByteReader, ByteWriter, TreeFormatError } from './tree-bytes.js';
import { decodeStructure, encodeStructure } from './tree-structure.js';
import { decodeVersion1, sourceInVersion1 } from './tree-version-1.js';

export { TreeFormatError } from './tree-bytes.js';

const magic = Buffer.from('CKST', 'latin1');

/** Raised when the format changes; older versions stay readable or are refused by name, never guessed at. */
const formatVersion = 2;

/** Bytes of a source; V8's longest string is 2^29 - 24 units. */
export const textBytesMax = 256 * 1024 * 1024;

/** Bytes before compression, some six for ten units of text. */
export const structureBytesMax = 256 * 1024 * 1024;

/** deflate cannot compress better than 1032:1 (zlib's technical notes), so more is a forged length. */
const deflateRatioMax = 1_032;

/** Lower levels save little time on what is left to compress, higher ones hardly any bytes. */
const deflateLevel = 6;

/** About what stands around the two that are compressed. */
const headBytes = 48;

const latin1Bit = 1;
const binaryBit = 2;
const knownBits = latin1Bit | binaryBit;

/** Throws TreeFormatError when the tree is larger than the limits above. */
export function encodeTree(tree: GreenTree): Buffer {
  const text = encodeSource(tree.text, tree.encoding);
  const structure = encodeStructure(tree, unitsOf(tree.text));
  checkLimits(text.length, structure.length);
  const [storedText, storedStructure] = [compress(text), compress(structure)];
  const writer = new ByteWriter(storedText.length + storedStructure.length + headBytes);
  for (const byte of magic) writer.byte(byte);
  writer.byte(formatVersion);
  writer.byte((tree.encoding === 'latin1' ? latin1Bit : 0) | (tree.binary ? binaryBit : 0));
  writer.byte(tree.fallback === null ? 0 : fallbackReasons.indexOf(tree.fallback) + 1);
  writer.string(tree.language ?? '');
  writer.varint(tree.shape.length);
  writer.varint(text.length);
  writer.blob(storedText);
  writer.varint(structure.length);
  writer.blob(storedStructure);
  writer.uint32(crc32(writer.written()));
  return writer.written();
}

function compress(bytes: Buffer): Buffer {
  return deflateRawSync(bytes, { level: deflateLevel });
}

/** The lower byte of each UTF-16 unit. */
function unitsOf(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

/** Throws TreeFormatError for any bytes that `encodeTree`, in this version or an earlier one, did not make. */
export function decodeTree(bytes: Buffer): GreenTree {
  const reader = new ByteReader(bytes);
  return readVersion(reader) === 1 ? decodeVersion1(reader) : treeOf(readStored(reader, bytes));
}

/**
 * The source that a stored tree renders to, without the tree. A checksum over all that is stored has been compared.
 * @param size of the source, bytes
 * @throws TreeFormatError
 */
export function sourceIn(bytes: Buffer, size: number): Buffer {
  const reader = new ByteReader(bytes);
  if (readVersion(reader) === 1) return sourceInVersion1(reader, size);
  const stored = readStored(reader, bytes);
  if (stored.textLength !== size) throw new TreeFormatError('the text has another length');
  return inflate(stored.text, size);
}

function readVersion(reader: ByteReader): number {
  for (const byte of magic) {
    if (reader.byte() !== byte) throw new TreeFormatError('not a stored tree: wrong magic');
  }
  const version = reader.byte();
  if (version !== 1 && version !== formatVersion)
    throw new TreeFormatError(`unknown format version ${version}`);
  return version;
}

/** What is in the bytes, still compressed. */
interface Stored {
  readonly flags: number;
  readonly reason: number;
  readonly language: string;
  readonly elementCount: number;
  /** Bytes. */
  readonly textLength: number;
  readonly text: Buffer;
  /** Bytes. */
  readonly structureLength: number;
  readonly structure: Buffer;
}

function readStored(reader: ByteReader, bytes: Buffer): Stored {
  const flags = reader.byte();
  if (flags > knownBits) throw new TreeFormatError('there are unknown flags');
  const stored: Stored = {
    flags,
    reason: reader.byte(),
    language: reader.string(),
    elementCount: reader.varint(),
    textLength: reader.varint(),
    text: reader.blob(),
    structureLength: reader.varint(),
    structure: reader.blob(),
  };
  const checked = bytes.length - reader.remaining;
  if (reader.uint32() !== crc32(bytes.subarray(0, checked)))
    throw new TreeFormatError('the checksum is wrong');
  if (reader.remaining > 0) throw new TreeFormatError('more bytes than declared');
  checkLimits(stored.textLength, stored.structureLength);
  return stored;
}

function checkLimits(textLength: number, structureLength: number): void {
  if (textLength > textBytesMax)
    throw new TreeFormatError(`a text of ${textLength} bytes is over the limit of ${textBytesMax}`);
  if (structureLength > structureBytesMax)
    throw new TreeFormatError(
      `a structure of ${structureLength} bytes is over the limit of ${structureBytesMax}`,
    );
}

function inflate(compressed: Buffer, length: number): Buffer {
  if (length > compressed.length * deflateRatioMax)
    throw new TreeFormatError(`a declared length of ${length} bytes is too large`);
  let bytes: Buffer;
  try {
    bytes = inflateRawSync(compressed, { maxOutputLength: Math.max(1, length) });
  } catch (error) {
    throw new TreeFormatError('what is compressed is damaged', { cause: error });
  }
  if (bytes.length !== length) throw new TreeFormatError('what is compressed has not its declared length');
  return bytes;
}

function treeOf(stored: Stored): GreenTree {
  const { flags, reason, language } = stored;
  const encoding: Encoding = (flags & latin1Bit) === 0 ? 'utf8' : 'latin1';
  const bytes = inflate(stored.text, stored.textLength);
  if (encoding === 'utf8' && !isUtf8(bytes)) throw new TreeFormatError('the text is not valid UTF-8');
  const text = bytes.toString(encoding);
  const reader = new ByteReader(inflate(stored.structure, stored.structureLength));
  const structure = decodeStructure(reader, unitsOf(text), stored.elementCount);
  const tree: GreenTree = {
    encoding,
    binary: (flags & binaryBit) !== 0,
    language: isLanguage(language) ? language : null,
    fallback: reason === 0 ? null : (fallbackReasons[reason - 1] ?? 'unknown'),
    ...structure,
    text,
  };
  // Of a language that is not known (any more), the tree is what parsing would make of the file now.
  return language === '' || tree.language !== null ? tree : oneTokenTree(tree, 'no_grammar');
}
