import { lstatSync, opendirSync } from 'node:fs';
import { CodekeepError, errnoOf } from '../base/errors.js';
import type { Project } from '../store/projects.js';

/**
 * What is known of a project's root folder. Only below a `verified` root does a missing file count as
 * missing: a root that is away, or another folder than the one that was registered, proves nothing.
 */
export type RootState =
  | { kind: 'verified'; isEmpty: boolean }
  | { kind: 'replaced'; isEmpty: boolean; dev: string; ino: string }
  | { kind: 'unavailable'; reason: string };

export function inspectRoot(project: Pick<Project, 'rootDir' | 'rootDev' | 'rootIno'>): RootState {
  try {
    const stats = lstatSync(project.rootDir, { bigint: true });
    if (!stats.isDirectory()) return { kind: 'unavailable', reason: `${project.rootDir} is not a folder` };
    const isEmpty = isEmptyFolder(project.rootDir);
    const dev = String(stats.dev);
    const ino = String(stats.ino);
    if (dev === project.rootDev && ino === project.rootIno) return { kind: 'verified', isEmpty };
    return { kind: 'replaced', isEmpty, dev, ino };
  } catch (error) {
    const errno = errnoOf(error) ?? 'unknown error';
    return { kind: 'unavailable', reason: `${project.rootDir} cannot be read (${errno})` };
  }
}

function isEmptyFolder(path: string): boolean {
  const folder = opendirSync(path);
  try {
    return folder.readSync() === null;
  } finally {
    folder.closeSync();
  }
}

export function rootUnavailable(reason: string): CodekeepError {
  return new CodekeepError(
    'ROOT_UNAVAILABLE',
    `The project's root folder is not available: ${reason}.`,
    'Mount or restore the folder, then call again. Nothing was changed.',
  );
}

/** So many files (and more than a fifth of the project) missing at once are looked at with suspicion. */
const brakeFilesMin = 20;
const brakeShare = 0.2;

/**
 * The brake: a large part of a project that vanishes while its root is another folder, or empty, is taken
 * for an unmounted disk or a mistaken path, and not for deletions.
 */
export function isBraked(root: RootState, missing: number, active: number): boolean {
  if (root.kind === 'unavailable') return true;
  if (missing <= brakeFilesMin || missing <= active * brakeShare) return false;
  return root.kind === 'replaced' || root.isEmpty;
}

/**
 * Another folder than was registered, with nothing in it: the place where a disk is mounted, without its disk.
 * However small the project is, nothing is missing there.
 */
export function isDeserted(root: RootState, active: number): boolean {
  return root.kind === 'replaced' && root.isEmpty && active > 0;
}

/** What the brake says to people. */
export function brakeReason(root: RootState, missing: number, active: number): string {
  if (root.kind === 'unavailable') return root.reason;
  const why =
    root.kind === 'replaced'
      ? 'the root folder is not the one that was registered'
      : 'the root folder is empty';
  return `${missing} of ${active} files are missing at once and ${why}: nothing was marked`;
}
