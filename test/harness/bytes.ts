/** Looks for bytes in files themselves, whatever they are. */
import { lstatSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathsBelow } from './folder.js';

/** The files below a folder that have any of some bytes in them, by their paths below it. */
export function filesWith(folder: string, needles: readonly (Buffer | string)[]): string[] {
  return pathsBelow(folder).filter((path) => {
    const absolute = join(folder, path);
    if (!lstatSync(absolute).isFile()) return false;
    const bytes = readFileSync(absolute);
    return needles.some((needle) => bytes.includes(needle));
  });
}
