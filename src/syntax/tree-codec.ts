/**
 * The stored form of a green tree, format version 2:
 *
 *     "CKST", 2, flags, reason, language, element count, shape count, text length,
 *     text compressed with Brotli, structure (tree-model.ts), CRC-32 of all before it
 *
 * Version 1 (tree-version-1.ts) is read, never written. What decodes is a well-formed tree. The checksum finds any
 * damage by chance; the caller's SHA-256 of the rendered file proves the text.
 */
import { isUtf8 } from 'node:buffer';
import {
  brotliCompressSync,
  brotliDecompressSync,
  constants,
  crc32,
  deflateRawSync,
  inflateRawSync,
} from 'node:zlib';
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

const brotliQuality = 5;
const brotliQualityUnparsed = 4;
/** Brotli needs some 20 us to begin with: below this, deflate is faster for a text alone. */
const deflatedBytesMax = 32 * 1024;
const deflateLevel = 6;

const latin1Bit = 1;
const binaryBit = 2;
/** The text is compressed with deflate instead of Brotli. */
const deflatedTextBit = 4;
const knownBits = latin1Bit | binaryBit | deflatedTextBit;

/** Throws TreeFormatError when the tree is larger than the limits above. */
export function encodeTree(tree: GreenTree): Buffer {
  const text = encodeSource(tree.text, tree.encoding);
  const structure = encodeStructure(tree, unitsOf(tree.text));
  checkLimits(text.length, structure.length);
  const writer = new ByteWriter();
  for (const byte of magic) writer.byte(byte);
  writer.byte(formatVersion);
  writer.byte(flagsOf(tree, text));
  writer.byte(tree.fallback === null ? 0 : fallbackReasons.indexOf(tree.fallback) + 1);
  writer.string(tree.language ?? '');
  writer.varint(tree.shape.length);
  writer.varint(text.length);
  writer.blob(compressText(tree, text));
  writer.varint(structure.length);
  writer.blob(deflateRawSync(structure, { level: deflateLevel }));
  writer.uint32(crc32(writer.written()));
  return writer.written();
}

function flagsOf(tree: GreenTree, text: Buffer): number {
  const encodingBits = (tree.encoding === 'latin1' ? latin1Bit : 0) | (tree.binary ? binaryBit : 0);
  return encodingBits | (isDeflated(tree, text) ? deflatedTextBit : 0);
}

/** Where a tree takes no time to store, Brotli would take more than deflate does: only long texts are worth it. */
function isDeflated(tree: GreenTree, text: Buffer): boolean {
  return tree.fallback !== null && text.length < deflatedBytesMax;
}

function compressText(tree: GreenTree, text: Buffer): Buffer {
  if (isDeflated(tree, text)) return deflateRawSync(text, { level: deflateLevel });
  return brotliCompressSync(text, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: tree.fallback === null ? brotliQuality : brotliQualityUnparsed,
      [constants.BROTLI_PARAM_SIZE_HINT]: text.length,
    },
  });
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
  return textOf(stored);
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

function textOf({ flags, text, textLength }: Stored): Buffer {
  return (flags & deflatedTextBit) === 0
    ? inflated(brotliDecompressSync, text, textLength)
    : inflate(text, textLength);
}

function inflate(compressed: Buffer, length: number): Buffer {
  if (length > compressed.length * deflateRatioMax)
    throw new TreeFormatError(`a declared length of ${length} bytes is too large`);
  return inflated(inflateRawSync, compressed, length);
}

/** Allocates no more than `length`, which Brotli may have made from a few bytes. */
function inflated(
  decompress: (bytes: Buffer, options: { maxOutputLength: number }) => Buffer,
  compressed: Buffer,
  length: number,
): Buffer {
  let bytes: Buffer;
  try {
    bytes = decompress(compressed, { maxOutputLength: Math.max(1, length) });
  } catch (error) {
    throw new TreeFormatError('what is compressed is damaged', { cause: error });
  }
  if (bytes.length !== length) throw new TreeFormatError('what is compressed has not its declared length');
  return bytes;
}

function treeOf(stored: Stored): GreenTree {
  const { flags, reason, language } = stored;
  const encoding: Encoding = (flags & latin1Bit) === 0 ? 'utf8' : 'latin1';
  const bytes = textOf(stored);
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
