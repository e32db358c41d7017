import type { Attributes } from '../base/attributes.js';
import type { EntryImage } from '../base/entry-image.js';
import type { Xattrs } from '../base/xattrs.js';
import type { FileRow } from '../store/files.js';
import type { IndexDatabase } from '../store/index-database.js';
import { keptContent } from '../store/kept-content.js';

export type ImagedRow = Pick<FileRow, 'kind' | 'sha256' | 'mode' | 'mtimeNs' | 'uid' | 'gid' | 'xattrs'>;

/** What a row is made of, rendered and proven; or why neither the index nor a backup can give it. */
export function imageOf(index: IndexDatabase, row: ImagedRow): EntryImage | { problem: string } {
  const rendering = keptContent(index, row.sha256);
  if ('problem' in rendering) return rendering;
  return imageWith(row, rendering.bytes, rendering.sha256);
}

/** @param sha256 of the bytes: of a file's content, of a symlink's target */
export function imageWith(row: ImagedRow, bytes: Buffer, sha256: string): EntryImage {
  const attributes = attributesOf(row);
  if (row.kind === 'symlink') return { kind: 'symlink', target: bytes, attributes };
  if (row.kind === 'folder') return { kind: 'folder', attributes };
  return { kind: 'file', bytes, sha256, attributes };
}

function attributesOf({ mode, mtimeNs, uid, gid, xattrs }: ImagedRow): Attributes {
  return { mode, mtimeNs, uid, gid, xattrs: xattrs === null ? null : (JSON.parse(xattrs) as Xattrs) };
}
