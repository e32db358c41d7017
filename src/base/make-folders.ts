import { mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { CodekeepError, errnoOf, messageOf, systemErrorText } from './errors.js';
import { presenceAt } from './presence.js';

/**
 * Makes a folder and those above it that are missing, each for its owner alone. Step by step: Node's own recursive mkdir
 * spins where a parent exists and nothing can be made in it, as in /proc.
 * @param path absolute
 * @param hint what to do where it cannot be made, as a full sentence
 * @returns false where it was there
 * @throws CodekeepError INVALID_PARAMS, which names the folder that cannot be made, and why
 */
export function makeFolders(path: string, hint: string): boolean {
  try {
    mkdirSync(path, { mode: 0o700 });
    return true;
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'EEXIST' && isFolder(path)) return false;
    if (errno !== 'ENOENT' || presenceAt(dirname(path)) !== 'absent') throw notMade(path, error, hint);
    makeFolders(dirname(path), hint);
    return makeFolders(path, hint);
  }
}

/** Or a symlink to one. */
function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

function notMade(path: string, error: unknown, hint: string): CodekeepError {
  return new CodekeepError(
    'INVALID_PARAMS',
    `The folder ${path} cannot be made: ${whyNot(path, error)}.`,
    hint,
  );
}

function whyNot(path: string, error: unknown): string {
  const errno = errnoOf(error);
  if (errno === 'EEXIST') return 'something else is there';
  if (errno === 'ENOTDIR') return `${dirname(path)} is not a folder`;
  // The folder above is there, and takes no new one.
  if (errno === 'ENOENT') return `nothing can be made in ${dirname(path)}`;
  return systemErrorText(error) ?? messageOf(error);
}
