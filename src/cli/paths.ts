import { realpathSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { isWithin } from '../base/paths.js';

/** A path as a person at the working directory would type it, as ripgrep prints them: absolute where it is outside. */
export function shownPath(...parts: string[]): string {
  const absolute = join(...parts);
  const here = process.cwd();
  return isWithin(here, absolute) ? relative(here, absolute) || '.' : absolute;
}

/**
 * A path that the user gave, relative to the project: as `shownPath` has it, or relative to the project already.
 * @param root the project's root folder, absolute
 */
export function pathInProject(root: string, path: string): string {
  const absolute = resolve(path);
  const roots = [root, realPathOf(root)];
  const found = roots.find((folder) => isWithin(folder, absolute) && folder !== absolute);
  return found === undefined ? path : relative(found, absolute);
}

function realPathOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    // The project may be away; its files can be asked for all the same.
    return path;
  }
}
