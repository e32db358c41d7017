import { join } from 'node:path';
import { TreePresence } from '../base/presence.js';
import type { IndexDatabase } from '../store/index-database.js';
import type { Project } from '../store/projects.js';
import { type HeadMark, headMarks, type HeadMarks } from '../store/repositories.js';
import { type GitState, noGit, readGitState, readRepositoryAt } from './git-state.js';

/**
 * What git says of a project: of the repository that its root lies in, and of those below the root, such as submodules,
 * clones and other work trees. A path is the business of the innermost one; but one around it may track it, too, from
 * before there was another.
 */
export interface ProjectGit extends GitState {
  /** Those below the root, by the folder that they begin with, relative to the root. */
  nested: ReadonlyMap<string, GitState>;
}

export const noProjectGit: ProjectGit = withNested(noGit, new Map());

/** Those below the root are asked where the last comparison found them. */
export async function readProjectGit(
  index: IndexDatabase,
  { id, rootDir }: Pick<Project, 'id' | 'rootDir'>,
  signal: AbortSignal,
): Promise<ProjectGit> {
  return await readGitBelow(rootDir, nestedIn(headMarks(index, id)), signal);
}

/** @param folders where repositories may begin, relative to the root; a symlink leads to none of the project's */
export async function readGitBelow(
  rootDir: string,
  folders: Iterable<string>,
  signal: AbortSignal,
): Promise<ProjectGit> {
  const own = await readGitState(rootDir, signal);
  const tree = new TreePresence(rootDir);
  const nested = new Map<string, GitState>();
  for (const folder of folders) {
    if (tree.at(folder) !== 'directory') continue;
    const state = await readRepositoryAt(join(rootDir, folder), signal);
    if (state !== null) nested.set(folder, state);
  }
  return withNested(own, nested);
}

export function withNested(own: GitState, nested: ReadonlyMap<string, GitState>): ProjectGit {
  if (nested.size === 0) return { ...own, nested };
  const isSome = (path: string, says: (state: GitState, below: string) => boolean): boolean =>
    repositoriesAround(nested, path).some((folder) => says(nested.get(folder) ?? own, pathIn(folder, path)));
  return {
    ...own,
    nested,
    trackedCount: [...nested.values()].reduce((sum, state) => sum + state.trackedCount, own.trackedCount),
    isTracked: (path) => isSome(path, (state, below) => state.isTracked(below)),
    hasTrackedBelow: (path) => isSome(path, (state, below) => state.hasTrackedBelow(below)),
  };
}

/** The folders of all repositories that a path is in, the innermost first; '' is the last one. */
export function repositoriesAround(nested: { has: (folder: string) => boolean }, path: string): string[] {
  const folders: string[] = [];
  let folder = path;
  do {
    folder = repositoryOf(nested, folder);
    folders.push(folder);
  } while (folder !== '');
  return folders;
}

/**
 * The folder that the innermost repository begins with which a path is in; '' for the one that the root lies in. Where a
 * repository itself begins is an entry of the one around it.
 */
export function repositoryOf(nested: { has: (folder: string) => boolean }, path: string): string {
  let folder = path;
  do folder = folder.slice(0, Math.max(folder.lastIndexOf('/'), 0));
  while (folder !== '' && !nested.has(folder));
  return folder;
}

/** A path as its repository has it. */
export function pathIn(folder: string, path: string): string {
  return folder === '' ? path : path.slice(folder.length + 1);
}

export function nestedIn(marks: HeadMarks): string[] {
  return [...marks.keys()].filter((folder) => folder !== '');
}

/** Every repository, the one that the root lies in first. */
export function repositoriesOf(git: ProjectGit): [folder: string, state: GitState][] {
  return [['', git], ...git.nested];
}

export const noHead: HeadMark = { head: null, headLog: null };

/** False where the repository that a path is in could not be asked. */
export function isKnownAt(git: ProjectGit, path: string): boolean {
  const state = git.nested.get(repositoryOf(git.nested, path)) ?? git;
  return state.problem === null;
}

/** Why git could not be asked, in words; null where it could. */
export function gitProblemOf(git: ProjectGit): string | null {
  const first = repositoriesOf(git).find(([, { problem }]) => problem !== null);
  if (first === undefined) return null;
  const [folder, { problem }] = first;
  return folder === '' ? problem : `in ${folder}, ${problem}`;
}

/** True as well where a repository went away, or where there is another one. */
export function hasHeadMoved(known: HeadMarks, git: ProjectGit): boolean {
  const isGone = nestedIn(known).some((folder) => !git.nested.has(folder));
  return isGone || repositoriesOf(git).some(([folder, state]) => isHeadMoved(known.get(folder), state));
}

/** Where git cannot be asked, nothing is known to have moved. */
export function isHeadMoved(known: HeadMark = noHead, { head, headLog, problem }: GitState): boolean {
  return problem === null && (head !== known.head || headLog !== known.headLog);
}

/**
 * Where HEAD is now; where git cannot be asked, it is where it was.
 * @param isSure nothing is in doubt: a repository that is not there is gone, and not on a disk that is away
 */
export function headsOf(git: ProjectGit, known: HeadMarks, isSure: boolean): HeadMarks {
  const marks = new Map(isSure ? [] : known);
  for (const [folder, { head, headLog, problem, gitDir }] of repositoriesOf(git)) {
    if (gitDir === null) marks.delete(folder);
    else marks.set(folder, problem === null ? { head, headLog } : (known.get(folder) ?? noHead));
  }
  return marks;
}
