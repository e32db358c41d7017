import { realpathSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { CodekeepError, errnoOf } from '../base/errors.js';
import { identityOf } from '../base/mounts.js';
import { isWithin } from '../base/paths.js';
import { presenceAt, TreePresence } from '../base/presence.js';
import { Slicer } from '../base/waiting.js';
import { deviceIdOf, rehouse } from '../store/devices.js';
import { activeRows } from '../store/files.js';
import type { IndexDatabase } from '../store/index-database.js';
import {
  listProjects,
  noteFurnished,
  noteVersionDir,
  type Project,
  relocateProject,
  versionDirs,
} from '../store/projects.js';
import { canBeProject } from './own-files.js';
import { inspectRoot, rootMarkOf } from './project-root.js';
import { versionsMarker } from './version-dir.js';

/** With fewer of its files a folder is not taken for the project. */
const presentShareMin = 0.5;

export interface MoveContext {
  index: IndexDatabase;
  project: Project;
  stateDir: string;
  signal: AbortSignal;
}

/**
 * The project is in another folder from now on: its id, what the index knows, and its versions stay what they are.
 * Versions below the root have moved with it.
 * @param newRootDir absolute
 * @throws CodekeepError INVALID_PARAMS, ROOT_UNAVAILABLE
 */
export async function moveProject(context: MoveContext, newRootDir: string): Promise<void> {
  const { index, project } = context;
  const rootDir = realPathOf(newRootDir);
  const mark = rootMarkOf(rootDir);
  if (mark === null) throw badRoot(rootDir, 'is not a folder', 'Give the folder that the project is in now.');
  assertFree(context, rootDir);
  const before = inspectRoot(project);
  const isSame =
    before.kind === 'verified' &&
    before.mark.rootIno === mark.rootIno &&
    before.mark.rootDev === mark.rootDev;
  if (before.kind === 'verified' && !isSame)
    throw badRoot(
      rootDir,
      `cannot take the place of ${project.rootDir}, which is still there`,
      'A copy is a project of its own: add it with add_project.',
    );
  const { present, total } = await countPresent(context, rootDir);
  if (present < total * presentShareMin)
    throw badRoot(
      rootDir,
      `has ${present} of the project's ${total} files`,
      'Give the folder that the project is in now; where files are missing, bring them there first.',
    );
  const isInside = isWithin(project.rootDir, project.versionDir);
  const versionDir = isInside
    ? join(rootDir, relative(project.rootDir, project.versionDir))
    : project.versionDir;
  const name = project.name === basename(project.rootDir) ? basename(rootDir) : project.name;
  await index.write(() => {
    relocateProject(index, project, { rootDir, versionDir, name, ...mark });
    noteVersionDir(index, versionDir);
    if (presenceAt(join(versionDir, versionsMarker)) === 'file') noteFurnished(index, versionDir);
    // What is missing was on the old file system, and is to be judged on the new one.
    const deviceId = deviceIdOf(index, project.id, { identity: identityOf(rootDir), folder: '' });
    rehouse(index, project.id, project.rootIdentity, deviceId);
  });
}

/** Where a project is said to be of which nothing says any more in which folder it was. */
export function unknownFolder(stateDir: string, projectId: string): string {
  return join(stateDir, 'folder-unknown', projectId);
}

/**
 * Whether a folder is a project that is not where it was: the same folder by its file system and number, with its files.
 * A number alone is given to another folder once the first is removed. Where nobody knows the folder, its files have to do.
 */
export async function isMovedTo(
  context: MoveContext,
  { rootDir, rootIno, rootIdentity }: Pick<Project, 'rootDir' | 'rootIno' | 'rootIdentity'>,
): Promise<boolean> {
  const { project, stateDir } = context;
  const isSame = project.rootIdentity === rootIdentity && project.rootIno === rootIno;
  const isNowhere = project.rootDir === unknownFolder(stateDir, project.id);
  if (!isNowhere && (project.rootIdentity === null || !isSame)) return false;
  if (presenceAt(project.rootDir) !== 'absent') return false;
  const { present, total } = await countPresent(context, rootDir);
  return total > 0 && present >= total * presentShareMin;
}

async function countPresent(
  { index, project, signal }: MoveContext,
  rootDir: string,
): Promise<{ present: number; total: number }> {
  const slicer = new Slicer(signal);
  const tree = new TreePresence(rootDir);
  let present = 0;
  let total = 0;
  for (const { path } of activeRows(index, project.id)) {
    const presence = tree.at(path);
    if (presence === 'file' || presence === 'symlink' || presence === 'directory') present += 1;
    total += 1;
    await slicer.breathe();
  }
  return { present, total };
}

function assertFree({ index, project, stateDir }: MoveContext, rootDir: string): void {
  const ours = [stateDir, ...versionDirs(index).filter((folder) => !isWithin(project.rootDir, folder))];
  if (!canBeProject(rootDir, ours))
    throw badRoot(rootDir, 'cannot be a project', 'Give a folder of your own files.');
  const other = listProjects(index).find((one) => one.id !== project.id && one.rootDir === rootDir);
  if (other !== undefined)
    throw badRoot(
      rootDir,
      `is the project ${other.id} already`,
      'If that was added by mistake, call remove_project for it first.',
    );
}

function realPathOf(rootDir: string): string {
  try {
    return realpathSync(rootDir);
  } catch (error) {
    throw new CodekeepError(
      'ROOT_UNAVAILABLE',
      `${rootDir} cannot be read (${errnoOf(error) ?? 'error'}).`,
      'Check the path and its permissions, then call again.',
    );
  }
}

function badRoot(rootDir: string, problem: string, hint: string): CodekeepError {
  const issues = [{ param: 'new_root_dir', message: problem }];
  return new CodekeepError('INVALID_PARAMS', `${rootDir} ${problem}.`, `Nothing was changed. ${hint}`, {
    issues,
  });
}
