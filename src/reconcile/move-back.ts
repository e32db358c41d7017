import { randomUUID } from 'node:crypto';
import { CodekeepError } from '../base/errors.js';
import type { FilePlacer } from '../base/file-placer.js';
import { moveFile } from '../base/move-file.js';
import { PinnedFolder } from '../base/pinned-folder.js';
import type { FileStamp } from '../base/stamp.js';
import type { FileRow } from '../store/files.js';
import type { VersionStore } from './version-store.js';

/**
 * Brings a file back that is too large to be in the index: its only copy leaves versions for the project, if it is the one
 * that was put there. Gives its stamp in the project.
 */
export async function moveBack(
  versions: VersionStore,
  placer: FilePlacer,
  row: Pick<FileRow, 'path' | 'size' | 'movedSha256'>,
  now: number,
): Promise<FileStamp> {
  const { path } = row;
  const size = versions.observe().look(path).stats?.size;
  if (size !== row.size) {
    throw new CodekeepError(
      'FILE_NOT_FOUND',
      `${path} cannot be restored: it was too large to be stored, and versions do not have it.`,
      'Leave it out; nothing was restored.',
      { path },
    );
  }
  const root = await PinnedFolder.open(versions.root);
  try {
    const moved = await moveFile({
      from: { root, path },
      to: { placer, path },
      sha256: row.movedSha256,
      token: randomUUID(),
      now,
    });
    return moved.stamp;
  } finally {
    await root.close();
  }
}
