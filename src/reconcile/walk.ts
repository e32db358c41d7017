import { type Dirent, readdirSync } from 'node:fs';
import { errnoOf } from '../base/errors.js';
import { relativePathProblem } from '../base/paths.js';
import { kindOf } from '../base/presence.js';
import { Slicer } from '../base/waiting.js';
import { type IgnoreRules, neverContent } from './ignore-rules.js';
import { type FileStamp, stampOf } from '../base/stamp.js';

export interface WalkedFile extends FileStamp {
  path: string;
}

export interface WalkResult {
  files: WalkedFile[];
  /** Entries that are neither folders nor indexable files, with the reason; bounded, see `skippedCount`. */
  skipped: { path: string; reason: string }[];
  skippedCount: number;
  /** How many entries each rule file ignores; what is below an ignored folder is not counted. */
  ignored: Map<string, number>;
}

const skippedListMax = 1_000;

/** Keeps watch over folders; a walk tells it of each one just before it lists it. */
export interface FolderCover {
  /** @param isNew the folder has just appeared: a watch on its path may belong to an earlier folder */
  cover(folder: string, isNew: boolean): void;
  /** The folder, with all below it, is gone. */
  uncover(folder: string): void;
  /** Only these folders are left. */
  retain(walked: ReadonlySet<string>): void;
}

/**
 * Walks a project, or one folder of it, and lists its content: regular files that no rule ignores.
 * Symlinks are not followed. What cannot be read is skipped with a reason and thereby not "missing".
 * Runs in slices; aborts with the signal's reason.
 */
export async function walkTree(
  root: string,
  startFolder: string,
  rules: IgnoreRules,
  signal?: AbortSignal,
  onFolder?: (folder: string) => void,
): Promise<WalkResult> {
  const slicer = new Slicer(signal);
  const result: WalkResult = { files: [], skipped: [], skippedCount: 0, ignored: new Map() };
  const folders = [startFolder];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    if (slicer.isDue()) await slicer.breathe();
    onFolder?.(folder);
    for (const entry of listFolder(root, folder, result)) {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
      visit(root, path, entry, rules, folders, result);
      if (slicer.isDue()) await slicer.breathe();
    }
  }
  return result;
}

function listFolder(root: string, folder: string, result: WalkResult): Dirent[] {
  try {
    return readdirSync(folder === '' ? root : `${root}/${folder}`, { withFileTypes: true });
  } catch (error) {
    const errno = errnoOf(error);
    // A folder that vanished meanwhile has no content; the root itself must be there.
    if (folder === '' || errno === null) throw error;
    if (folder.includes('\uFFFD')) skip(result, folder, 'the name is not UTF-8');
    else if (errno !== 'ENOENT' && errno !== 'ENOTDIR')
      skip(result, folder, `the folder cannot be read (${errno})`);
    return [];
  }
}

function visit(
  root: string,
  path: string,
  entry: Dirent,
  rules: IgnoreRules,
  folders: string[],
  result: WalkResult,
): void {
  const isDirectory = entry.isDirectory();
  const ignoredBy = rules.ignoredBy(path, isDirectory);
  if (ignoredBy !== null) {
    if (ignoredBy !== neverContent) result.ignored.set(ignoredBy, (result.ignored.get(ignoredBy) ?? 0) + 1);
    return;
  }
  if (isDirectory) {
    folders.push(path);
    return;
  }
  if (entry.isSymbolicLink()) return skip(result, path, 'a symlink is not followed');
  const problem = relativePathProblem(path);
  if (problem !== null) return skip(result, path, `the path ${problem}`);
  try {
    const stamp = stampOf(`${root}/${path}`);
    if (stamp !== null) result.files.push({ path, ...stamp });
    // A name that is not UTF-8 was decoded with replacement characters, so that nothing is found under it.
    else if (entry.name.includes('\uFFFD')) skip(result, path, 'the name is not UTF-8');
    else if (!entry.isFile()) skip(result, path, `not a regular file (${kindOf(entry)})`);
  } catch (error) {
    skip(result, path, `cannot be read (${errnoOf(error) ?? 'error'})`);
  }
}

function skip(result: WalkResult, path: string, reason: string): void {
  result.skippedCount += 1;
  if (result.skipped.length < skippedListMax) result.skipped.push({ path, reason });
}
