import { constants, mkdirSync } from 'node:fs';
import { type FileHandle, lstat, open, readdir } from 'node:fs/promises';
import { type FolderAttributes, giveOwner } from './attributes.js';
import { CodekeepError, errnoOf } from './errors.js';
import { asUsual } from './umask.js';

/** What the owner of a folder needs in order to put something into it. */
export const ownerAll = 0o700;

/** For a folder, and neither a symlink to one nor anything else. */
export const folderFlags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/**
 * A folder held open by its descriptor. Names below it are reached as /proc/self/fd/N/name, so neither
 * a renamed parent nor a symlink slipped in later can lead a write elsewhere: this is how containment is
 * kept without openat2, which Node does not offer.
 */
export class PinnedFolder {
  readonly #handle: FileHandle;

  private constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  /** Pins an absolute path, whose last part must be a folder and not a symlink to one. */
  static async open(absolutePath: string): Promise<PinnedFolder> {
    return new PinnedFolder(await open(absolutePath, folderFlags));
  }

  /** Where an entry of this folder is reached; `name` is one path segment. */
  at(name: string): string {
    return `/proc/self/fd/${this.#handle.fd}/${name}`;
  }

  /**
   * Pins a subfolder, segment by segment. Missing ones are made when `create` is set.
   * @throws CodekeepError PATH_OUTSIDE_ROOT where a segment is a symlink or not a folder; ENOENT as it comes.
   */
  async descend(relativeFolder: string, create: boolean): Promise<PinnedFolder> {
    let current = await this.child('.');
    for (const segment of relativeFolder === '' ? [] : relativeFolder.split('/')) {
      const parent = current;
      try {
        if (create && parent.#make(segment, null)) await parent.sync();
        current = await parent.child(segment);
      } finally {
        await parent.close();
      }
    }
    return current;
  }

  /** Pins one subfolder; errors as of descend. */
  async child(segment: string): Promise<PinnedFolder> {
    try {
      return new PinnedFolder(await open(this.at(segment), folderFlags));
    } catch (error) {
      const errno = errnoOf(error);
      if (errno !== 'ENOTDIR' && errno !== 'ELOOP') throw error;
      const isLink = await lstat(this.at(segment)).then((stats) => stats.isSymbolicLink());
      throw new CodekeepError(
        'PATH_OUTSIDE_ROOT',
        `The parent folder "${segment}" is ${isLink ? 'a symlink' : 'not a folder'}.`,
        'Move it out of the way, then call again.',
      );
    }
  }

  /**
   * Pins one subfolder, and makes it where it is missing: with these attributes, which it has before anything is in it,
   * or as usual. Its owner can use it in any case, for as long as that is needed (see ClosedFolders).
   */
  async childMade(
    segment: string,
    attributes: FolderAttributes | null,
  ): Promise<{ folder: PinnedFolder; isNew: boolean }> {
    const isNew = this.#make(segment, attributes);
    const folder = await this.child(segment);
    if (!isNew || attributes === null) return { folder, isNew };
    try {
      await giveOwner(attributes, (uid, gid) => folder.#handle.chown(uid, gid));
      await folder.chmod(attributes.mode | ownerAll);
    } catch (error) {
      await folder.close();
      throw error;
    }
    return { folder, isNew };
  }

  /** False where there is something already. */
  #make(segment: string, attributes: FolderAttributes | null): boolean {
    const path = this.at(segment);
    try {
      if (attributes === null) asUsual(() => mkdirSync(path));
      // Nobody else looks into it before it has its own mode.
      else mkdirSync(path, 0o700);
      return true;
    } catch (error) {
      if (errnoOf(error) === 'EEXIST') return false;
      throw error;
    }
  }

  async chmod(mode: number): Promise<void> {
    await this.#handle.chmod(mode);
  }

  /** Names of its entries. */
  async list(): Promise<string[]> {
    return await readdir(this.at('.'));
  }

  /** Makes what was linked into or unlinked from this folder durable. */
  async sync(): Promise<void> {
    await this.#handle.sync();
  }

  async identity(): Promise<{ dev: bigint; ino: bigint }> {
    const { dev, ino } = await this.#handle.stat({ bigint: true });
    return { dev, ino };
  }

  async stat(): Promise<{ mode: number; uid: number }> {
    return await this.#handle.stat();
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}
