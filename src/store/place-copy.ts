import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { copyFile, link, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CodekeepError, errnoOf, ignoreErrno } from '../base/errors.js';
import { noLinks } from '../base/place-exclusively.js';
import { syncPath } from '../base/sync-path.js';
import { isDeadTemporary, ownToken, temporaryName } from '../base/temporary-names.js';

/** By which the folder of a copy is told from other temporary names. */
const copyToken = 'copy-';

/**
 * Makes a database in a folder of its own beside its place, whatever SQLite puts beside it, and gives it the first of some
 * names that is free, once it is whole and durable. Nothing that is there is replaced.
 * @param names in one folder
 * @returns the name, and what `make` gave
 * @throws CodekeepError TARGET_FILE_EXISTS where none is free; system errors
 */
export async function placeCopy<T>(
  names: Iterable<string>,
  make: (to: string) => Promise<T>,
): Promise<{ path: string; made: T }> {
  const candidates = [...names];
  const folder = dirname(candidates[0] ?? '');
  await removeLeftOvers(folder);
  const aside = await asideIn(folder);
  try {
    const copy = join(aside, 'index.db');
    const made = await make(copy);
    await syncPath(copy);
    for (const path of candidates) {
      if (!(await giveName(copy, path))) continue;
      await syncPath(folder);
      return { path, made };
    }
    throw isTaken(candidates[0] ?? '');
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
}

/**
 * Makes a database in a folder of its own beside one that is there, and puts it in that one's place once it is whole and
 * durable: killed at any instant, one of the two is there. No process may have it open, and no log may lie beside it.
 */
export async function replaceWithCopy(
  path: string,
  make: (folder: string) => Promise<string>,
): Promise<void> {
  const folder = dirname(path);
  await removeLeftOvers(folder);
  const aside = await asideIn(folder);
  try {
    const copy = await make(aside);
    await syncPath(copy);
    await rename(copy, path);
    await syncPath(folder);
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
}

/** Runs `work` with a folder of its own beside what it is about, which goes again. */
export async function besideIt<T>(path: string, work: (folder: string) => Promise<T>): Promise<T> {
  const aside = await asideIn(dirname(path));
  try {
    return await work(aside);
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
}

async function asideIn(folder: string): Promise<string> {
  const aside = join(folder, temporaryName(ownToken(`${copyToken}${randomUUID()}`)));
  await mkdir(aside, { mode: 0o700 });
  return aside;
}

/** False where something is there already. */
async function giveName(copy: string, path: string): Promise<boolean> {
  try {
    await link(copy, path).catch(async (error: unknown) => {
      if (!noLinks.has(errnoOf(error) ?? '')) throw error;
      await copyFile(copy, path, constants.COPYFILE_EXCL);
      await syncPath(path);
    });
    return true;
  } catch (error) {
    ignoreErrno('EEXIST')(error);
    return false;
  }
}

export function isTaken(path: string): CodekeepError {
  return new CodekeepError(
    'TARGET_FILE_EXISTS',
    `There is already something at ${path}.`,
    'Give another path.',
    { path },
  );
}

/** What processes left that were killed. */
export async function removeLeftOvers(folder: string): Promise<void> {
  for (const name of await readdir(folder))
    if (name.includes(copyToken) && isDeadTemporary(name))
      await rm(join(folder, name), { recursive: true, force: true });
}
