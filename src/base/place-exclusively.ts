import { type BigIntStats, fstatSync, linkSync, unlinkSync, writeFileSync } from 'node:fs';
import {
  type FileHandle,
  lchown,
  lstat,
  lutimes,
  mkdir,
  open,
  readlink,
  rename,
  rmdir,
  symlink,
  unlink,
} from 'node:fs/promises';
import { attributesOf, giveAttributes, giveOwner, giveTime } from './attributes.js';
import { copyContents, openForReading } from './copy-contents.js';
import type { FileImage, FolderImage, SymlinkImage } from './entry-image.js';
import { errnoOf, ignoreErrno } from './errors.js';
import { sha256 } from './hash.js';
import { folderFlags } from './pinned-folder.js';
import { type FileStamp, stampOfAny } from './stamp.js';

/**
 * Ways to a name that never replace what stands there. link() gives a whole file its name at once; where a file
 * system has no links (vfat, exFAT, some SMB), the name is made with O_EXCL and then written. What a kill leaves there
 * is a torn file: a part of the image from its beginning (torn-file.ts).
 */

/** Makes an empty file of ours what it shall be, durable and checked; gives its last fstat. */
export type Fill = (file: FileHandle) => Promise<BigIntStats>;

/** What link() says on file systems without links; EMLINK: of one that has its one name already. */
export const noLinks: ReadonlySet<string> = new Set([
  'EPERM',
  'ENOTSUP',
  'EOPNOTSUPP',
  'ENOSYS',
  'EINVAL',
  'EMLINK',
]);

/**
 * Under a temporary name until it is whole.
 * @returns null where there are no links, and nothing was placed
 * @throws EEXIST and other system errors; nothing is left then at either name
 */
export async function placeByLink(target: string, temporary: string, fill: Fill): Promise<FileStamp | null> {
  const file = await open(temporary, 'wx', 0o600);
  try {
    const filled = await fillAndLink(file, target, temporary, fill);
    return filled === null ? null : stampOfPlaced(filled, statOf(file));
  } finally {
    await file.close();
  }
}

async function fillAndLink(
  file: FileHandle,
  target: string,
  temporary: string,
  fill: Fill,
): Promise<BigIntStats | null> {
  const { filled, isLinked } = await fillUnderBoth(file, target, temporary, fill);
  try {
    unlinkIfThere(temporary);
  } catch (error) {
    // A placement that fails leaves nothing at the final name.
    if (isLinked) await unlinkIfStill(target, file);
    throw error;
  }
  return isLinked ? filled : null;
}

/** The file has both names afterwards, or none where it fails. */
async function fillUnderBoth(
  file: FileHandle,
  target: string,
  temporary: string,
  fill: Fill,
): Promise<{ filled: BigIntStats; isLinked: boolean }> {
  try {
    const filled = await fill(file);
    return { filled, isLinked: linkIfPossible(temporary, target) };
  } catch (error) {
    unlinkIfThere(temporary);
    throw error;
  }
}

function unlinkIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    ignoreErrno('ENOENT')(error);
  }
}

/** As the other short calls here not through the thread pool, whose way takes ten times as long. */
function statOf(file: FileHandle): BigIntStats {
  return fstatSync(file.fd, { bigint: true });
}

/** False where the file system has no links; a symlink itself is linked, not what it leads to. */
export function linkIfPossible(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (!noLinks.has(errnoOf(error) ?? '')) throw error;
    return false;
  }
}

/** A symlink has its owner and its time before it has its name, as long as there are links. */
export async function placeSymlink(
  target: string,
  temporary: string,
  image: SymlinkImage,
): Promise<FileStamp> {
  await symlink(image.target, temporary);
  try {
    await giveOwner(image.attributes, (uid, gid) => lchown(temporary, uid, gid));
    await giveTime(image.attributes, (atime, mtime) => lutimes(temporary, atime, mtime));
    const made = await lstat(temporary, { bigint: true });
    if (!linkIfPossible(temporary, target)) await symlink(image.target, target);
    await unlink(temporary);
    const after = await lstat(target, { bigint: true });
    return after.ino === made.ino ? stampOfPlaced(made, after) : stampOfAny(made);
  } finally {
    await unlink(temporary).catch(ignoreErrno('ENOENT'));
  }
}

/** An empty folder: mkdir() never replaces anything. Nobody else looks into it before it has its attributes. */
export async function placeFolder(target: string, image: FolderImage): Promise<FileStamp> {
  await mkdir(target, 0o700);
  try {
    const folder = await open(target, folderFlags);
    try {
      await giveAttributes(folder, image.attributes);
      await folder.sync();
      return stampOfAny(await folder.stat({ bigint: true }));
    } finally {
      await folder.close();
    }
  } catch (error) {
    await rmdir(target).catch(ignoreErrno('ENOENT', 'ENOTEMPTY', 'ENOTDIR'));
    throw error;
  }
}

/** Where there are no links: the final name first. */
export async function placeInPlace(target: string, fill: Fill): Promise<FileStamp> {
  const file = await open(target, 'wx', 0o600);
  try {
    return stampOfAny(await fill(file));
  } catch (error) {
    await unlinkIfStill(target, file);
    throw error;
  } finally {
    await file.close();
  }
}

/**
 * What was placed, and not what somebody has made of it since: linking changed its ctime and its number of names,
 * everything else is as it was before it had its name.
 */
function stampOfPlaced(filled: BigIntStats, after: BigIntStats): FileStamp {
  const { ctimeNs, nlink } = stampOfAny(after);
  return { ...stampOfAny(filled), ctimeNs, nlink };
}

async function unlinkIfStill(path: string, file: FileHandle): Promise<void> {
  const [there, ours] = await Promise.all([lstat(path, { bigint: true }), file.stat({ bigint: true })]);
  if (there.ino === ours.ino && there.dev === ours.dev) await unlink(path);
}

/** Checked before it is written and after. */
export function fillWith({ bytes, sha256: hash, attributes }: FileImage): Fill {
  return async (file) => {
    if (sha256(bytes) !== hash) throw new Error('the bytes to be placed do not have their hash');
    // Into the page cache: through the thread pool it takes ten times as long.
    writeFileSync(file.fd, bytes);
    await giveAttributes(file, attributes);
    await file.sync();
    const stats = statOf(file);
    if (Number(stats.size) === bytes.byteLength) return stats;
    throw new Error(`wrote ${bytes.byteLength} bytes but the file has ${stats.size}`);
  };
}

/** Makes a file what another one is, attributes included. `hash`: the SHA-256 that it must have, or null for any. */
export function fillFrom(source: FileHandle, hash: string | null, signal?: AbortSignal): Fill {
  return async (file) => {
    const copied = await copyContents(source, file, signal);
    if (hash !== null && copied !== hash) throw new Error('the file to be copied does not have its hash');
    await giveAttributes(file, await attributesOf(source));
    await file.sync();
    return statOf(file);
  };
}

/**
 * Gives what is at `from` the name `to` instead, within one file system; refuses to replace anything.
 * @throws EEXIST, EXDEV and other system errors
 */
export async function moveExclusively(from: string, to: string): Promise<void> {
  if (!linkIfPossible(from, to)) return await moveWithoutLink(from, to);
  await unlink(from);
}

/** A folder has no links anywhere. */
async function moveWithoutLink(from: string, to: string): Promise<void> {
  const stats = await lstat(from);
  if (stats.isDirectory()) {
    await mkdir(to, 0o700);
    // Replaces an empty folder only.
    return await rename(from, to);
  }
  if (stats.isSymbolicLink()) await symlink(await readlink(from, { encoding: 'buffer' }), to);
  else await copyInPlace(from, to);
  await unlink(from);
}

async function copyInPlace(from: string, to: string): Promise<void> {
  const source = await openForReading(from);
  try {
    await placeInPlace(to, fillFrom(source, null));
  } finally {
    await source.close();
  }
}
