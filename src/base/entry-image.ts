import type { Attributes } from './attributes.js';

/** What is to stand at a path. */
export type EntryImage = FileImage | SymlinkImage | FolderImage;

export interface FileImage {
  kind: 'file';
  bytes: Uint8Array;
  /** SHA-256 of the bytes, hex. */
  sha256: string;
  attributes: Attributes;
}

/** A symlink has no permission bits, and no attributes of its user's. */
export interface SymlinkImage {
  kind: 'symlink';
  /** Raw bytes: a target need not be valid Unicode. */
  target: Buffer;
  attributes: Pick<Attributes, 'mtimeNs' | 'uid' | 'gid'>;
}

/** An empty folder. */
export interface FolderImage {
  kind: 'folder';
  attributes: Attributes;
}
