import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

/** An independent look at folders: nothing of the product's own walk is used. */

export interface TreeEntry {
  /** Permission bits, in octal. */
  mode: string;
  /** SHA-256 of a file's bytes; the target of a symlink; '' for anything else. */
  content: string;
}

export function sha256(bytes: string | Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Every path below a folder, by its path relative to it; folders end in "/". Empty for a folder that is not there. */
export function treeOf(root: string, exclude: readonly string[] = []): Map<string, TreeEntry> {
  const tree = new Map<string, TreeEntry>();
  const visit = (folder: string): void => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (exclude.includes(path)) continue;
      const mode = (lstatSync(join(root, path)).mode & 0o7777).toString(8);
      if (entry.isDirectory()) {
        tree.set(`${path}/`, { mode, content: '' });
        visit(path);
      } else if (entry.isSymbolicLink()) tree.set(path, { mode, content: readlinkSync(join(root, path)) });
      else tree.set(path, { mode, content: entry.isFile() ? sha256(readFileSync(join(root, path))) : '' });
    }
  };
  if (lstatSync(root, { throwIfNoEntry: false }) !== undefined) visit('');
  return tree;
}

/** Only the files of a tree, sorted by path. */
export function filesOf(root: string, exclude: readonly string[] = []): Map<string, TreeEntry> {
  const files = [...treeOf(root, exclude)].filter(([path]) => !path.endsWith('/'));
  return new Map(files.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** One hash of everything in a folder: paths, modes, bytes. */
export function treeHash(root: string): string {
  return sha256(JSON.stringify([...treeOf(root)].sort(([a], [b]) => (a < b ? -1 : 1))));
}
