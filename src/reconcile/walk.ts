import { type BigIntStats, type Dirent, lstatSync, readdirSync } from 'node:fs';
import { errnoOf } from '../base/errors.js';
import { identityOf, type Mount, readMounts } from '../base/mounts.js';
import { isWithin, relativePathProblem } from '../base/paths.js';
import { printOf, stampOfAny } from '../base/stamp.js';
import { isDeadTemporary, isTakenName } from '../base/temporary-names.js';
import { Slicer } from '../base/waiting.js';
import type { FileKind } from '../store/files.js';
import { repositoryAt } from './git-program.js';
import { type IgnoreRules, neverContent } from './ignore-rules.js';

export interface WalkedFile {
  path: string;
  /** Its stamp, as printOf gives it. */
  print: string;
  /** Folders are given only where nothing at all is in them; others follow from what they hold. */
  kind: FileKind;
  /** By git. */
  tracked: 0 | 1;
  /** Identity of the file system that its folder lies on, see base/mounts.ts. */
  device: string;
}

export interface WalkedFolder {
  /** Relative to the root; '' for the root itself. */
  path: string;
  /** Permission bits (st_mode & 07777). */
  mode: number;
  uid: number;
  gid: number;
  dev: string;
}

export interface WalkedDevice {
  identity: string;
  /** Where it was met first, relative to the root. */
  folder: string;
  dev: string;
}

export interface WalkResult {
  /** Content: regular files, symlinks, and folders with nothing in them. */
  files: WalkedFile[];
  /** Every folder that was listed, the root as well. */
  folders: WalkedFolder[];
  /** Every file system that a listed folder lies on, by its identity. */
  devices: Map<string, WalkedDevice>;
  /** Content that cannot be kept, with the reason; bounded, see `skippedCount`. */
  skipped: { path: string; reason: string }[];
  skippedCount: number;
  /** Folders in which a process that died has left something (base/taken-file.ts). */
  withLeftOvers: string[];
  /** Folders below the root that a repository begins with (see project-git.ts). */
  repositories: string[];
  /** Folders with a .git that is no repository yet: git makes it before what is in it. */
  unborn: string[];
  /** How many entries each rule file ignores; what is below an ignored folder that is not entered is not counted. */
  ignored: Map<string, number>;
}

/** More than anybody reads, and less than would take a notable part of memory (some 20 MB). */
const skippedListMax = 100_000;

/** Keeps watch over folders; a walk tells it of each one just before it lists it. */
export interface FolderCover {
  /** @param isNew the folder has just appeared: a watch on its path may belong to an earlier folder */
  cover(folder: string, isNew: boolean): void;
  /** The folder, with all below it, is gone. */
  uncover(folder: string): void;
  /** Only these folders are left. */
  retain(walked: ReadonlySet<string>): void;
  /** What is to become a repository at these folders: somebody has to see when it is one. */
  coverUnborn(folders: readonly string[]): void;
  /** HEAD of the root's repository, and of those that begin at these folders and nowhere else; before it is read. */
  coverHeads(folders: readonly string[]): void;
}

/**
 * Walks a project, or one folder of it, and lists its content: what no rule ignores and what git tracks.
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
  const walk = new Walk(root, rules);
  const open: OpenFolder[] = [{ path: startFolder, within: rules.withinAt(startFolder), above: null }];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (slicer.isDue()) await slicer.breathe();
    const folder = walk.enter(next);
    if (folder === null) continue;
    onFolder?.(folder.path);
    for (const entry of walk.list(folder)) {
      const inner = walk.visit(folder, entry);
      if (inner !== null) open.push(inner);
      if (slicer.isDue()) await slicer.breathe();
    }
  }
  return walk.result;
}

/** A folder that is still to be looked at. */
interface OpenFolder {
  path: string;
  /** What ignores it, where it is entered for what git tracks below it. */
  within: string | null;
  /** What the folder above lies on; null where the walk begins. */
  above: WalkedDevice | null;
}

interface EnteredFolder extends OpenFolder {
  stats: BigIntStats;
  device: WalkedDevice;
}

type Entry = Pick<Dirent, 'name' | 'isDirectory'> & { isUtf8?: boolean };

class Walk {
  readonly result: WalkResult = {
    files: [],
    folders: [],
    devices: new Map(),
    skipped: [],
    skippedCount: 0,
    withLeftOvers: [],
    repositories: [],
    unborn: [],
    ignored: new Map(),
  };
  readonly #root: string;
  readonly #rules: IgnoreRules;
  readonly #mounts: readonly Mount[] = readMounts();
  /** Absolute, below the root. */
  readonly #mountPoints: ReadonlySet<string>;

  constructor(root: string, rules: IgnoreRules) {
    this.#root = root;
    this.#rules = rules;
    const points = this.#mounts.map(({ mountPoint }) => mountPoint);
    this.#mountPoints = new Set(points.filter((point) => isWithin(root, point)));
  }

  /** Null for what is no folder of the project's (any more). */
  enter(folder: OpenFolder): EnteredFolder | null {
    try {
      const stats = lstatSync(this.#at(folder.path), { bigint: true });
      // A root that is none is an error, when it is listed.
      if (!stats.isDirectory() && folder.path !== '') return null;
      if (this.#rules.isOwn(stats)) return null;
      const { mode, uid, gid, dev } = stampOfAny(stats);
      const device = this.#deviceOf(folder, dev);
      this.result.folders.push({ path: folder.path, mode, uid, gid, dev });
      return { ...folder, stats, device };
    } catch (error) {
      this.#skipFolder(folder.path, error);
      return null;
    }
  }

  #deviceOf({ path, above }: OpenFolder, dev: string): WalkedDevice {
    const absolute = this.#at(path);
    if (above?.dev === dev && !this.#mountPoints.has(absolute)) return above;
    const identity = identityOf(absolute, this.#mounts);
    const known = this.result.devices.get(identity);
    if (known?.dev === dev) return known;
    const device = { identity, folder: path, dev };
    if (known === undefined) this.result.devices.set(identity, device);
    return device;
  }

  list(folder: EnteredFolder): Entry[] {
    try {
      const entries = entriesOf(this.#at(folder.path));
      if (entries.length === 0 && folder.path !== '' && folder.within === null)
        this.#keep(folder.path, 'folder', folder.stats, folder.device);
      return entries;
    } catch (error) {
      this.#skipFolder(folder.path, error);
      return [];
    }
  }

  /** Takes an entry into the result; a folder that is to be entered is given back. */
  visit(folder: EnteredFolder, entry: Entry): OpenFolder | null {
    const path = folder.path === '' ? entry.name : `${folder.path}/${entry.name}`;
    const isDirectory = entry.isDirectory();
    if (entry.name === '.git') this.#noteRepository(folder.path, isDirectory);
    if (isDirectory ? isTakenName(entry.name) : isDeadTemporary(entry.name))
      this.result.withLeftOvers.push(folder.path);
    const source = this.#rules.ignoredBy(path, isDirectory, folder.within);
    if (source !== null && !(isDirectory && this.#rules.isEntered(path, source))) {
      this.#ignore(source);
      return null;
    }
    const problem = entry.isUtf8 === false ? notUtf8 : pathProblem(path);
    if (problem !== null) this.#skip(path, problem);
    else if (isDirectory) return { path, within: this.#rules.within(path, source), above: folder.device };
    else this.#look(path, folder.device);
    return null;
  }

  #noteRepository(folder: string, isDirectory: boolean): void {
    if (repositoryAt(this.#at(folder)) === null) {
      if (isDirectory) this.result.unborn.push(folder);
    } else if (folder !== '') this.result.repositories.push(folder);
  }

  #look(path: string, device: WalkedDevice): void {
    try {
      const stats = lstatSync(this.#at(path), { bigint: true, throwIfNoEntry: false });
      // Gone or a folder by now: that is for the next walk.
      if (stats === undefined || stats.isDirectory()) return;
      if (this.#rules.isOwn(stats)) return;
      if (stats.isFile()) this.#keep(path, 'file', stats, device);
      else if (stats.isSymbolicLink()) this.#keep(path, 'symlink', stats, device);
      else this.#skip(path, `not a regular file (${specialKindOf(stats)})`);
    } catch (error) {
      const errno = errnoOf(error);
      if (errno !== 'ENOTDIR') this.#skip(path, reasonOf(errno));
    }
  }

  #keep(path: string, kind: FileKind, stats: BigIntStats, device: WalkedDevice): void {
    const tracked = kind !== 'folder' && this.#rules.isTracked(path) ? 1 : 0;
    this.result.files.push({ path, print: printOf(stats), kind, tracked, device: device.identity });
  }

  #skipFolder(path: string, error: unknown): void {
    const errno = errnoOf(error);
    // A folder that vanished meanwhile has no content; the root itself must be there.
    if (path === '' || errno === null) throw error;
    if (errno !== 'ENOENT' && errno !== 'ENOTDIR') this.#skip(path, reasonOf(errno, 'the folder '));
  }

  #skip(path: string, reason: string): void {
    this.result.skippedCount += 1;
    if (this.result.skipped.length < skippedListMax) this.result.skipped.push({ path, reason });
  }

  #ignore(source: string): void {
    if (source === neverContent) return;
    this.result.ignored.set(source, (this.result.ignored.get(source) ?? 0) + 1);
  }

  #at(path: string): string {
    return path === '' ? this.#root : `${this.#root}/${path}`;
  }
}

const notUtf8 = 'the name is not UTF-8';
/** Stands in a name that was read as UTF-8 for bytes that are not; a name may also have it by itself. */
const replacement = '\uFFFD';

function entriesOf(folder: string): Entry[] {
  const entries = readdirSync(folder, { withFileTypes: true });
  return entries.some(({ name }) => name.includes(replacement)) ? entriesByBytes(folder) : entries;
}

/** Tells a name that is not UTF-8 from one that looks like it. */
function entriesByBytes(folder: string): Entry[] {
  return readdirSync(folder, { withFileTypes: true, encoding: 'buffer' }).map((entry) => {
    const name = entry.name.toString();
    const isUtf8 = Buffer.from(name).equals(entry.name);
    return { name, isUtf8, isDirectory: () => entry.isDirectory() };
  });
}

function pathProblem(path: string): string | null {
  const problem = relativePathProblem(path);
  return problem === null ? null : `the path ${problem}`;
}

function reasonOf(errno: string | null, subject = ''): string {
  if (errno === 'ENAMETOOLONG') return 'the path with that of the root is longer than the system takes';
  return `${subject}cannot be read (${errno ?? 'error'})`;
}

function specialKindOf(stats: BigIntStats): string {
  if (stats.isSocket()) return 'socket';
  return stats.isFIFO() ? 'fifo' : 'device';
}
