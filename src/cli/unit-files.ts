import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf } from '../base/errors.js';
import { packagePath } from '../base/package.js';

/** The units of the package, and what stands in the folder of systemd where they belong. */

export type Scope = 'user' | 'system';

/** The first line of every unit that was installed; a file without it is somebody else's. */
const marker = '# Written by "codekeep install"';

/** How the units of the package start the program, where a reader copies them by hand. */
const programByName = '/usr/bin/env codekeep';

/** The program with the Node that runs it, both absolute: systemd knows nothing of a shell's PATH. */
export interface InstalledProgram {
  node: string;
  cli: string;
  version: string;
}

/**
 * write: nothing is there; replace: an older one of ours; unchanged: it says the same already;
 * foreign: something that was not written by codekeep, or was changed by hand.
 */
export type UnitState = 'write' | 'replace' | 'unchanged' | 'foreign';

export interface UnitFile {
  path: string;
  text: string;
  state: UnitState;
}

/** The units of a scope as they would stand in `folder`. */
export function plannedUnits(scope: Scope, folder: string, program: InstalledProgram): UnitFile[] {
  return unitNames(scope).map((name) => {
    const path = join(folder, name);
    const text = renderUnit(readFileSync(packagePath('systemd', scope, name), 'utf8'), program);
    return { path, text, state: stateOf(readIfThere(path), text) };
  });
}

export function unitNames(scope: Scope): string[] {
  return readdirSync(packagePath('systemd', scope)).sort();
}

/** The text of a unit of the package with the absolute path of the program, below the marker. */
export function renderUnit(template: string, { node, cli, version }: InstalledProgram): string {
  const program = `${quoted(node)} ${quoted(cli).replaceAll('$', '$$$$')}`;
  return `${marker} ${version}; "codekeep uninstall" removes it. Change it by a drop-in: systemctl edit.\n${template.replaceAll(programByName, () => program)}`;
}

/** One word of a command line of systemd, with its specifiers off; systemd.syntax(7). */
function quoted(word: string): string {
  return `"${word.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('%', '%%')}"`;
}

export function isOurs(text: string): boolean {
  return text.startsWith(marker);
}

export function stateOf(found: string | null, text: string): UnitState {
  if (found === null) return 'write';
  if (found === text) return 'unchanged';
  return isOurs(found) ? 'replace' : 'foreign';
}

/** The content of what stands at a path, '' for what is no regular file (a masked unit is a symlink), null for nothing. */
export function readIfThere(path: string): string | null {
  try {
    return lstatSync(path).isFile() ? readFileSync(path, 'utf8') : '';
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null;
    throw error;
  }
}
