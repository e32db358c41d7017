import { lstatSync } from 'node:fs';
import { isEmptyFolder } from '../../base/empty-folder.js';
import type { Presence } from '../../base/presence.js';
import { type FileStamp, stampOfAny } from '../../base/stamp.js';
import type { FileRow } from '../../store/files.js';
import type { PlacedStamp } from '../../store/journal.js';
import { xattrsAt } from '../read-entry.js';
import { contentHashAt } from '../version-store.js';

/**
 * Whether a file is what a run has placed. What has its ctime is untouched; what has everything else, as after a restart, has
 * to have its bytes.
 */
export function isStillPlaced(
  absolute: string,
  row: FileRow,
  placed: PlacedStamp,
  presence: Presence,
): boolean {
  try {
    if (row.kind === 'folder') return presence === 'directory' && isEmptyFolder(absolute);
    const now = stampOfAny(lstatSync(absolute, { bigint: true }));
    const isSameFile = now.ino === placed.ino;
    if (!isAlike(now, placed)) return false;
    if (isSameFile && now.ctimeNs === placed.ctimeNs) return true;
    if (placed.xattrs !== undefined && xattrsAt(absolute) !== placed.xattrs) return false;
    return row.sha256 === null ? isSameFile : contentHashAt(absolute, presence) === row.sha256;
  } catch {
    return false;
  }
}

/** Size, time, mode and owner. */
function isAlike(now: FileStamp, placed: FileStamp): boolean {
  return (
    now.size === placed.size &&
    now.mtimeNs === placed.mtimeNs &&
    now.mode === placed.mode &&
    now.uid === placed.uid &&
    now.gid === placed.gid
  );
}
