import { lstat } from 'node:fs/promises';
import { hashFile } from './copy-contents.js';
import { CodekeepError } from './errors.js';
import type { FilePlacer } from './file-placer.js';
import { splitPath } from './paths.js';
import type { PinnedFolder } from './pinned-folder.js';
import { type FileStamp, stampFrom } from './stamp.js';
import { isSameAside, type PutBack, takeAside } from './taken-file.js';

export interface MovedFile {
  /** Of the file in its new place; what somebody has made of it since it was hashed is not in it. */
  stamp: FileStamp;
  sha256: string;
  /** A file that was changed meanwhile is not dropped: it is still there or beside its place. */
  source: 'dropped' | PutBack;
}

export interface FileMove {
  from: { root: PinnedFolder; path: string };
  to: { placer: FilePlacer; path: string };
  /** What it must have; null: whatever it has. */
  sha256: string | null;
  /** Names what is temporary, at both ends. */
  token: string;
  now: number;
  signal?: AbortSignal | undefined;
}

/**
 * Moves a file of any size as it is, attributes included, without holding it in memory: by a second name, or across file
 * systems by a copy. The source is dropped when the new name is durable, and only if it is still what was hashed.
 * @throws CodekeepError TARGET_FILE_EXISTS, PATH_OUTSIDE_ROOT; FILE_NOT_FOUND where the hash is another; system errors
 */
export async function moveFile(move: FileMove): Promise<MovedFile> {
  const { from, to, token, signal } = move;
  const { folder, name } = splitPath(from.path);
  const parent = await from.root.descend(folder, false);
  try {
    const source = parent.at(name);
    const before = stampFrom(await lstat(source, { bigint: true }));
    if (before === null) throw new Error(`${from.path} is not a regular file`);
    const sha256 = await hashFile(source, signal);
    if (move.sha256 !== null && sha256 !== move.sha256) throw changedSince(from.path);
    const placed = await to.placer.placeCopyOf(source, to.path, token, { sha256, signal });
    await to.placer.sync();
    const left = await dropIfStill(move, before);
    return { stamp: await stampOfMoved(move, before, placed), sha256, source: left };
  } finally {
    await parent.close();
  }
}

/** What is there is not the file that is meant. */
export function changedSince(path: string): CodekeepError {
  return new CodekeepError(
    'FILE_NOT_FOUND',
    `${path} cannot be moved: it does not have its hash, so it was changed since.`,
    'It was left as it is. Leave it out, or take it by hand.',
    { path },
  );
}

async function dropIfStill({ from, token, now }: FileMove, before: FileStamp): Promise<'dropped' | PutBack> {
  const taken = await takeAside(from.root, from.path, token);
  if (!isSameAside(taken.stamp, before)) return await taken.putBack(now);
  await taken.drop();
  return 'dropped';
}

/** Of one file with two names, losing one has changed ctime and the number of names. */
async function stampOfMoved({ to }: FileMove, before: FileStamp, placed: FileStamp): Promise<FileStamp> {
  if (placed.ino !== before.ino || placed.dev !== before.dev) return placed;
  const { ctimeNs, nlink, ino } = await to.placer.stampAt(to.path);
  return ino === before.ino ? { ...before, ctimeNs, nlink } : before;
}
