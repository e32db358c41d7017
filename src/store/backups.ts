import { lstatSync, realpathSync, type Stats, statSync } from 'node:fs';
import { mkdir, readdir, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { CodekeepError, errnoOf, ignoreErrno } from '../base/errors.js';
import { namesIn } from '../base/folder-names.js';
import { isWithin } from '../base/paths.js';
import { checkFile, type CheckResult, closeCopy, copyAndCheck } from './check-thread.js';
import { IndexDatabase, isOlder } from './index-database.js';
import { causeInWords, isCorrupt, outsideCause } from './sqlite-errors.js';
import { isTaken, placeCopy } from './place-copy.js';
import { versionDirs } from './projects.js';
import { AttachedBackup } from './salvage/attached-backup.js';
import { damagedContents } from './scrub.js';
import { copySound, replacedPath } from './replace-index.js';

/** Backups that are kept in the state directory. */
const backupsKept = 7;
/** Pages copied in one step of a backup (4 KiB each): 16 MB, well below a tenth of a second. */
const backupPages = 4_000;

export interface Backup {
  path: string;
  bytes: number;
  /** What is damaged in the copy, as it is in the index; none: it is whole. */
  problems: string[];
}

export function backupFolder(indexPath: string): string {
  return join(dirname(indexPath), 'backups');
}

/** Damaged contents that an old backup is searched for before it goes. */
const damagedMax = 1_000;

/** Backups that are made in one millisecond have the next ones' names. */
const namesMax = 100;

export interface BackupOptions {
  /** A file that does not exist yet; without it one in backups/ beside the index, of which the newest seven are kept. */
  to?: string | undefined;
  signal?: AbortSignal | undefined;
  /** False where nobody else is at work. */
  givesWay?: boolean;
}

/**
 * Copies the live database page by page (SQLite's online backup: never a file copy); it gets its name once it is whole,
 * durable and checked.
 * @throws CodekeepError TARGET_FILE_EXISTS, INVALID_PARAMS; INDEX_UNAVAILABLE where `to` cannot be written; the signal's reason
 */
export async function backup(
  index: IndexDatabase,
  now: number,
  { to, signal, givesWay = true }: BackupOptions = {},
): Promise<Backup> {
  const make = async (copy: string): Promise<string[]> => {
    const copied = index.isInPlace
      ? copyAndCheck(index.path, copy, givesWay, signal)
      : copyOpen(index, copy, signal);
    return (await copied).problems;
  };
  if (to !== undefined) {
    const { made } = await placeCopy([to], make).catch((error: unknown) => {
      throw cannotWrite(to, error);
    });
    return { path: to, bytes: (await stat(to)).size, problems: made };
  }
  const folder = backupFolder(index.path);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const { path, made: problems } = await placeCopy(namesFrom(folder, now), make);
  // A copy of what is damaged must not push out one that is sound.
  if (problems.length === 0) await dropSurplus(folder, (surplus) => hasDamaged(index, surplus));
  return { path, bytes: (await stat(path)).size, problems };
}

/** It has a content whole that is damaged in the index: it may be the last copy. */
function hasDamaged(index: IndexDatabase, path: string): boolean {
  const damaged = damagedContents(index, damagedMax).map(({ sha256 }) => sha256);
  if (damaged.length === 0) return false;
  const hasOne = (old: AttachedBackup): boolean =>
    old.hashesAmong(damaged).some((hash) => old.contentOf(hash) !== null);
  return AttachedBackup.tryUse(index, path, hasOne, () => undefined) === true;
}

function cannotWrite(to: string, error: unknown): unknown {
  // Folders like /proc/1 say ENOENT of what they take nothing of.
  const isFromOutside = outsideCause(error) !== null || errnoOf(error) === 'ENOENT';
  if (error instanceof CodekeepError || isCorrupt(error) || !isFromOutside) return error;
  return new CodekeepError(
    'INDEX_UNAVAILABLE',
    `${to} cannot be written: ${causeInWords(error)}.`,
    'Nothing is left there. Give another path, or mend that, then call again.',
  );
}

/**
 * Backs up an index that an older version wrote, before its schema is changed. No process may have it open.
 * @param longStep runs what holds the event loop for as long as the file takes to be read
 * @returns null where the newest backup is of this very state: a start that fails is tried again and again
 * @throws CodekeepError INDEX_UNAVAILABLE where it cannot be backed up: then it must not be changed
 */
export async function backupBeforeMigration(
  indexPath: string,
  now: number,
  longStep: <T>(work: () => T) => T,
): Promise<string | null> {
  const folder = backupFolder(indexPath);
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    if (isBackedUp(indexPath)) return null;
    const make = async (copy: string): Promise<void> => await copySound(indexPath, copy, longStep);
    const { path } = await placeCopy(namesFrom(folder, now), make);
    await dropSurplus(folder, () => false);
    return path;
  } catch (error) {
    throw new CodekeepError(
      'INDEX_UNAVAILABLE',
      `The index is of an older version, and could not be backed up before it is brought up to date: ${causeInWords(error)}.`,
      'Nothing was changed. Free some space in the state directory; it is tried again by itself.',
    );
  }
}

function isBackedUp(indexPath: string): boolean {
  const [newest] = backupsBeside(indexPath);
  const madeAt = newest === undefined ? undefined : statOf(newest)?.mtimeMs;
  const changedAt = Math.max(statOf(indexPath)?.mtimeMs ?? 0, statOf(`${indexPath}-wal`)?.mtimeMs ?? 0);
  if (newest === undefined || madeAt === undefined || madeAt <= changedAt) return false;
  try {
    return isOlder(newest);
  } catch {
    // Then another one is made.
    return false;
  }
}

function* namesFrom(folder: string, now: number): Generator<string> {
  for (let at = now; at < now + namesMax; at += 1) yield join(folder, nameOf(at));
}

function nameOf(now: number): string {
  return `index-${new Date(now).toISOString().replaceAll(/[:.]/g, '-')}.db`;
}

/**
 * For a path that somebody gives.
 * @throws CodekeepError INVALID_PARAMS where it cannot be a backup's place, TARGET_FILE_EXISTS
 */
export function assertBackupPlace(index: IndexDatabase, path: string): void {
  const folder = dirname(path);
  if (statOf(folder)?.isDirectory() !== true)
    throw badPlace(`there is no folder ${folder}`, 'Make it, or give another path.');
  const real = realpathSync(folder);
  const ours = [realpathSync(dirname(index.path)), ...versionDirs(index)];
  if (ours.some((one) => isWithin(one, real)))
    throw badPlace(
      `${folder} is codekeep's own`,
      'Give a folder elsewhere, or no path for one of its backups.',
    );
  // SQLite takes it for the log of another database, and writes it over that one.
  if (/-(?:journal|wal|shm)$/u.test(path))
    throw badPlace('it ends like the log of a database', 'Give another name, such as index-copy.db.');
  if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) throw isTaken(path);
}

function badPlace(problem: string, hint: string): CodekeepError {
  const words = `No backup can be written there: ${problem}.`;
  return new CodekeepError('INVALID_PARAMS', words, hint, { issues: [{ param: 'path', message: problem }] });
}

function statOf(path: string): Stats | null {
  try {
    return statSync(path, { throwIfNoEntry: false }) ?? null;
  } catch (error) {
    return ignoreErrno('ENOTDIR')(error) ?? null;
  }
}

/** Those that are kept in the state directory, the newest first; whether they are sound, nobody has looked. */
export function backupsBeside(indexPath: string): string[] {
  const folder = backupFolder(indexPath);
  return namesIn(folder)
    .filter((name) => backupName.test(name))
    .sort()
    .reverse()
    .map((name) => join(folder, name));
}

/** All older copies in the state directory: backups, and indexes that others took the place of, or what is left of one. */
export function olderCopies(indexPath: string): string[] {
  const folder = dirname(replacedPath(indexPath, 0));
  const names = namesIn(folder);
  const replaced = names.filter((name) => /^index-.*\.db(?:-wal)?$/u.test(name) && !isLogOf(name, names));
  return [...backupsBeside(indexPath), ...replaced.sort().map((name) => join(folder, name))];
}

/** It belongs to a database that is there. */
function isLogOf(name: string, names: readonly string[]): boolean {
  return name.endsWith('-wal') && names.includes(name.slice(0, -'-wal'.length));
}

/** A file that somebody removed lives on in the connection that has it open. */
async function copyOpen(index: IndexDatabase, to: string, signal?: AbortSignal): Promise<CheckResult> {
  const progress = (): number => {
    signal?.throwIfAborted();
    return backupPages;
  };
  await index.db.backup(to, { progress });
  closeCopy(to);
  return await checkFile(to, false, signal);
}

async function dropSurplus(folder: string, isNeeded: (path: string) => boolean): Promise<void> {
  const names = (await readdir(folder)).filter((name) => backupName.test(name));
  for (const name of surplusOf(names, backupsKept)) {
    const path = join(folder, name);
    if (!isNeeded(path)) await unlink(path).catch(ignoreErrno('ENOENT'));
  }
}

const backupName = /^index-(?<day>\d{4}-\d\d-\d\d)T[\d-]+Z\.db$/u;

/**
 * Which backups go so that no more than `kept` are left; pure. Days count more than hours: of a day with many, as one with
 * many repairs, the older ones go first, and then the oldest days.
 */
export function surplusOf(names: readonly string[], kept: number): string[] {
  const left = names.map((name) => basename(name)).sort();
  const surplus: string[] = [];
  while (left.length > kept) {
    const ofOneDay = left.findIndex((name, at) => dayOf(name) === dayOf(left[at + 1] ?? ''));
    surplus.push(...left.splice(Math.max(ofOneDay, 0), 1));
  }
  return surplus;
}

function dayOf(name: string): string {
  return backupName.exec(name)?.groups?.['day'] ?? '';
}
