import { existsSync, lstatSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { CodekeepError, errnoOf } from '../base/errors.js';
import { isPseudo } from '../base/mounts.js';
import { isWithin } from '../base/paths.js';
import { PlacingProblems } from '../base/placing-problem.js';
import { presenceAt } from '../base/presence.js';
import type { Project } from '../store/projects.js';

/** All that is in one that was made before there was a marker: a folder a project, and what hides them from git. */
const ownNames = /^(?:[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}|\.gitignore)$/u;

/** Says of a folder that it is a versions directory of ours. */
export const versionsMarker = '.codekeep-versions';

/** Where versions go unless a project names another place: outside of every project. */
export function defaultVersionDir(stateDir: string): string {
  return join(stateDir, 'versions');
}

/**
 * The real path of a versions directory that somebody names, relative to the root; it must be absent, empty or ours.
 * @param known versions directories that are ours although they have no marker (older ones)
 * @throws CodekeepError INVALID_PARAMS that says what is in the way
 */
export function resolveVersionDir(
  rootDir: string,
  given: string,
  stateDir: string,
  known: readonly string[],
): string {
  const versionDir = realPathOf(resolve(rootDir, given));
  if (isWithin(versionDir, rootDir)) {
    throw badVersionDir(versionDir, 'contains the project', 'Give a folder beside the project or below it.');
  }
  if (isWithin(stateDir, versionDir) && versionDir !== defaultVersionDir(stateDir)) {
    const hint = `Leave it out, or give a folder elsewhere: versions go to ${defaultVersionDir(stateDir)} by themselves.`;
    throw badVersionDir(versionDir, "is among codekeep's own files", hint);
  }
  const problem = known.includes(versionDir) ? null : contentProblem(versionDir);
  if (problem !== null) {
    throw badVersionDir(versionDir, problem, 'Give a folder that is empty, or that does not exist yet.');
  }
  if (isPseudo(existingPart(versionDir)))
    throw badVersionDir(versionDir, 'can hold no files', 'Give a folder on a disk.');
  const placing = new PlacingProblems(versionDir, { mayBeMissing: true }).at('any');
  if (placing !== null)
    throw badVersionDir(versionDir, `cannot be written: ${placing}`, 'Mend that, or give another folder.');
  return versionDir;
}

/** The folder itself, or the nearest one above it that is there. */
function existingPart(path: string): string {
  return existsSync(path) ? path : existingPart(dirname(path));
}

/** Through symlinks, as far as the path exists; a symlink that leads nowhere is an obstacle. */
function realPathOf(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') {
      throw badVersionDir(
        path,
        `cannot be looked at (${errnoOf(error) ?? 'error'})`,
        'Mend that, or give another folder.',
      );
    }
    if (presenceAt(path) === 'symlink')
      throw badVersionDir(path, 'is a symlink that leads nowhere', 'Mend the link, or give another folder.');
    return join(realPathOf(dirname(path)), basename(path));
  }
}

function contentProblem(versionDir: string): string | null {
  try {
    const names = readdirSync(versionDir);
    const isOurs = names.includes(versionsMarker) || names.every((name) => ownNames.test(name));
    return isOurs ? null : 'holds files that are not versions';
  } catch (error) {
    const errno = errnoOf(error) ?? 'error';
    if (errno === 'ENOENT') return null;
    return errno === 'ENOTDIR' ? 'is not a folder' : `cannot be read (${errno})`;
  }
}

function badVersionDir(versionDir: string, problem: string, hint: string): CodekeepError {
  return new CodekeepError('INVALID_PARAMS', `version_dir ${versionDir} ${problem}.`, hint, {
    issues: [{ param: 'version_dir', message: problem }],
  });
}

/** A file beside a project's copies that says whose they are, should the index be lost. */
export function projectNoteName(id: string): string {
  return `${id}.json`;
}

export function projectNote({ id, rootDir }: Pick<Project, 'id' | 'rootDir'>): string {
  return `${JSON.stringify({ project_id: id, root_dir: rootDir })}\n`;
}

/** The projects whose copies a versions directory has; of several at one root the last. */
export function notedProjects(versionDir: string): Pick<Project, 'id' | 'rootDir'>[] {
  const found: { id: string; rootDir: string; at: number }[] = [];
  for (const name of namesIn(versionDir)) {
    const id = /^(?<id>[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12})\.json$/u.exec(name)?.groups?.['id'];
    if (id === undefined) continue;
    const path = join(versionDir, name);
    const text = textAt(path) ?? '';
    const rootDir = /"root_dir":(?<root>"(?:[^"\\]|\\.)*")/u.exec(text)?.groups?.['root'];
    const root = rootDir === undefined ? null : (JSON.parse(rootDir) as string);
    if (root !== null && text === projectNote({ id, rootDir: root }))
      found.push({ id, rootDir: root, at: lstatSync(path).mtimeMs });
  }
  return found.sort((a, b) => b.at - a.at);
}

/** The project that was at this root and that nobody knows any more; null where there is none. */
export function abandonedProject(
  versionDir: string,
  rootDir: string,
  isKnown: (id: string) => boolean,
): string | null {
  const noted = notedProjects(versionDir).filter((project) => project.rootDir === rootDir);
  return noted.find(({ id }) => !isKnown(id))?.id ?? null;
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

export function textAt(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
