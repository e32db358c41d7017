import { constants, mkdirSync } from 'node:fs';
import { type FileHandle, lstat, open } from 'node:fs/promises';
import { CodekeepError, errnoOf } from './errors.js';
import { asUsual } from './umask.js';

const folderFlags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

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
    let current = await this.#child('.', false);
    for (const segment of relativeFolder === '' ? [] : relativeFolder.split('/')) {
      const parent = current;
      try {
        current = await parent.#child(segment, create);
      } finally {
        await parent.close();
      }
    }
    return current;
  }

  async #child(segment: string, create: boolean): Promise<PinnedFolder> {
    try {
      if (create) await this.#makeChild(segment);
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

  async #makeChild(segment: string): Promise<void> {
    try {
      asUsual(() => mkdirSync(this.at(segment)));
    } catch (error) {
      if (errnoOf(error) === 'EEXIST') return;
      throw error;
    }
    await this.sync();
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
