import { realpathSync, statSync } from 'node:fs';
import { isAbsolute, join, normalize, relative, resolve } from 'node:path';
import { InvalidArgumentError } from 'commander';
import { isWithin } from '../base/paths.js';
import { CommandError, exitStatus } from './output.js';
import { type Client, CodekeepError } from '../rpc/client/client.js';

/** As it was given: -C has not been followed yet. Nothing, as of a variable that is not set, is no folder. */
export function parseFolder(text: string): string {
  if (text === '') throw new InvalidArgumentError('It is empty.');
  return text;
}

/** Nothing, as of a variable that is not set, is not the folder that one stands in. */
function assertGiven(path: string): void {
  if (path === '')
    throw new CommandError(
      'A path is empty.',
      'Name a file or a folder; "." is the one that you are in.',
      exitStatus.usage,
    );
}

/** A path as a person at the working directory would type it, as ripgrep prints them: absolute where it is outside. */
export function shownPath(...parts: string[]): string {
  const absolute = join(...parts);
  const here = process.cwd();
  return isWithin(here, absolute) ? relative(here, absolute) || '.' : absolute;
}

/**
 * A path that the user gave, relative to the project: as `shownPath` has it, or relative to the project already.
 * @param root the project's root folder, absolute
 * @throws CommandError for one that leads out of the project
 */
export function pathInProject(root: string, path: string): string {
  assertGiven(path);
  const absolute = resolve(path);
  const roots = [root, realPathOf(root)];
  const found = roots.find((folder) => isWithin(folder, absolute) && folder !== absolute);
  if (found !== undefined) return relative(found, absolute);
  const plain = normalize(path);
  if (isAbsolute(plain) ? !isProjectRoot(root, plain) : /^\.\.(?:\/|$)/u.test(plain))
    throw new CommandError(
      `${path} is not in ${root}.`,
      'Give a path in the project; --project, or -C, names another one.',
      exitStatus.usage,
    );
  return path;
}

/** The same, as that of a folder, too: without a slash at its end. */
export function placeInProject(root: string, path: string): string {
  return pathInProject(root, path).replace(/\/+$/u, '');
}

/** Of several; undefined where none was given, or the root itself: the whole project. */
export function placesInProject(root: string, paths: readonly string[]): string[] | undefined {
  if (paths.length === 0 || paths.some((path) => isProjectRoot(root, path))) return undefined;
  return paths.map((path) => placeInProject(root, path));
}

/**
 * The root of the project that a command is about: the folder that was given; without one the project around the
 * working directory, as git finds it, or the one around `path`, or the working directory itself.
 */
export async function projectRoot(client: Client, given: string | undefined, path?: string): Promise<string> {
  if (given !== undefined) return resolve(given);
  const here = realPathOf(process.cwd());
  const { projects } = await client.call('list_projects');
  const roots = projects.map(({ root_dir }) => root_dir);
  return innermost(roots, here) ?? (path === undefined ? undefined : innermost(roots, resolve(path))) ?? here;
}

/** A path of a project, or all that is below a folder of it, as methods take it; neither for the whole project. */
export interface Place {
  path?: string;
  path_prefix?: string;
}

export function isProjectRoot(root: string, path: string): boolean {
  assertGiven(path);
  return [root, realPathOf(root)].includes(resolve(path));
}

/**
 * Asks for a file, or for what is below a folder, whichever the user's path names: also of a folder that is gone.
 * @param root the project's root folder, absolute
 * @throws the error for the file where neither is known
 */
export async function askForPlace<T>(
  root: string,
  given: string | undefined,
  ask: (place: Place) => Promise<T>,
  isEmpty: (answer: T) => boolean,
): Promise<T> {
  if (given === undefined || isProjectRoot(root, given)) return await ask({});
  const path = placeInProject(root, given);
  const below = { path_prefix: `${path}/` };
  if (statSync(join(root, path), { throwIfNoEntry: false })?.isDirectory() === true) return await ask(below);
  try {
    return await ask({ path });
  } catch (error) {
    if (!isNotFound(error)) throw error;
    const answer = await ask(below);
    if (isEmpty(answer)) throw error;
    return answer;
  }
}

export function isNotFound(error: unknown): boolean {
  return error instanceof CodekeepError && error.code === 'FILE_NOT_FOUND';
}

function innermost(roots: readonly string[], path: string): string | undefined {
  return roots.filter((root) => isWithin(root, path)).sort((a, b) => b.length - a.length)[0];
}

function realPathOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    // The project may be away; its files can be asked for all the same.
    return path;
  }
}
