import { closeSync, constants, fstatSync, lstatSync, openSync, readlinkSync, readSync } from 'node:fs';
import { isEmptyFolder } from '../base/empty-folder.js';
import { errnoOf, reasonOf } from '../base/errors.js';
import { type FileStamp, isSameStamp, stampFrom, stampOfAny } from '../base/stamp.js';
import { readXattrs } from '../base/xattrs.js';
import type { FileKind } from '../store/files.js';

/** An entry on disk as it was read in one go. */
export type Reading =
  | { kind: 'content'; entry: FileKind; stamp: FileStamp; bytes: Buffer; xattrs: string | null }
  | { kind: 'too_large'; stamp: FileStamp; xattrs: string | null }
  /** Not there, neither file nor symlink nor empty folder, or it changed while it was read: look again later. */
  | { kind: 'unsettled' }
  | { kind: 'unreadable'; reason: string };

const readFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Reads an entry whole: a file's bytes, a symlink's target. The stamp is the one its bytes were read under. */
export function readWhole(absolutePath: string, maxFileBytes: number): Reading {
  let fd: number;
  try {
    fd = openSync(absolutePath, readFlags);
  } catch (error) {
    const errno = errnoOf(error) ?? 'error';
    if (errno === 'ELOOP') return readLink(absolutePath);
    if (errno === 'ENOENT' || errno === 'ENOTDIR') return { kind: 'unsettled' };
    return { kind: 'unreadable', reason: `cannot be read: ${reasonOf(error)}` };
  }
  try {
    const stats = fstatSync(fd, { bigint: true });
    if (stats.isDirectory()) return readFolder(absolutePath, stampOfAny(stats));
    const before = stampFrom(stats);
    if (before === null) return { kind: 'unsettled' };
    const xattrs = xattrsOf(fd);
    if (before.size > maxFileBytes) return { kind: 'too_large', stamp: before, xattrs };
    const bytes = readDescriptor(fd, before.size);
    const after = stampFrom(fstatSync(fd, { bigint: true }));
    if (after === null || bytes.length !== before.size || !isSameStamp(before, after))
      return { kind: 'unsettled' };
    return { kind: 'content', entry: 'file', stamp: before, bytes, xattrs };
  } catch (error) {
    return { kind: 'unreadable', reason: `cannot be read: ${reasonOf(error)}` };
  } finally {
    closeSync(fd);
  }
}

function readLink(absolutePath: string): Reading {
  try {
    const before = stampOfAny(lstatSync(absolutePath, { bigint: true }));
    const bytes = readlinkSync(absolutePath, 'buffer');
    const after = stampOfAny(lstatSync(absolutePath, { bigint: true }));
    if (!isSameStamp(before, after)) return { kind: 'unsettled' };
    return { kind: 'content', entry: 'symlink', stamp: before, bytes, xattrs: null };
  } catch {
    return { kind: 'unsettled' };
  }
}

function xattrsOf(fd: number): string | null {
  return xattrsAt(`/proc/self/fd/${fd}`);
}

/** As the index has them. */
export function xattrsAt(path: string): string | null {
  const xattrs = readXattrs(path);
  return xattrs === null ? null : JSON.stringify(xattrs);
}

/** A folder is an entry of its own only while nothing is in it. */
function readFolder(absolutePath: string, stamp: FileStamp): Reading {
  if (!isEmptyFolder(absolutePath)) return { kind: 'unsettled' };
  return { kind: 'content', entry: 'folder', stamp, bytes: Buffer.alloc(0), xattrs: null };
}

/** Reads up to one byte more than expected, so that a file that grows is noticed. */
function readDescriptor(fd: number, expected: number): Buffer {
  const buffer = Buffer.allocUnsafe(expected + 1);
  let length = 0;
  while (length < buffer.length) {
    const read = readSync(fd, buffer, length, buffer.length - length, null);
    if (read === 0) break;
    length += read;
  }
  return buffer.subarray(0, length);
}
