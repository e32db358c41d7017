import { type Dirent, lstatSync, type Stats } from 'node:fs';
import { errnoOf } from './errors.js';

/**
 * What stands at a path, seen without following symlinks in its last part.
 * `absent` is a proven ENOENT. `blocked` means that a parent is a symlink or not a folder, so that the
 * path does not lie where its row says. Everything that could not be found out is `unknown`: it is never
 * taken for absent.
 */
export type Presence =
  'file' | 'directory' | 'symlink' | 'other' | 'absent' | 'blocked' | `unknown:${string}`;

export function isUnknown(presence: Presence): boolean {
  return presence.startsWith('unknown:');
}

/** Why it could not be found out; for what is unknown only. */
export function errnoIn(presence: Presence): string {
  return presence.replace('unknown:', '');
}

type FileType = Pick<Stats | Dirent, 'isFile' | 'isDirectory' | 'isSymbolicLink'>;

export function kindOf(type: FileType): 'file' | 'directory' | 'symlink' | 'other' {
  if (type.isFile()) return 'file';
  if (type.isDirectory()) return 'directory';
  return type.isSymbolicLink() ? 'symlink' : 'other';
}

/** lstat of an absolute path as a Presence. */
export function presenceAt(absolutePath: string): Presence {
  try {
    // An error takes several times as long as a look.
    const stats = lstatSync(absolutePath, { throwIfNoEntry: false });
    return stats === undefined ? 'absent' : kindOf(stats);
  } catch (error) {
    return presenceOfError(error);
  }
}

function presenceOfError(error: unknown): Presence {
  const errno = errnoOf(error) ?? 'ERROR';
  if (errno === 'ENOENT') return 'absent';
  return errno === 'ENOTDIR' ? 'blocked' : `unknown:${errno}`;
}

/** What one look found: the presence and, for a regular file, its lstat. */
export interface Look {
  presence: Presence;
  stats: Stats | null;
}

/**
 * Answers "what is at this relative path" for many paths of one tree: one lstat a path, and one a folder,
 * which is remembered. A look is a snapshot: good for observing, never a licence to write (apply checks again).
 */
export class TreePresence {
  readonly #root: string;
  readonly #mayBeMissing: boolean;
  readonly #folders = new Map<string, Presence>();
  /** Paths come sorted, mostly: the folder of the last one is asked for without a look-up. */
  #lastFolder: { path: string; presence: Presence } | null = null;

  /**
   * @param options.mayBeMissing a root that is not there holds nothing, as a versions directory that was not
   * made yet; by default it proves nothing about what is below it
   */
  constructor(root: string, options: { mayBeMissing?: boolean } = {}) {
    this.#root = root;
    this.#mayBeMissing = options.mayBeMissing === true;
  }

  pathOf(path: string): string {
    return `${this.#root}/${path}`;
  }

  /** @param path canonical relative path (see relativePathProblem) */
  at(path: string): Presence {
    return this.look(path).presence;
  }

  /** @param path canonical relative path (see relativePathProblem) */
  look(path: string): Look {
    const folder = this.#parentOf(path);
    if (folder !== 'directory') return { presence: belowNoFolder(folder), stats: null };
    try {
      const stats = lstatSync(`${this.#root}/${path}`, { throwIfNoEntry: false });
      if (stats === undefined) return { presence: 'absent', stats: null };
      return stats.isFile() ? { presence: 'file', stats } : { presence: kindOf(stats), stats: null };
    } catch (error) {
      return { presence: presenceOfError(error), stats: null };
    }
  }

  #parentOf(path: string): Presence {
    const length = Math.max(path.lastIndexOf('/'), 0);
    const last = this.#lastFolder;
    if (last !== null && last.path.length === length && path.startsWith(last.path)) return last.presence;
    const folder = path.slice(0, length);
    const presence = this.#folderAt(folder);
    this.#lastFolder = { path: folder, presence };
    return presence;
  }

  #folderAt(folder: string): Presence {
    let presence = this.#folders.get(folder);
    if (presence === undefined) {
      presence = folder === '' ? this.#rootPresence() : this.at(folder);
      this.#folders.set(folder, presence);
    }
    return presence;
  }

  #rootPresence(): Presence {
    const presence = presenceAt(this.#root);
    return presence === 'absent' && !this.#mayBeMissing ? 'unknown:ENOENT' : presence;
  }
}

/** What is to be said of a path whose parent is no folder that can be looked into. */
function belowNoFolder(parent: Presence): Presence {
  return parent === 'file' || parent === 'symlink' || parent === 'other' ? 'blocked' : parent;
}
