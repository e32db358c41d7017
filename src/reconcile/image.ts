import type { FileImage } from '../base/file-placer.js';
import { renderContent } from '../store/contents.js';
import type { FileRow } from '../store/files.js';
import type { IndexDatabase } from '../store/index-database.js';

/** What a row's file is made of, rendered and proven; or why the index cannot give it. */
export function imageOf(
  index: IndexDatabase,
  row: Pick<FileRow, 'sha256' | 'mode'>,
): FileImage | { problem: string } {
  const rendering = renderContent(index, row.sha256);
  if ('problem' in rendering) return rendering;
  const attributes = { mode: row.mode, mtimeNs: null, uid: null, gid: null, xattrs: null };
  return { kind: 'file', bytes: rendering.bytes, sha256: rendering.sha256, attributes };
}
