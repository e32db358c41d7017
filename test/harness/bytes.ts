/** Looks for bytes in files themselves, whatever they are. */
import { lstatSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ignoreErrno } from '#src/base/errors.js';
import { pathsBelow } from './folder.js';

/**
 * The files below a folder that have any of some bytes in them, by their paths below it. One that goes meanwhile, as a journal
 * does, has none.
 */
export function filesWith(folder: string, needles: readonly (Buffer | string)[]): string[] {
  return pathsBelow(folder).filter((path) => {
    const absolute = join(folder, path);
    if (lstatSync(absolute, { throwIfNoEntry: false })?.isFile() !== true) return false;
    const bytes = bytesOf(absolute);
    return needles.some((needle) => bytes.includes(needle));
  });
}

function bytesOf(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    return ignoreErrno('ENOENT')(error) ?? Buffer.alloc(0);
  }
}
