import { randomUUID } from 'node:crypto';
import { readlink } from 'node:fs/promises';
import { hashFile } from '../base/copy-contents.js';
import { CodekeepError } from '../base/errors.js';
import { sha256 } from '../base/hash.js';
import { splitPath } from '../base/paths.js';
import { PinnedFolder } from '../base/pinned-folder.js';
import { TreePresence } from '../base/presence.js';
import { takeAside, type TakenFile } from '../base/taken-file.js';
import { markDeleted } from '../store/file-states.js';
import { type FileRow, requireFile, setMoved } from '../store/files.js';
import { ownFolders } from './bounds.js';
import { imageOf } from './image.js';
import { indexPaths, type IndexingContext } from './index-paths.js';
import { Aside } from './left-overs.js';
import { OwnFiles } from './own-files.js';
import { readProjectGit } from './project-git.js';
import { assertRegisteredRoot, inspectRootOf } from './project-root.js';
import { VersionStore } from './version-store.js';

/**
 * delete_file: brings what is on disk now into the index, takes it aside, proves that exactly this is kept in versions, marks
 * the row, and only then drops it. A save that comes meanwhile makes a new file, which stays. Gives the absolute path in
 * versions.
 * @throws CodekeepError FILE_NOT_FOUND, ROOT_UNAVAILABLE, PATH_OUTSIDE_ROOT, TARGET_FILE_EXISTS where it changed meanwhile
 */
export async function deleteFile(context: IndexingContext, path: string): Promise<string> {
  const { index, project, signal, now } = context;
  assertRegisteredRoot(inspectRootOf(index, project));
  // One that died with this very file aside has deleted nothing.
  if (new TreePresence(project.rootDir).at(path) === 'absent')
    await Aside.settle(context, [splitPath(path).folder]);
  assertDeletable(context, path);
  await indexPaths(context, await readProjectGit(index, project, signal), [path]);
  const row = requireFile(index, project.id, path);
  const versions = new VersionStore(index, project);
  const root = await PinnedFolder.open(project.rootDir);
  try {
    const taken = await takeAside(root, path, randomUUID());
    try {
      const hash = await keepTaken(context, versions, row, taken);
      await index.write(() => {
        markDeleted(index, row.id, 'asked', now());
        if (row.sha256 === null) setMoved(index, row.id, hash);
      });
    } catch (error) {
      await taken.putBack(now());
      throw error;
    }
    await taken.drop();
  } finally {
    await root.close();
  }
  return versions.pathOf(path);
}

function assertDeletable(context: IndexingContext, path: string): void {
  const { rootDir } = context.project;
  if (new OwnFiles(ownFolders(context)).hold(`${rootDir}/${path}`)) {
    throw new CodekeepError(
      'PATH_OUTSIDE_ROOT',
      `${path} is codekeep's own, reached through the project.`,
      'Take away the link or the mount that leads to it.',
    );
  }
  const presence = new TreePresence(rootDir).at(path);
  if (presence === 'file' || presence === 'symlink') return;
  if (presence === 'blocked') {
    throw new CodekeepError(
      'PATH_OUTSIDE_ROOT',
      `A parent of ${path} is a symlink or a file.`,
      'Name the file by its real path.',
    );
  }
  throw new CodekeepError(
    'FILE_NOT_FOUND',
    `There is no regular file ${path} in the project (${presence}).`,
    'Check the path; it is relative to root_dir.',
  );
}

/** Puts what was taken into versions: from the index where that has it, else the file itself. Gives its hash. */
async function keepTaken(
  { index, now, signal }: IndexingContext,
  versions: VersionStore,
  row: FileRow,
  taken: TakenFile,
): Promise<string> {
  const hash =
    row.kind === 'symlink' ? sha256(await readlink(taken.at, 'buffer')) : await hashFile(taken.at, signal);
  const image = imageOf(index, row);
  if (row.sha256 !== null && hash !== row.sha256) throw changedMeanwhile(row.path);
  const placer = await versions.openPlacer();
  try {
    if (!('problem' in image)) await versions.keep(placer, row.path, image, now());
    else if (taken.stamp.size === row.size) await versions.adopt(placer, row.path, taken.at, now());
    else throw changedMeanwhile(row.path);
  } finally {
    await placer.finish();
  }
  return hash;
}

function changedMeanwhile(path: string): CodekeepError {
  return new CodekeepError(
    'TARGET_FILE_EXISTS',
    `${path} changed while it was being deleted.`,
    'It was left as it is. Call again.',
  );
}
