import { fchmodSync, fchownSync, futimesSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { ignoreErrno } from './errors.js';
import { readXattrs, writeXattrs, type Xattrs } from './xattrs.js';

/** What a file or folder has beside its content. */
export interface Attributes {
  /** Permission bits (st_mode & 07777). */
  mode: number;
  /** Nanoseconds since 1970 as decimal text; null: as it comes. */
  mtimeNs: string | null;
  /** Given by root only; null: as it comes. */
  uid: number | null;
  gid: number | null;
  xattrs: Xattrs | null;
}

/** What a folder that is made on the way to a file is to have. */
export type FolderAttributes = Pick<Attributes, 'mode' | 'uid' | 'gid'>;

const setIdBits = 0o6000;

/** A path that leads to the open file itself, whatever its names have become. */
export function pathOfHandle(file: FileHandle): string {
  return `/proc/self/fd/${file.fd}`;
}

export async function attributesOf(file: FileHandle): Promise<Attributes> {
  const { mode, mtimeNs, uid, gid } = await file.stat({ bigint: true });
  return {
    mode: Number(mode & 0o7777n),
    mtimeNs: String(mtimeNs),
    uid: Number(uid),
    gid: Number(gid),
    xattrs: readXattrs(pathOfHandle(file)),
  };
}

/**
 * In the only order that works: a change of owner clears set-user-ID and capabilities; what is not the owner's any
 * more takes no attributes; and each of them changes no time but ctime.
 * @throws EPERM where the file system does not keep such permission bits, and an error where they would lend the rights
 * of another owner than the file's
 */
export async function giveAttributes(file: FileHandle, wanted: Attributes): Promise<void> {
  const { fd } = file;
  // Some microseconds each; on the way through the thread pool they take ten times as long.
  const isOwned = await giveOwner(wanted, (uid, gid) => fchownSync(fd, uid, gid));
  if (!isOwned && (wanted.mode & setIdBits) !== 0)
    throw new Error('it has a set-user-ID or set-group-ID bit, and its owner cannot be given back');
  if (wanted.xattrs !== null) writeXattrs(pathOfHandle(file), wanted.xattrs);
  fchmodSync(fd, wanted.mode);
  await giveTime(wanted, (atime, mtime) => futimesSync(fd, atime, mtime));
}

/**
 * Nobody else but root can give a file away, and that is no failure.
 * @returns false where root could not do it either: on network file systems, and for users that a container has not
 */
export async function giveOwner(
  { uid, gid }: Pick<Attributes, 'uid' | 'gid'>,
  chown: (uid: number, gid: number) => Promise<void> | void,
): Promise<boolean> {
  if (process.geteuid?.() !== 0 || uid === null || gid === null) return true;
  try {
    await chown(uid, gid);
    return true;
  } catch (error) {
    ignoreErrno('EPERM', 'EINVAL')(error);
    return false;
  }
}

/**
 * Node takes a time as seconds in a double, and libuv cuts it to whole microseconds: what is lost is less than a
 * microsecond, and towards the past, before 1970 towards that year. A negative number Node takes for now, but no text of it.
 */
export async function giveTime(
  { mtimeNs }: Pick<Attributes, 'mtimeNs'>,
  utimes: (atime: number, mtime: string) => Promise<void> | void,
): Promise<void> {
  if (mtimeNs === null) return;
  const whole = Number(BigInt(mtimeNs) / 1_000n);
  // The middle of the microsecond: no rounding on the way leads out of it.
  const microseconds = whole < 0 ? whole - 0.5 : whole + 0.5;
  await utimes(Date.now() / 1_000, String(microseconds / 1_000_000));
}
