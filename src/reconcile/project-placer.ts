import type { ClosedFolders } from '../base/closed-folders.js';
import { FilePlacer } from '../base/file-placer.js';
import { PinnedFolder } from '../base/pinned-folder.js';
import { folderAttributes } from '../store/folders.js';
import type { IndexDatabase } from '../store/index-database.js';
import type { Project } from '../store/projects.js';

/** Places files below the project's root; folders that are missing are made as they were, some when all are `closed`. */
export async function openProjectPlacer(
  index: IndexDatabase,
  project: Pick<Project, 'id' | 'rootDir'>,
  closed: ClosedFolders | null = null,
): Promise<FilePlacer> {
  const root = await PinnedFolder.open(project.rootDir);
  return new FilePlacer(root, (path) => folderAttributes(index, project.id, path), closed);
}
