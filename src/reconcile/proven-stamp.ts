import { type BigIntStats, closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { errnoOf } from '../base/errors.js';
import { sha256 } from '../base/hash.js';
import type { FileStamp } from '../base/stamp.js';
import { sleep, Slicer } from '../base/waiting.js';

/**
 * Two changes within one step of the kernel's clock (4 to 10 ms) have the same ctime: what is looked at so long after its
 * ctime (ms) cannot change any more without another one.
 */
export const clockStepMs = 20;

/** What was placed, and the SHA-256 of its bytes; null for what has none to be read, which is taken for granted. */
export interface Placed {
  absolute: string;
  stamp: FileStamp;
  sha256: string | null;
}

/**
 * The stamps of files that others could write as soon as they had their names. One that does not have its bytes at its
 * ctime any more, because somebody was quicker and put the time back, gets a stamp that no file has: it is read again.
 */
export async function provenStamps(placed: readonly Placed[]): Promise<FileStamp[]> {
  const latest = Math.max(...placed.map(({ stamp }) => Number(BigInt(stamp.ctimeNs) / 1_000_000n)), 0);
  const waitMs = latest + clockStepMs - Date.now();
  if (waitMs > 0) await sleep(Math.min(waitMs, clockStepMs));
  const slicer = new Slicer();
  const stamps: FileStamp[] = [];
  for (const one of placed) {
    stamps.push(isProven(one) ? one.stamp : { ...one.stamp, ctimeNs: '0' });
    await slicer.breathe();
  }
  return stamps;
}

function isProven({ absolute, stamp, sha256: hash }: Placed): boolean {
  if (hash === null) return true;
  try {
    const fd = openSync(absolute, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const isStill = (stats: BigIntStats): boolean =>
        String(stats.ctimeNs) === stamp.ctimeNs && String(stats.ino) === stamp.ino;
      const stat = (): BigIntStats => fstatSync(fd, { bigint: true });
      return isStill(stat()) && sha256(readFileSync(fd)) === hash && isStill(stat());
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    // A symlink is replaced, and never written.
    return errnoOf(error) === 'ELOOP';
  }
}
