import { accessSync, constants } from 'node:fs';
import { dirname } from 'node:path';
import { reasonOf } from './errors.js';
import { nameMaxBytes, relativePathProblem, splitPath } from './paths.js';
import { type Presence, presenceAt } from './presence.js';

/**
 * Answers "could a file be placed at this relative path" for many paths of one tree, without writing anything: one
 * lstat and one access() a folder, which are remembered. Like a look it is a snapshot. It cannot see a disk that is full,
 * a quota, and a folder whose entries may only be appended to (chattr +a, which lets a file in and no temporary out).
 */
export class PlacingProblems {
  readonly #root: string;
  readonly #mayBeMissing: boolean;
  readonly #folders = new Map<string, string | null>();

  /** @param options.mayBeMissing a root that is not there would be made, as a versions directory */
  constructor(root: string, options: { mayBeMissing?: boolean } = {}) {
    this.#root = root;
    this.#mayBeMissing = options.mayBeMissing === true;
  }

  /** Why not, as the end of a sentence; null when nothing is seen to be in the way. What stands at the path is not asked. */
  at(path: string): string | null {
    const problem = relativePathProblem(path);
    if (problem !== null) return `its path ${problem}`;
    const { folder, name } = splitPath(path);
    if (Buffer.byteLength(name) > nameMaxBytes) return `its name is longer than ${nameMaxBytes} bytes`;
    return this.#inFolder(folder);
  }

  #inFolder(folder: string): string | null {
    let problem = this.#folders.get(folder);
    if (problem === undefined) {
      problem = this.#lookAt(folder);
      this.#folders.set(folder, problem);
    }
    return problem;
  }

  #lookAt(folder: string): string | null {
    const absolute = folder === '' ? this.#root : `${this.#root}/${folder}`;
    const presence = presenceAt(absolute);
    if (presence !== 'absent' && presence !== 'blocked')
      return problemOfFolder(absolute, folder === '' ? 'the folder' : `the folder "${folder}"`, presence);
    if (folder === '') return this.#mayBeMissing ? problemAbove(this.#root) : 'the folder does not exist';
    return this.#inFolder(splitPath(folder).folder);
  }
}

/** Of the nearest folder above that exists: there the missing ones would be made. Symlinks are followed there. */
function problemAbove(absolute: string): string | null {
  for (let above = dirname(absolute); ; above = dirname(above)) {
    const presence = presenceAt(above);
    if (presence === 'absent' || presence === 'blocked') continue;
    const what = `the folder ${above}`;
    return presence === 'symlink' ? problemOfAccess(above, what) : problemOfFolder(above, what, presence);
  }
}

function problemOfFolder(absolute: string, what: string, presence: Presence): string | null {
  if (presence === 'symlink') return `${what} is a symlink`;
  if (presence === 'file' || presence === 'other') return `${what} is not a folder`;
  return problemOfAccess(absolute, what);
}

function problemOfAccess(absolute: string, what: string): string | null {
  try {
    accessSync(absolute, constants.W_OK | constants.X_OK);
    return null;
  } catch (error) {
    return `${what} cannot be written: ${reasonOf(error)}`;
  }
}
