import { type Dirent, lstatSync, readdirSync, type Stats } from 'node:fs';
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

type FileType = Pick<Stats | Dirent, 'isFile' | 'isDirectory' | 'isSymbolicLink'>;

export function kindOf(type: FileType): 'file' | 'directory' | 'symlink' | 'other' {
  if (type.isFile()) return 'file';
  if (type.isDirectory()) return 'directory';
  return type.isSymbolicLink() ? 'symlink' : 'other';
}

/** lstat of an absolute path as a Presence. */
export function presenceAt(absolutePath: string): Presence {
  try {
    return kindOf(lstatSync(absolutePath));
  } catch (error) {
    return presenceOfError(error);
  }
}

function presenceOfError(error: unknown): Presence {
  const errno = errnoOf(error) ?? 'ERROR';
  if (errno === 'ENOENT') return 'absent';
  return errno === 'ENOTDIR' ? 'blocked' : `unknown:${errno}`;
}

/** A folder's entries by name, or why it has none that can be trusted. */
type Listing = Map<string, Dirent> | Exclude<Presence, 'file' | 'directory'>;

/**
 * Answers "what is at this relative path" for many paths of one tree, reading each folder once.
 * A listing is a snapshot: good for observing, never a licence to write (apply checks again).
 */
export class TreePresence {
  readonly #root: string;
  readonly #listings = new Map<string, Listing>();

  constructor(root: string) {
    this.#root = root;
  }

  /** @param path canonical relative path (see relativePathProblem) */
  at(path: string): Presence {
    const slash = path.lastIndexOf('/');
    const listing = this.#listingOf(slash < 0 ? '' : path.slice(0, slash));
    if (!(listing instanceof Map)) return listing;
    const entry = listing.get(slash < 0 ? path : path.slice(slash + 1));
    if (entry === undefined) return 'absent';
    const kind = kindOf(entry);
    // Some file systems do not fill in d_type; and a name that only looks equal must be proven.
    return kind === 'other' ? presenceAt(`${this.#root}/${path}`) : kind;
  }

  #listingOf(folder: string): Listing {
    const known = this.#listings.get(folder);
    if (known !== undefined) return known;
    const listing = this.#readListing(folder);
    this.#listings.set(folder, listing);
    return listing;
  }

  #readListing(folder: string): Listing {
    if (folder !== '') {
      const presence = this.at(folder);
      if (presence === 'symlink' || presence === 'file' || presence === 'other') return 'blocked';
      if (presence !== 'directory') return presence;
    }
    try {
      const entries = readdirSync(folder === '' ? this.#root : `${this.#root}/${folder}`, {
        withFileTypes: true,
      });
      return new Map(entries.map((entry) => [entry.name, entry]));
    } catch (error) {
      const presence = presenceOfError(error);
      return presence === 'file' || presence === 'directory' ? 'unknown:ERROR' : presence;
    }
  }
}
