import { constants, copyFile, type FileHandle, link, lstat, open, unlink } from 'node:fs/promises';
import { CodekeepError, errnoOf } from './errors.js';
import { sha256 } from './hash.js';
import { PinnedFolder } from './pinned-folder.js';
import { assertRelativePath, splitPath } from './paths.js';

/** What is to stand at a path: raw bytes, their SHA-256 (hex), and permission bits (`mode & 0o7777`). */
export interface FileImage {
  bytes: Uint8Array;
  sha256: string;
  mode: number;
}

/** Names of temporary files: every walker ignores them, and a cut-off run finds its own by the token. */
export function temporaryName(token: string): string {
  return `.codekeep-${token}.tmp`;
}

export function isTemporaryName(name: string): boolean {
  return name.startsWith('.codekeep-') && name.endsWith('.tmp');
}

/**
 * Places whole files below one pinned root: temp file in the target's folder → write → check length and
 * hash → fsync → link() to the final name → unlink the temp. link() never replaces anything, so a target
 * that appeared meanwhile is an error and not a loss. `finish` makes the folders durable, once each.
 */
export class FilePlacer {
  readonly #root: PinnedFolder;
  readonly #folders = new Map<string, Promise<PinnedFolder>>();

  /** Takes the root over: `finish` closes it. Folders stay open until then, so use one placer per batch. */
  constructor(root: PinnedFolder) {
    this.#root = root;
  }

  /**
   * @param path canonical relative path
   * @param token names the temporary file; unique among placements under way
   * @throws CodekeepError TARGET_FILE_EXISTS, PATH_OUTSIDE_ROOT; system errors (ENOSPC, EACCES, ...) as they come
   */
  async place(path: string, image: FileImage, token: string): Promise<void> {
    await this.#withTemporary(path, token, async (temporary) => {
      const file = await open(temporary, 'wx', 0o600);
      try {
        await writeVerified(file, image);
      } finally {
        await file.close();
      }
    });
  }

  /** Places a copy of an existing file (any size) with its mode: a hard link where possible, else a copy. */
  async placeCopyOf(source: string, path: string, token: string): Promise<void> {
    const { pinned, name } = await this.#placeOf(path);
    try {
      await link(source, pinned.at(name));
      return;
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === 'EEXIST') throw targetExists(path);
      if (errno !== 'EXDEV' && errno !== 'EPERM' && errno !== 'EMLINK') throw error;
    }
    await this.#withTemporary(path, token, async (temporary) => {
      await copyFile(source, temporary, constants.COPYFILE_EXCL);
      const file = await open(temporary, 'r+');
      try {
        await file.chmod((await lstat(source)).mode & 0o7777);
        await file.sync();
      } finally {
        await file.close();
      }
    });
  }

  /** Gives an existing file a second name and takes the first one away; refuses to replace anything. */
  async rename(path: string, newPath: string): Promise<void> {
    const from = await this.#placeOf(path);
    const to = await this.#placeOf(newPath);
    const source = from.pinned.at(from.name);
    try {
      await link(source, to.pinned.at(to.name));
    } catch (error) {
      throw errnoOf(error) === 'EEXIST' ? targetExists(newPath) : error;
    }
    await unlink(source);
  }

  async #withTemporary(
    path: string,
    token: string,
    fill: (temporary: string) => Promise<void>,
  ): Promise<void> {
    const { pinned, name } = await this.#placeOf(path);
    const temporary = pinned.at(temporaryName(token));
    let isLinked = false;
    try {
      await fill(temporary);
      await link(temporary, pinned.at(name));
      isLinked = true;
    } catch (error) {
      throw errnoOf(error) === 'EEXIST' ? targetExists(path) : error;
    } finally {
      await unlink(temporary).catch(async (error: unknown) => {
        if (errnoOf(error) === 'ENOENT') return;
        // A placement that fails leaves nothing at the final name.
        if (isLinked) await unlinkTwin(pinned.at(name), temporary);
        throw error;
      });
    }
  }

  /** A path that is not canonical leads out of the root: here is the last place to refuse it. */
  async #placeOf(path: string): Promise<{ pinned: PinnedFolder; name: string }> {
    assertRelativePath(path);
    const { folder, name } = splitPath(path);
    return { pinned: await this.#folder(folder), name };
  }

  async #folder(folder: string): Promise<PinnedFolder> {
    const known = this.#folders.get(folder);
    if (known !== undefined) return await known;
    const opening = this.#root.descend(folder, true);
    this.#folders.set(folder, opening);
    opening.catch(() => this.#folders.delete(folder));
    return await opening;
  }

  /** Makes every touched folder durable and lets go of the root. Call it once, also after a failure. */
  async finish(): Promise<void> {
    const closing = [...this.#folders.values()].map((opening) => opening.then(syncAndClose, () => undefined));
    this.#folders.clear();
    const outcomes = await Promise.allSettled(closing);
    await this.#root.close();
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  }
}

async function writeVerified(file: FileHandle, image: FileImage): Promise<void> {
  if (sha256(image.bytes) !== image.sha256) throw new Error('the bytes to be placed do not have their hash');
  await file.writeFile(image.bytes);
  await file.chmod(image.mode);
  await file.sync();
  const { size } = await file.stat();
  if (size !== image.bytes.byteLength) {
    throw new Error(`wrote ${image.bytes.byteLength} bytes but the file has ${size}`);
  }
}

async function syncAndClose(folder: PinnedFolder): Promise<void> {
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** Takes a name away if it is another name of the same file. */
async function unlinkTwin(path: string, twin: string): Promise<void> {
  const [one, other] = await Promise.all([lstat(path), lstat(twin)]);
  if (one.ino === other.ino && one.dev === other.dev) await unlink(path);
}

function targetExists(path: string): CodekeepError {
  return new CodekeepError(
    'TARGET_FILE_EXISTS',
    `There is already something at "${path}".`,
    'codekeep never overwrites. Move it away, then call again.',
    { path },
  );
}
