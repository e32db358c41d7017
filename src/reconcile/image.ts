import { renderContent } from '../store/contents.js';
import type { FileKind, FileRow } from '../store/files.js';
import type { IndexDatabase } from '../store/index-database.js';

/** What belongs to an entry of the file system beside its bytes; null where it is not known. */
export interface EntryAttributes {
  mode: number;
  mtimeNs: string | null;
  uid: number | null;
  gid: number | null;
  xattrs: Record<string, string> | null;
}

/** An entry as the index can give it: the bytes of a file, or of a symlink's target; none for an empty folder. */
export interface EntryImage extends EntryAttributes {
  kind: FileKind;
  bytes: Buffer;
  sha256: string;
}

type ImagedRow = Pick<FileRow, 'kind' | 'sha256' | 'mode' | 'mtimeNs' | 'uid' | 'gid' | 'xattrs'>;

/** What a row's file is made of, rendered and proven; or why the index cannot give it. */
export function imageOf(index: IndexDatabase, row: ImagedRow): EntryImage | { problem: string } {
  const rendering = renderContent(index, row.sha256);
  if ('problem' in rendering) return rendering;
  return { kind: row.kind, bytes: rendering.bytes, sha256: rendering.sha256, ...attributesOf(row) };
}

export function attributesOf(row: ImagedRow): EntryAttributes {
  const { mode, mtimeNs, uid, gid, xattrs } = row;
  return { mode, mtimeNs, uid, gid, xattrs: xattrs === null ? null : (JSON.parse(xattrs) as Record<string, string>) };
}
