import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { endianness } from 'node:os';
import { ignoreErrno } from '../../base/errors.js';
import { pageBytes } from './format.js';

/**
 * The committed pages of a write-ahead log, also of one that is damaged (https://sqlite.org/fileformat2.html#walformat).
 * SQLite believes a log up to the first frame that is wrong. Here a frame is proven by itself, from the checksum that
 * the one before it carries: what is damaged costs itself and at most its neighbour.
 */

const headerBytes = 32;
const frameHeaderBytes = 24;
const magicLittle = 0x377f0682;
const magicBig = 0x377f0683;

/** Offset in the log of the newest committed image of each page, by page number; and how many pages the database has. */
export interface LoggedPages {
  offsets: Map<number, number>;
  /** 0: the log says nothing. */
  pageCount: number;
  /** Frames that are not what they were written as. */
  damaged: number;
}

const nothing: LoggedPages = { offsets: new Map(), pageCount: 0, damaged: 0 };

export function loggedPages(logPath: string): LoggedPages {
  let fd: number;
  try {
    fd = openSync(logPath, 'r');
  } catch (error) {
    ignoreErrno('ENOENT')(error);
    return nothing;
  }
  try {
    const size = fstatSync(fd).size;
    return size < headerBytes + frameHeaderBytes ? nothing : committed(fd, size);
  } finally {
    closeSync(fd);
  }
}

function committed(fd: number, size: number): LoggedPages {
  const header = readAt(fd, 0, headerBytes);
  const first = readAt(fd, headerBytes, frameHeaderBytes);
  const isLittle = littleEndian(header);
  const isWhole = isSame(checksum([header.subarray(0, 24)], [0, 0], isLittle), sumsAt(header, 24));
  // Frames of an earlier round of the log lie behind those of this one, under other salts.
  const salts = isWhole ? header.subarray(16, 24) : first.subarray(8, 16);
  let sums: Sums | null = isWhole ? sumsAt(header, 24) : null;
  const found: LoggedPages = { offsets: new Map(), pageCount: 0, damaged: isWhole ? 0 : 1 };
  const pending = new Map<number, number>();
  for (let at = headerBytes; at + frameHeaderBytes + pageBytes <= size; at += frameHeaderBytes + pageBytes) {
    const frame = readAt(fd, at, frameHeaderBytes + pageBytes);
    if (!frame.subarray(8, 16).equals(salts)) {
      if (isWhole && sums !== null) break;
      sums = null;
      found.damaged += 1;
      continue;
    }
    const given = sumsAt(frame, 16);
    const isProven =
      sums !== null &&
      isSame(checksum([frame.subarray(0, 8), frame.subarray(frameHeaderBytes)], sums, isLittle), given);
    const isUnproven = sums === null;
    sums = given;
    if (!isProven) {
      if (!isUnproven) found.damaged += 1;
      continue;
    }
    pending.set(frame.readUInt32BE(0), at + frameHeaderBytes);
    const pageCount = frame.readUInt32BE(4);
    if (pageCount === 0) continue;
    for (const [page, offset] of pending) found.offsets.set(page, offset);
    found.pageCount = pageCount;
    pending.clear();
  }
  return found;
}

function littleEndian(header: Buffer): boolean {
  const magic = header.readUInt32BE(0);
  if (magic === magicLittle) return true;
  return magic === magicBig ? false : endianness() === 'LE';
}

type Sums = [number, number];

function sumsAt(buffer: Buffer, offset: number): Sums {
  return [buffer.readUInt32BE(offset), buffer.readUInt32BE(offset + 4)];
}

function isSame(a: Sums, b: Sums): boolean {
  return a[0] === b[0] && a[1] === b[1];
}

function checksum(parts: readonly Buffer[], [from0, from1]: Sums, isLittle: boolean): Sums {
  let s0 = from0;
  let s1 = from1;
  for (const part of parts) {
    const view = new DataView(part.buffer, part.byteOffset, part.length);
    for (let at = 0; at < part.length; at += 8) {
      s0 = (s0 + view.getUint32(at, isLittle) + s1) >>> 0;
      s1 = (s1 + view.getUint32(at + 4, isLittle) + s0) >>> 0;
    }
  }
  return [s0, s1];
}

function readAt(fd: number, offset: number, length: number): Buffer {
  const buffer = Buffer.alloc(length);
  readSync(fd, buffer, 0, length, offset);
  return buffer;
}
