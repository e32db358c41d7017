import { randomUUID } from 'node:crypto';
import { lstatSync, renameSync } from 'node:fs';
import { lstat, mkdir, rmdir, unlink } from 'node:fs/promises';
import { hashFile } from './copy-contents.js';
import { errnoOf, ignoreErrno } from './errors.js';
import { splitPath, stampedPath, timeStamp } from './paths.js';
import type { PinnedFolder } from './pinned-folder.js';
import { moveExclusively } from './place-exclusively.js';
import { type FileStamp, stampOfAny } from './stamp.js';
import { isDeadTemporary, isTakenByLiving, isTakenName, takenName } from './temporary-names.js';

/** Where a file went that was put back: to its own name, or beside what stands there by now. */
export type PutBack = { kind: 'back' } | { kind: 'beside'; path: string };

/**
 * A file that is to be removed or replaced, in a private folder beside its place: a look at it there cannot be
 * overtaken by a save, which makes a new file at the path and is not touched. Ends with `drop` or `putBack`; a process
 * that dies before leaves it to putBackLeftOver.
 */
export interface TakenFile {
  /** Where it can be read, until it is dropped or put back. */
  at: string;
  /** As it is there: the rename has changed its ctime and nothing else. */
  stamp: FileStamp;
  /**
   * Removes it for good.
   * @param isDurable false: whoever drops many makes their folder durable himself
   */
  drop(isDurable?: boolean): Promise<void>;
  /** Never replaces anything. */
  putBack(now: number): Promise<PutBack>;
}

/**
 * Takes a file, a symlink or anything else but a folder out of its place, by a rename within its folder.
 * @param path canonical relative path
 * @param token unique among what this process has taken
 * @throws ENOENT where nothing is there, EISDIR for a folder, EACCES and others as they come; the file is in its place then
 */
export async function takeAside(root: PinnedFolder, path: string, token: string): Promise<TakenFile> {
  const { folder, name } = splitPath(path);
  const parent = await root.descend(folder, false);
  // Nothing is made beside what is not there.
  try {
    assertNoFolder(parent, name);
  } catch (error) {
    await parent.close();
    throw error;
  }
  const aside = await AsideFolder.make(parent, folder, takenName(token));
  try {
    const taken = await aside.take(name);
    return {
      ...taken,
      drop: async (isDurable) => {
        await taken.drop();
        await aside.end(isDurable);
      },
      putBack: async (now) => {
        const back = await taken.putBack(now);
        await aside.end();
        return back;
      },
    };
  } catch (error) {
    await aside.discard();
    throw error;
  }
}

function assertNoFolder(parent: PinnedFolder, name: string): void {
  if (lstatSync(parent.at(name)).isDirectory())
    throw Object.assign(new Error(`${name} is a folder`), { code: 'EISDIR' });
}

/** A private folder beside files that are taken aside: many of one folder share it. */
export class AsideFolder {
  readonly #parent: PinnedFolder;
  /** Of the parent, relative to the root. */
  readonly #folder: string;
  readonly #name: string;
  readonly #aside: PinnedFolder;

  private constructor(parent: PinnedFolder, folder: string, name: string, aside: PinnedFolder) {
    this.#parent = parent;
    this.#folder = folder;
    this.#name = name;
    this.#aside = aside;
  }

  /**
   * @param parent taken over: `end` and `discard` close it
   * @param folder its path, relative to the root
   * @param name as takenName gives it
   */
  static async make(parent: PinnedFolder, folder: string, name: string): Promise<AsideFolder> {
    try {
      await mkdir(parent.at(name), 0o700);
      return new AsideFolder(parent, folder, name, await parent.child(name));
    } catch (error) {
      await parent.close();
      throw error;
    }
  }

  /** As takeAside; what is taken and neither dropped nor put back keeps the folder from being ended. */
  async take(name: string): Promise<TakenFile> {
    assertNoFolder(this.#parent, name);
    const at = this.#aside.at(name);
    // Not through the thread pool, whose way takes ten times as long.
    renameSync(this.#parent.at(name), at);
    return {
      at,
      stamp: stampOfAny(lstatSync(at, { bigint: true })),
      drop: async () => await unlink(at),
      putBack: async (now) => {
        const newName = await moveBack(at, this.#parent, name, now);
        if (newName === name) return { kind: 'back' };
        return { kind: 'beside', path: this.#folder === '' ? newName : `${this.#folder}/${newName}` };
      },
    };
  }

  /** Removes the folder, and makes durable what was taken out of its parent. */
  async end(isDurable = true): Promise<void> {
    await rmdir(this.#parent.at(this.#name));
    if (isDurable) await this.#parent.sync();
    await Promise.all([this.#aside.close(), this.#parent.close()]);
  }

  /** Where nothing could be taken. */
  async discard(): Promise<void> {
    await this.#aside.close();
    await rmdir(this.#parent.at(this.#name));
    await this.#parent.close();
  }
}

/** Gives the name that it has now: its own, or a stamped one where that is somebody else's by now. */
async function moveBack(at: string, parent: PinnedFolder, name: string, now: number): Promise<string> {
  const names = function* (): Generator<string> {
    yield name;
    yield stampedPath(name, timeStamp(now));
    for (;;) yield stampedPath(name, `${timeStamp(now)}-${randomUUID().slice(0, 8)}`);
  };
  for (const candidate of names()) {
    try {
      await moveExclusively(at, parent.at(candidate));
      return candidate;
    } catch (error) {
      ignoreErrno('EEXIST')(error);
      // Another process, which puts it back as well, was faster, or died half way.
      if (!(await isOneFile(at, parent.at(candidate)))) continue;
      await unlink(at).catch(ignoreErrno('ENOENT'));
      return candidate;
    }
  }
  throw new Error('unreachable: there is always another name');
}

/** Two names of the same file. */
async function isOneFile(one: string, other: string): Promise<boolean> {
  try {
    const [a, b] = await Promise.all([lstat(one, { bigint: true }), lstat(other, { bigint: true })]);
    return a.ino === b.ino && a.dev === b.dev;
  } catch {
    return false;
  }
}

/** What was found aside in a folder. */
export interface LeftOver {
  /** Private folders that are no more; all paths are relative to the root. */
  putBack: string[];
  /** Those that a process has in hand that lives. */
  held: string[];
}

/**
 * Puts back what dead processes had taken aside in a folder, removes their temporary files, and leaves alone what belongs to
 * one that lives.
 * @param isKept whether a file that was taken from a path (relative to the root) and is at an absolute one now is kept
 * elsewhere, so that it may go where something else is in its place
 * @throws what the first says that cannot be put back, when all others are
 */
export async function putBackLeftOver(
  root: PinnedFolder,
  folder: string,
  now: number,
  isKept: (path: string, at: string) => boolean = () => false,
): Promise<LeftOver> {
  const parent = await root.descend(folder, false);
  const leftOver: LeftOver = { putBack: [], held: [] };
  const failures: unknown[] = [];
  try {
    for (const name of await parent.list()) {
      const path = folder === '' ? name : `${folder}/${name}`;
      try {
        if (isDeadTemporary(name)) await unlinkFile(parent.at(name));
        // Only a folder is ours.
        if (!isTakenName(name) || !(await lstat(parent.at(name))).isDirectory()) continue;
        const isLeftBehind = !isTakenByLiving(name);
        const isKeptHere = (one: string, at: string): boolean =>
          isKept(folder === '' ? one : `${folder}/${one}`, at);
        if (isLeftBehind) await emptyLeftOver(parent, name, now, isKeptHere);
        leftOver[isLeftBehind ? 'putBack' : 'held'].push(path);
      } catch (error) {
        // Its process has just ended, or another one puts it back, too.
        if (errnoOf(error) === 'ENOENT') leftOver.held.push(path);
        else failures.push(error);
      }
    }
  } finally {
    await parent.close();
  }
  if (failures.length > 0) throw failures[0];
  return leftOver;
}

async function unlinkFile(path: string): Promise<void> {
  if (!(await lstat(path)).isDirectory()) await unlink(path);
}

async function emptyLeftOver(
  parent: PinnedFolder,
  privateName: string,
  now: number,
  isKept: (name: string, at: string) => boolean,
): Promise<void> {
  const aside = await parent.child(privateName);
  try {
    for (const name of await aside.list()) {
      // It has come back from the index meanwhile, or something else has its place, and it can come back.
      const isReplaced = (await isThere(parent.at(name))) && isKept(name, aside.at(name));
      if (isReplaced || (await isSameFile(aside.at(name), parent.at(name)))) await unlink(aside.at(name));
      else await moveBack(aside.at(name), parent, name, now);
    }
  } finally {
    await aside.close();
  }
  await rmdir(parent.at(privateName));
  await parent.sync();
}

async function isThere(path: string): Promise<boolean> {
  return (await lstat(path).catch(ignoreErrno('ENOENT'))) !== undefined;
}

/** Bytes, mode and owner of a regular file are those of the other one. */
async function isSameFile(one: string, other: string): Promise<boolean> {
  try {
    const [a, b] = await Promise.all([lstat(one), lstat(other)]);
    const isAlike =
      a.isFile() &&
      b.isFile() &&
      a.size === b.size &&
      a.mode === b.mode &&
      a.uid === b.uid &&
      a.gid === b.gid;
    return isAlike && (await hashFile(one)) === (await hashFile(other));
  } catch {
    return false;
  }
}

/** Whether a file is what it was before it was taken aside, as far as a rename leaves that to be seen. */
export function isSameAside(taken: FileStamp, before: FileStamp): boolean {
  return (
    taken.ino === before.ino &&
    taken.dev === before.dev &&
    taken.size === before.size &&
    taken.mtimeNs === before.mtimeNs &&
    taken.mode === before.mode
  );
}

/**
 * Removes a file that is still what its stamp says, and has its bytes where their hash is given; anything else stays
 * or is put back, and nothing is replaced by that.
 * @param expected.isDurable as of TakenFile.drop
 */
export async function removeIfSame(
  root: PinnedFolder,
  path: string,
  expected: { stamp: FileStamp; sha256: string | null; isDurable?: boolean },
  token: string,
  now: number,
): Promise<'removed' | 'absent' | PutBack> {
  let taken: TakenFile;
  try {
    taken = await takeAside(root, path, token);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return 'absent';
    throw error;
  }
  if (!(await isAsExpected(taken, expected).catch(() => false))) return await taken.putBack(now);
  await taken.drop(expected.isDurable);
  return 'removed';
}

async function isAsExpected(
  taken: TakenFile,
  { stamp, sha256 }: { stamp: FileStamp; sha256: string | null },
): Promise<boolean> {
  return isSameAside(taken.stamp, stamp) && (sha256 === null || (await hashFile(taken.at)) === sha256);
}
