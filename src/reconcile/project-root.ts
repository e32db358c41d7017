import { lstatSync } from 'node:fs';
import { isEmptyFolder } from '../base/empty-folder.js';
import { CodekeepError, errnoOf } from '../base/errors.js';
import { identityOf } from '../base/mounts.js';
import { shellWord } from '../base/shell-word.js';
import { isSameStamp, stampOf } from '../base/stamp.js';
import type { IndexDatabase } from '../store/index-database.js';
import { pageOfFiles } from '../store/files.js';
import { listProjects, type Project, requireProject, type RootMark } from '../store/projects.js';

/**
 * What is known of a project's root folder: the one that was registered, another one under its name (as the bare place
 * of a mount, or another disk in it), or none that can be looked at.
 */
export type RootState =
  | { kind: 'verified' | 'replaced'; rootDir: string; isEmpty: boolean; mark: RootMark }
  | { kind: 'unavailable'; reason: string };

export function inspectRoot(project: Pick<Project, 'rootDir'> & RootMark): RootState {
  try {
    const mark = rootMarkOf(project.rootDir);
    if (mark === null) return { kind: 'unavailable', reason: `${project.rootDir} is not a folder` };
    return {
      kind: isSameRoot(project, mark) ? 'verified' : 'replaced',
      rootDir: project.rootDir,
      isEmpty: isEmptyFolder(project.rootDir),
      mark,
    };
  } catch (error) {
    const errno = errnoOf(error) ?? 'unknown error';
    return { kind: 'unavailable', reason: `${project.rootDir} cannot be read (${errno})` };
  }
}

/** As inspectRoot; the folder of another project that was renamed into this one's place is not taken for this one's. */
export function inspectRootOf(index: IndexDatabase, project: Project): RootState {
  const root = inspectRoot(project);
  if (root.kind !== 'replaced') return root;
  const owner = listProjects(index).find(
    (other) =>
      other.id !== project.id && isSameRoot(other, root.mark) && hasFilesOf(index, other, project.rootDir),
  );
  if (owner === undefined) return root;
  const reason = `${project.rootDir} is the folder that was at ${owner.rootDir}, another project: put each back in its place; if this one is to be here now, "codekeep remove ${shellWord(owner.rootDir)}" first`;
  return { kind: 'unavailable', reason };
}

/** Why nothing that is there or missing proves anything, for who has no brake of its own; null: it does. */
export function doubtOf(root: RootState): string | null {
  if (root.kind === 'verified') return null;
  return root.kind === 'unavailable' ? root.reason : 'the root folder is not the one that was registered';
}

/** Files by which a folder is told. */
const ownerRows = 100;

/** A new folder may have the number of one that is gone; its files have none of the old ones' stamps. */
function hasFilesOf(index: IndexDatabase, { id }: Project, rootDir: string): boolean {
  return pageOfFiles(index, id, { filter: 'active', prefix: '', after: '', limit: ownerRows }).some((row) => {
    const stamp = stampOf(`${rootDir}/${row.path}`);
    return stamp !== null && isSameStamp(stamp, row);
  });
}

/** Null for what is no folder. Throws where it cannot be looked at. */
export function rootMarkOf(rootDir: string): RootMark | null {
  const stats = lstatSync(rootDir, { bigint: true });
  if (!stats.isDirectory()) return null;
  return { rootDev: String(stats.dev), rootIno: String(stats.ino), rootIdentity: identityOf(rootDir) };
}

/** By the identity of the file system, which outlives a restart, where it is known; else by the device number. */
function isSameRoot(known: RootMark, now: RootMark): boolean {
  if (known.rootIno !== now.rootIno) return false;
  return known.rootIdentity === null
    ? known.rootDev === now.rootDev
    : known.rootIdentity === now.rootIdentity;
}

/** Whether what was looked at since then was looked at in the same folder: mounts come and go meanwhile. */
export function isStillRoot(root: RootState, project: Pick<Project, 'rootDir'> & RootMark): boolean {
  const now = inspectRoot(project);
  return root.kind !== 'unavailable' && now.kind !== 'unavailable' && isSameRoot(root.mark, now.mark);
}

export function rootUnavailable(reason: string): CodekeepError {
  return new CodekeepError(
    'ROOT_UNAVAILABLE',
    `The project's root folder is not available: ${reason}.`,
    'Mount or restore the folder, then call again. Nothing was changed.',
  );
}

/** For what somebody asks for by name: into a folder that may be the bare place of a mount nothing is written. */
export function assertRegisteredRoot(root: RootState): void {
  if (root.kind === 'unavailable') throw rootUnavailable(root.reason);
  if (root.kind === 'verified') return;
  throw new CodekeepError(
    'ROOT_UNAVAILABLE',
    "The project's root folder is another one than was registered.",
    'Mount the right one, then call again; if this is it, call accept_deletions first. Nothing was changed.',
  );
}

/**
 * The project as the index has it by now.
 * @throws CodekeepError ROOT_UNAVAILABLE where it was moved since somebody began to look after it: nothing at its old place
 *   says anything of it; PROJECT_NOT_FOUND
 */
export function projectAtItsPlace({
  index,
  project: known,
}: {
  index: IndexDatabase;
  project: Pick<Project, 'id' | 'rootDir'>;
}): Project {
  const project = requireProject(index, { project_id: known.id });
  if (project.rootDir === known.rootDir) return project;
  throw rootUnavailable(`the project was moved to ${project.rootDir}`);
}

/** So many files (and more than a fifth of the project) missing at once are looked at with suspicion. */
const brakeFilesMin = 20;
const brakeShare = 0.2;
/** Of another folder than was registered: with more of the project missing it is not taken for the project. */
const strangeShare = 0.5;

/**
 * What follows from files that are missing below a root; one judgement for the watcher, the command and the background
 * worker.
 * - `sound`: what is missing is missing.
 * - `emptied`: the folder that was registered is empty. They are gone, but whether somebody wanted that, nobody can
 *   tell: nothing is marked deleted, and a repair brings them back.
 * - `doubtful`: it is not known whether they are gone. Nobody concludes anything, unless somebody says what is right.
 */
export type RootJudgement = { kind: 'sound' } | { kind: 'emptied' | 'doubtful'; reason: string };

export function judgeRoot(root: RootState, missing: number, active: number): RootJudgement {
  if (root.kind === 'unavailable') return { kind: 'doubtful', reason: root.reason };
  const dir = shellWord(root.rootDir);
  const isMass = missing > brakeFilesMin && missing > active * brakeShare;
  if (root.kind === 'verified') {
    if (!isMass || !root.isEmpty) return { kind: 'sound' };
    return {
      kind: 'emptied',
      reason: `the root folder is empty and ${missing} of ${active} files are missing: "codekeep repair ${dir}" brings them back, "codekeep accept ${dir}" marks them deleted`,
    };
  }
  // However small the project is: another folder with hardly anything of it is the place of a mount without its disk, or
  // with a stranger's.
  const isStrange = missing > active * strangeShare;
  if (!isMass && !isStrange) return { kind: 'sound' };
  return {
    kind: 'doubtful',
    reason: `the root folder is not the one that was registered and ${missing} of ${active} files are missing in it: mount the right one; if this is it, "codekeep repair --force ${dir}" brings them back, "codekeep accept ${dir}" marks them deleted`,
  };
}
