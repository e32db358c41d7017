/**
 * The stored form of a source as what differs from another one, its base; format version 1:
 *
 *     "CKSD", 1, length, bytes that are equal at the beginning, and at the end; what is between, deflated in pieces with
 *     what the base has about there as their dictionary: each its length and bytes; CRC-32 of all before it
 *
 * It is for states of one file: of 1,595 in the history of this program, each against the last one that was kept whole,
 * 0.09 of the source is stored, a whole one each 5.5 included, where deflated alone they take 0.32.
 */
import { crc32, deflateRawSync, inflateRawSync } from 'node:zlib';
import { ByteReader, ByteWriter, TreeFormatError } from './tree-bytes.js';
import { textBytesMax } from './tree-codec.js';

const magic = Buffer.from('CKSD', 'latin1');
const formatVersion = 1;

/** What deflate can refer to (RFC 1951), and so the length of a dictionary at most. */
const windowBytes = 32_768;
/** A piece reaches into as much of the base on either side of its place. */
const pieceBytes = windowBytes / 2;
const deflateLevel = 6;
/** About what stands around the pieces. */
const headBytes = 32;

/** @param base the source that it is to be read with again */
export function encodeDelta(source: Buffer, base: Buffer): Buffer {
  const common = Math.min(source.length, base.length);
  let start = 0;
  while (start < common && source[start] === base[start]) start += 1;
  let end = 0;
  while (end < common - start && source[source.length - 1 - end] === base[base.length - 1 - end]) end += 1;
  const span = { start, end, length: source.length };
  const writer = new ByteWriter(headBytes);
  writer.raw(magic);
  writer.byte(formatVersion);
  writer.varint(source.length);
  writer.varint(start);
  writer.varint(end);
  for (const piece of piecesOf(span, base)) {
    const { from, to, dictionary } = piece;
    writer.blob(deflateRawSync(source.subarray(from, to), { dictionary, level: deflateLevel }));
  }
  writer.uint32(crc32(writer.written()));
  return writer.written();
}

/**
 * @param base the source that it was made with: of another one, what this gives is not what was encoded
 * @param size of the source, bytes
 * @throws TreeFormatError
 */
export function decodeDelta(delta: Buffer, base: Buffer, size: number): Buffer {
  const { reader, span } = readHead(delta);
  if (span.length !== size) throw new TreeFormatError('the text has another length');
  if (span.start + span.end > Math.min(base.length, size))
    throw new TreeFormatError('more is equal than the base has');
  const source = Buffer.allocUnsafe(size);
  base.copy(source, 0, 0, span.start);
  base.copy(source, size - span.end, base.length - span.end);
  for (const { from, to, dictionary } of piecesOf(span, base))
    inflateInto(source.subarray(from, to), reader.blob(), dictionary);
  if (reader.remaining !== checksumBytes) throw new TreeFormatError('more bytes than declared');
  return source;
}

/** Whether the bytes are a delta as it was written, whatever its base is. */
export function isDelta(delta: Buffer): boolean {
  try {
    readHead(delta);
    return true;
  } catch (error) {
    if (error instanceof TreeFormatError) return false;
    throw error;
  }
}

/** What is between the equal parts, of a source of some length. */
interface Span {
  start: number;
  end: number;
  length: number;
}

const checksumBytes = 4;

function readHead(delta: Buffer): { reader: ByteReader; span: Span } {
  const checked = delta.length - checksumBytes;
  const isOurs = checked >= magic.length && magic.equals(delta.subarray(0, magic.length));
  if (!isOurs) throw new TreeFormatError('not a stored difference: wrong magic');
  if (delta.readUInt32LE(checked) !== crc32(delta.subarray(0, checked)))
    throw new TreeFormatError('the checksum is wrong');
  const reader = new ByteReader(delta, magic.length);
  const version = reader.byte();
  if (version !== formatVersion) throw new TreeFormatError(`unknown format version ${version}`);
  const [length, start, end] = [reader.varint(), reader.varint(), reader.varint()];
  if (length > textBytesMax)
    throw new TreeFormatError(`a text of ${length} bytes is over the limit of ${textBytesMax}`);
  return { reader, span: { start, end, length } };
}

/** Each with the part of the base that lies where it would be if all between the equal parts were stretched evenly. */
function* piecesOf(
  { start, end, length }: Span,
  base: Buffer,
): Generator<{ from: number; to: number; dictionary: Buffer }> {
  const last = length - end;
  const stretch = (base.length - end - start) / (last - start);
  for (let from = start; from < last; from += pieceBytes) {
    const to = Math.min(from + pieceBytes, last);
    const middle = start + Math.round(((from + to) / 2 - start) * stretch);
    const begin = Math.max(0, Math.min(middle - windowBytes / 2, base.length - windowBytes));
    yield { from, to, dictionary: base.subarray(begin, begin + windowBytes) };
  }
}

function inflateInto(place: Buffer, compressed: Buffer, dictionary: Buffer): void {
  let bytes: Buffer;
  try {
    bytes = inflateRawSync(compressed, { dictionary, maxOutputLength: Math.max(1, place.length) });
  } catch (error) {
    throw new TreeFormatError('what is compressed is damaged', { cause: error });
  }
  if (bytes.length !== place.length)
    throw new TreeFormatError('what is compressed has not its declared length');
  bytes.copy(place);
}
