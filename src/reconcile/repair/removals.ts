import { lstatSync } from 'node:fs';
import { rmdir } from 'node:fs/promises';
import { ignoreErrno } from '../../base/errors.js';
import { splitPath } from '../../base/paths.js';
import { PinnedFolder } from '../../base/pinned-folder.js';
import { stampOfAny } from '../../base/stamp.js';
import { removeIfSame } from '../../base/taken-file.js';
import { fileByPath, type FileRow } from '../../store/files.js';
import type { IndexDatabase } from '../../store/index-database.js';
import type { Project } from '../../store/projects.js';
import { isMoved, moveIntoVersions } from '../restore.js';

/** Takes out of a project what a run has placed there. `finish` makes that durable, once a folder; use one a batch. */
export class Removals {
  readonly #index: IndexDatabase;
  readonly #project: Project;
  readonly #touched = new Set<string>();
  #root: Promise<PinnedFolder> | null = null;

  constructor(index: IndexDatabase, project: Project) {
    this.#index = index;
    this.#project = project;
  }

  /**
   * False where it is something else by now.
   * @param token unique among what this process removes
   * @param now milliseconds since 1970
   */
  async remove(row: FileRow, token: string, now: number): Promise<boolean> {
    this.#root ??= PinnedFolder.open(this.#project.rootDir);
    const root = await this.#root;
    if (row.kind === 'folder') return await isFolderRemoved(root, row.path);
    if (isMoved(row)) {
      await moveIntoVersions(this.#index, this.#project, root, row, now);
      return true;
    }
    const stamp = stampOfAny(lstatSync(`${this.#project.rootDir}/${row.path}`, { bigint: true }));
    const sha256 = row.kind === 'file' ? row.sha256 : null;
    this.#touched.add(splitPath(row.path).folder);
    const removed = await removeIfSame(root, row.path, { stamp, sha256, isDurable: false }, token, now);
    return removed === 'removed' || removed === 'absent';
  }

  async finish(): Promise<void> {
    const root = await this.#root?.catch(() => null);
    if (root === undefined || root === null) return;
    try {
      await syncFolders(root, this.#touched);
    } finally {
      await root.close();
    }
  }
}

/** Makes durable what was taken out of folders, as far as they are there. */
export async function syncFolders(root: PinnedFolder, folders: Iterable<string>): Promise<void> {
  for (const path of folders) {
    const folder = await root.descend(path, false).catch(ignoreErrno('ENOENT'));
    await folder?.sync();
    await folder?.close();
  }
}

/**
 * Folders of versions out of which copies went, with those above them, as far as nothing is in them now. One that was deleted
 * when it was empty has its copy in this very folder.
 * @param root of the project's versions, absolute
 */
export async function removeEmptiedVersions(
  index: IndexDatabase,
  projectId: string,
  root: string,
  folders: Iterable<string>,
): Promise<void> {
  const emptied = new Set<string>();
  for (const innermost of folders)
    for (let folder = innermost; folder !== ''; folder = splitPath(folder).folder) emptied.add(folder);
  const unnamed = [...emptied].filter((folder) => fileByPath(index, projectId, folder) === undefined);
  await removeEmptied({ rootDir: root }, unnamed.sort().reverse());
}

/** Folders that a run made and that hold nothing by now. One that is in use, or another one by now, stays. */
export async function removeEmptied(
  project: Pick<Project, 'rootDir'>,
  folders: readonly string[],
): Promise<void> {
  if (folders.length === 0) return;
  const root = await PinnedFolder.open(project.rootDir);
  try {
    for (const folder of folders) await isFolderRemoved(root, folder).catch(() => false);
  } finally {
    await root.close();
  }
}

/** One that holds something by now is refused by the system itself. */
async function isFolderRemoved(root: PinnedFolder, path: string): Promise<boolean> {
  const { folder, name } = splitPath(path);
  const parent = await root.descend(folder, false);
  try {
    await rmdir(parent.at(name));
    await parent.sync();
    return true;
  } finally {
    await parent.close();
  }
}
