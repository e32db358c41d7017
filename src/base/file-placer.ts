import { lstat, rmdir, unlink } from 'node:fs/promises';
import type { FolderAttributes } from './attributes.js';
import { ClosedFolders } from './closed-folders.js';
import { openForReading } from './copy-contents.js';
import type { EntryImage } from './entry-image.js';
import { CodekeepError, errnoOf, ignoreErrno } from './errors.js';
import { assertRelativePath, splitPath } from './paths.js';
import { ownerAll, type PinnedFolder } from './pinned-folder.js';
import {
  type Fill,
  fillFrom,
  fillWith,
  linkIfPossible,
  moveExclusively,
  placeByLink,
  placeFolder,
  placeInPlace,
  placeSymlink,
} from './place-exclusively.js';
import { type FileStamp, stampOfAny } from './stamp.js';
import { isDeadTemporary, temporaryName } from './temporary-names.js';

/**
 * Files that are worth placing at once: an fsync is a wait for the disk, and these overlap. libuv has four threads; with four times as
 * many files none of them waits for the main one, which takes a fifth off the time of 1,400 files.
 */
export const placementsAtOnce = 16;

/** What the folder at a path relative to the placer's root shall have where it is made; null: what is usual. */
export type FolderAttributesOf = (path: string) => FolderAttributes | null;

/**
 * Places whole files below one pinned root: temp file in the target's folder → write → check length and
 * hash → fsync → link() to the final name → unlink the temp. link() never replaces anything, so a target
 * that appeared meanwhile is an error and not a loss. `finish` makes the folders durable, once each.
 */
export class FilePlacer {
  readonly #root: PinnedFolder;
  readonly #folderAttributes: FolderAttributesOf;
  readonly #folders = new Map<string, Promise<PinnedFolder>>();
  /** Folders in which a name was made or taken away. */
  readonly #touched = new Set<PinnedFolder>();
  readonly #closed: ClosedFolders;
  readonly #isLastBatch: boolean;
  /** Until the file system says that it has none. */
  #hasLinks = true;
  readonly #made: string[] = [];
  readonly #tidied = new Set<string>();

  /**
   * Takes the root over: `finish` closes it. Folders stay open until then, so use one placer per batch.
   * @param closed of all batches: who gives it closes them after the last one
   */
  constructor(
    root: PinnedFolder,
    folderAttributes: FolderAttributesOf = () => null,
    closed: ClosedFolders | null = null,
  ) {
    this.#root = root;
    this.#folderAttributes = folderAttributes;
    this.#isLastBatch = closed === null;
    this.#closed = closed ?? new ClosedFolders();
  }

  /**
   * Gives the stamp of what was placed: what somebody makes of it right afterwards is not in it.
   * @param path canonical relative path
   * @param token names the temporary file; unique among placements under way
   * @throws CodekeepError TARGET_FILE_EXISTS, PATH_OUTSIDE_ROOT; system errors (ENOSPC, EACCES, ...) as they come
   */
  async place(path: string, image: EntryImage, token: string): Promise<FileStamp> {
    if (image.kind === 'file') return await this.#placeFile(path, token, fillWith(image));
    return await this.#at(path, (target, folder) =>
      image.kind === 'folder'
        ? placeFolder(target, image)
        : placeSymlink(target, folder.at(temporaryName(token)), image),
    );
  }

  /**
   * Places a copy of an existing file (any size) with its attributes: a hard link where possible, else a copy.
   * @param options.sha256 what a copy must have; a link is not read
   */
  async placeCopyOf(
    source: string,
    path: string,
    token: string,
    options: { sha256?: string | null; signal?: AbortSignal | undefined } = {},
  ): Promise<FileStamp> {
    const linked = await this.#at(path, async (target) => {
      return linkUnlessFar(source, target) ? stampOfAny(await lstat(target, { bigint: true })) : null;
    });
    if (linked !== null) return linked;
    const file = await openForReading(source);
    try {
      return await this.#placeFile(path, token, fillFrom(file, options.sha256 ?? null, options.signal));
    } finally {
      await file.close();
    }
  }

  /** Removes what processes that were killed left half made beside a path; each folder is looked at once. */
  async removeDead(path: string): Promise<void> {
    const { folder } = splitPath(path);
    if (this.#tidied.has(folder)) return;
    this.#tidied.add(folder);
    const pinned = await this.#folder(folder);
    for (const name of await pinned.list())
      if (isDeadTemporary(name)) await unlink(pinned.at(name)).catch(ignoreErrno('ENOENT'));
  }

  /** Removes a folder; one that something is in stays. */
  async removeEmpty(path: string): Promise<void> {
    await this.#at(path, async (target) => await rmdir(target)).catch(ignoreErrno('ENOTEMPTY', 'ENOENT'));
  }

  /** Gives what is at a path another one instead; refuses to replace anything. */
  async rename(path: string, newPath: string): Promise<void> {
    await this.#at(path, async (from) => {
      await this.#at(newPath, (to) => moveExclusively(from, to));
    });
  }

  async #placeFile(path: string, token: string, fill: Fill): Promise<FileStamp> {
    return await this.#at(path, async (target, folder) => {
      if (this.#hasLinks) {
        const stamp = await placeByLink(target, folder.at(temporaryName(token)), fill);
        if (stamp !== null) return stamp;
        this.#hasLinks = false;
      }
      return await placeInPlace(target, fill);
    });
  }

  /**
   * Does something to a name in its pinned folder. A path that is not canonical leads out of the root: here is the
   * last place to refuse it.
   */
  async #at<T>(path: string, work: (target: string, folder: PinnedFolder) => Promise<T>): Promise<T> {
    assertRelativePath(path);
    const { folder, name } = splitPath(path);
    const pinned = await this.#folder(folder);
    this.#touched.add(pinned);
    try {
      return await work(pinned.at(name), pinned);
    } catch (error) {
      throw errnoOf(error) === 'EEXIST' ? targetExists(path) : error;
    }
  }

  #folder(path: string): Promise<PinnedFolder> {
    if (path === '') return Promise.resolve(this.#root);
    const known = this.#folders.get(path);
    if (known !== undefined) return known;
    const opening = this.#openFolder(path);
    this.#folders.set(path, opening);
    opening.catch(() => this.#folders.delete(path));
    return opening;
  }

  async #openFolder(path: string): Promise<PinnedFolder> {
    const { folder: parentPath, name } = splitPath(path);
    const parent = await this.#folder(parentPath);
    const attributes = this.#folderAttributes(path);
    const { folder, isNew } = await parent.childMade(name, attributes);
    if (isNew) {
      this.#touched.add(parent);
      this.#made.push(path);
    }
    if (isNew && attributes !== null && (attributes.mode & ownerAll) !== ownerAll)
      await this.#closed.note(path, folder, attributes.mode);
    return folder;
  }

  /** Folders that were not there, relative to the root. */
  get madeFolders(): readonly string[] {
    return this.#made;
  }

  /** As lstat has it. */
  async stampAt(path: string): Promise<FileStamp> {
    return await this.#at(path, async (target) => stampOfAny(await lstat(target, { bigint: true })));
  }

  /** Makes what was placed so far durable, before `finish` does. */
  async sync(): Promise<void> {
    const touched = [...this.#touched];
    this.#touched.clear();
    await Promise.all(touched.map((folder) => folder.sync()));
  }

  /** Makes every touched folder durable and lets go of the root. Call it once, also after a failure. */
  async finish(): Promise<void> {
    const opened = await Promise.allSettled(this.#folders.values());
    const folders = opened.flatMap((opening) => (opening.status === 'fulfilled' ? [opening.value] : []));
    this.#folders.clear();
    try {
      if (this.#isLastBatch) await this.#closed.close(this.#root.at('.'));
      await this.sync();
    } finally {
      await Promise.all([this.#root, ...folders].map((folder) => folder.close()));
    }
  }
}

function targetExists(path: string): CodekeepError {
  return new CodekeepError(
    'TARGET_FILE_EXISTS',
    `There is already something at "${path}".`,
    'codekeep never overwrites. Move it away, then call again.',
    { path },
  );
}

/** False also across file systems. */
function linkUnlessFar(from: string, to: string): boolean {
  try {
    return linkIfPossible(from, to);
  } catch (error) {
    ignoreErrno('EXDEV')(error);
    return false;
  }
}
