import type { FileStamp } from '../base/stamp.js';
import { forgetEmptyFolders, upsertFile } from '../store/file-states.js';
import { fileByPath, type FileKind } from '../store/files.js';
import type { PathState } from '../store/history.js';
import type { IndexDatabase } from '../store/index-database.js';
import type { CameBy } from '../store/revisions.js';
import { languageOf } from '../syntax/language.js';
import type { DeviceIds } from './devices.js';

/** What a path is once an earlier state was placed there: by its stamp, without reading it again. In a transaction. */
export function writePlaced(
  index: IndexDatabase,
  projectId: string,
  devices: DeviceIds,
  { path, state, xattrs, sha256 }: PathState & { state: FileKind },
  stamp: FileStamp,
  by: CameBy,
  at: number,
): void {
  const row = fileByPath(index, projectId, path);
  forgetEmptyFolders(index, projectId, path, at);
  const file = {
    ...stamp,
    path,
    kind: state,
    deviceId: devices.idOf(stamp.dev, path),
    tracked: row?.tracked ?? 0,
    xattrs,
    language: row?.language ?? languageOf(path),
    sha256,
    skipReason: null,
    // The next comparison says what is made of it.
    extractor: null,
    chunks: 0,
  };
  upsertFile(index, projectId, file, at, () => ({ by, fromPath: null }));
}
