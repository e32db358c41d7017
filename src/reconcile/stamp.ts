import { type BigIntStats, lstatSync } from 'node:fs';
import { errnoOf } from '../base/errors.js';
import type { FileStamp } from '../store/files.js';

/** lstat as the index stores it; null when the path is gone or no regular file. */
export function stampOf(absolutePath: string): FileStamp | null {
  const stats = lstatOrNull(absolutePath);
  return stats === null ? null : stampFrom(stats);
}

/** Null for anything but a regular file. */
export function stampFrom(stats: BigIntStats): FileStamp | null {
  if (!stats.isFile()) return null;
  return {
    size: Number(stats.size),
    mtimeNs: String(stats.mtimeNs),
    ino: String(stats.ino),
    mode: Number(stats.mode & 0o7777n),
  };
}

function lstatOrNull(absolutePath: string): BigIntStats | null {
  try {
    return lstatSync(absolutePath, { bigint: true, throwIfNoEntry: false }) ?? null;
  } catch (error) {
    if (errnoOf(error) === 'ENOTDIR') return null;
    throw error;
  }
}

export function isSameStamp(a: FileStamp, b: FileStamp): boolean {
  return a.mtimeNs === b.mtimeNs && a.size === b.size && a.ino === b.ino && a.mode === b.mode;
}
