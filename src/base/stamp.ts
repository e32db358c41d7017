import { type BigIntStats, lstatSync } from 'node:fs';
import { errnoOf } from './errors.js';

/**
 * What lstat says of a file. 64-bit numbers, which a JavaScript number cannot hold, are decimal text.
 * Size and modification time can be given back by who changes a file (`touch -r`, `cp -p`); ctime cannot.
 */
export interface FileStamp {
  size: number;
  mtimeNs: string;
  ctimeNs: string;
  ino: string;
  /** Device number; it is the kernel's, and may be another one after a restart. */
  dev: string;
  /** Names of the file: one that has more can be changed without an event here. */
  nlink: number;
  /** Permission bits (st_mode & 07777). */
  mode: number;
  uid: number;
  gid: number;
}

/** lstat as the index stores it; null when the path is gone or no regular file. */
export function stampOf(absolutePath: string): FileStamp | null {
  const stats = lstatOrNull(absolutePath);
  return stats === null ? null : stampFrom(stats);
}

/** Null for anything but a regular file. */
export function stampFrom(stats: BigIntStats): FileStamp | null {
  return stats.isFile() ? stampOfAny(stats) : null;
}

/** Of a file of any type. */
export function stampOfAny(stats: BigIntStats): FileStamp {
  return {
    size: Number(stats.size),
    mtimeNs: String(stats.mtimeNs),
    ctimeNs: String(stats.ctimeNs),
    ino: String(stats.ino),
    dev: String(stats.dev),
    nlink: Number(stats.nlink),
    mode: Number(stats.mode & 0o7777n),
    uid: Number(stats.uid),
    gid: Number(stats.gid),
  };
}

/** What isSameStamp compares, as one text; SQL makes the same of a row (store/compared-rows.ts). */
export function printOf(stats: BigIntStats): string {
  return `${stats.size} ${stats.mtimeNs} ${stats.ctimeNs} ${stats.ino} ${stats.mode & 0o7777n}`;
}

function lstatOrNull(absolutePath: string): BigIntStats | null {
  try {
    return lstatSync(absolutePath, { bigint: true, throwIfNoEntry: false }) ?? null;
  } catch (error) {
    if (errnoOf(error) === 'ENOTDIR') return null;
    throw error;
  }
}

type Comparable = Pick<FileStamp, 'size' | 'mtimeNs' | 'ctimeNs' | 'ino' | 'mode'>;

/** Whether a file was not touched in between; its device is compared by who knows devices, see store/devices.ts. */
export function isSameStamp(a: Comparable, b: Comparable): boolean {
  return (
    a.mtimeNs === b.mtimeNs &&
    a.ctimeNs === b.ctimeNs &&
    a.size === b.size &&
    a.ino === b.ino &&
    a.mode === b.mode
  );
}
