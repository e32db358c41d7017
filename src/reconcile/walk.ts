import { type BigIntStats, lstatSync } from 'node:fs';
import { compareBytes } from '../base/byte-order.js';
import { errnoOf } from '../base/errors.js';
import { relativePathProblem } from '../base/paths.js';
import { printOf, stampOfAny } from '../base/stamp.js';
import { isDeadTemporary, isTakenName } from '../base/temporary-names.js';
import { Slicer } from '../base/waiting.js';
import type { FileKind } from '../store/files.js';
import { type Ahead, type EnteredFolder, FoldersAhead } from './folders-ahead.js';
import { repositoryAt, type StampedFiles } from './git-program.js';
import { type IgnoreRules, neverContent } from './ignore-rules.js';
import { listFolder, type Listing, lookAt, marks, seen, whyUnread } from './listing.js';
import { type WalkedDevice, WalkedDevices } from './walked-devices.js';

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

/** What a walk has found beside the content itself; complete when the walk is. */
export interface WalkFindings {
  /** Entries of content. */
  fileCount: number;
  /** Of them, those that git tracks. */
  trackedCount: number;
  /** Every folder that was listed, the root as well. */
  folders: WalkedFolder[];
  /** Every file system that a listed folder lies on, by its identity. */
  devices: ReadonlyMap<string, WalkedDevice>;
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

/** Which folder was met by a name. */
export type FolderIdentity = Pick<BigIntStats, 'ino' | 'dev'>;

/** Keeps watch over folders; a walk tells it of each one just before it lists it. */
export interface FolderCover {
  /** @param isNew the folder has just appeared: a watch on its path may belong to an earlier folder */
  cover(folder: string, identity: FolderIdentity, isNew: boolean): void;
  /** The folder, with all below it, is gone. */
  uncover(folder: string): void;
  /** Only these folders are left. */
  retain(walked: ReadonlySet<string>): void;
  /** What says which files are content, and lies elsewhere; as it was before it was read. */
  coverRules(files: StampedFiles): void;
  /** What is to become a repository at these folders: somebody has to see when it is one. */
  coverUnborn(folders: readonly string[]): void;
  /** HEAD of the root's repository, and of those that begin at these folders and nowhere else; before it is read. */
  coverHeads(folders: readonly string[]): void;
}

export interface WalkOptions {
  signal?: AbortSignal | undefined;
  /** Told of each folder just before it is listed. */
  onFolder?: ((folder: string, identity: FolderIdentity) => void) | undefined;
  /** Told of each folder in the one that is walked, which is all that is done about it then. */
  onSubfolder?: ((folder: string) => void) | undefined;
  /** A thread lists folders ahead of the walk. */
  ahead?: Ahead | undefined;
}

/** Entries that are handed on at once. */
const batchFiles = 500;
/** A folder that is still to be looked at. */
interface OpenFolder {
  path: string;
  /** What ignores it, where it is entered for what git tracks below it. */
  within: string | null;
  /** What the folder above lies on; null where the walk begins. */
  above: WalkedDevice | null;
}

/** A folder on the way: it is listed where its own path stands in the order, and descended where what is in it stands. */
interface FolderStep {
  open: OpenFolder;
  inside: Frame | null;
}

interface Step {
  /** Its path, with a slash behind it where a folder is descended. */
  key: string;
  /** What lstat says, see lookAt; null where nobody has looked yet. */
  look: string | null;
  /** By git; false for a folder. Asked for where its folder is listed, since that is one question about all in it. */
  isTracked: boolean;
  folder: FolderStep | null;
}

/** A folder that is being walked. */
interface Frame {
  device: WalkedDevice;
  steps: readonly Step[];
  next: number;
}

/**
 * Walks a project, or one folder of it, and gives its content: what no rule ignores and what git tracks, in the order of
 * the paths' bytes. Symlinks are not followed. What cannot be read is skipped with a reason and thereby not "missing".
 */
export class TreeWalk {
  readonly findings: WalkFindings;
  readonly #root: string;
  readonly #rules: IgnoreRules;
  readonly #options: WalkOptions;
  readonly #devices: WalkedDevices;
  /** The innermost last. */
  readonly #frames: Frame[] = [];
  #batch: WalkedFile[] = [];
  readonly #ahead: FoldersAhead | null;

  constructor(root: string, rules: IgnoreRules, options: WalkOptions = {}) {
    this.#root = root;
    this.#rules = rules;
    this.#options = options;
    this.#devices = new WalkedDevices(root);
    const enter = (folder: string): BigIntStats | null => this.#enter(folder, () => undefined);
    const at = (folder: string): string => this.#at(folder);
    this.#ahead = options.ahead === undefined ? null : new FoldersAhead(options.ahead, { enter, at });
    this.findings = {
      fileCount: 0,
      trackedCount: 0,
      folders: [],
      devices: this.#devices.known,
      skipped: [],
      skippedCount: 0,
      withLeftOvers: [],
      repositories: [],
      unborn: [],
      ignored: new Map(),
    };
  }

  /** Folders in the one that is walked are told of and not entered. */
  get isShallow(): boolean {
    return this.#options.onSubfolder !== undefined;
  }

  /**
   * The content of a folder ('' for the root) and below. More can be asked for when it is at its end; the findings are of all
   * together. Runs in slices; aborts with the signal's reason.
   * @throws what the system says where the root cannot be listed
   */
  async *batches(folder: string): AsyncGenerator<WalkedFile[], void, undefined> {
    const slicer = new Slicer(this.#options.signal);
    const open = { path: folder, within: this.#rules.withinAt(folder), above: null };
    const start: FolderStep = { open, inside: null };
    try {
      await this.#list(start, slicer);
      this.#descend(start);
      for (let frame = this.#frames.at(-1); frame !== undefined; frame = this.#frames.at(-1)) {
        if (slicer.isDue()) await slicer.breathe();
        const step = frame.steps[frame.next];
        frame.next += 1;
        if (step === undefined) this.#frames.pop();
        else if (step.folder === null) this.#keepFile(step, frame.device);
        else if (step.folder.inside !== null) this.#descend(step.folder);
        else if (!step.key.endsWith('/')) await this.#list(step.folder, slicer);
        if (this.#batch.length >= batchFiles) yield this.#taken();
      }
      if (this.#batch.length > 0) yield this.#taken();
    } finally {
      this.#ahead?.end();
    }
  }

  #taken(): WalkedFile[] {
    const batch = this.#batch;
    this.#batch = [];
    return batch;
  }

  #descend(folder: FolderStep): void {
    if (folder.inside !== null) this.#frames.push(folder.inside);
    folder.inside = null;
  }

  /** Goes into a folder and takes what is in it apart; what is to be looked at is a step of it. */
  async #list(folder: FolderStep, slicer: Slicer): Promise<void> {
    const { path, within, above } = folder.open;
    this.#ahead?.order(path);
    const entered = this.#ahead?.take(path) ?? this.#entered(path);
    if (entered === null) return;
    const { stats } = entered;
    const { mode, uid, gid, dev } = stampOfAny(stats);
    const device = this.#devices.of(path, dev, above);
    this.findings.folders.push({ path, mode, uid, gid, dev });
    const listing = await this.#listing(path, entered, slicer);
    if (listing === null) return;
    if (listing.names.length === 0 && path !== '' && within === null)
      this.#keep(path, 'folder', printOf(stats), device, false);
    this.#rules.noteListed(path, listing.names);
    const steps: Step[] = [];
    for (const [position, name] of listing.names.entries()) {
      const mark = listing.marks.charAt(position);
      const step = this.#visit(folder.open, device, name, mark, listing.looks?.[position] ?? null);
      if (step === null) continue;
      steps.push(step);
      if (step.folder !== null) steps.push({ ...step, key: `${step.key}/` });
      if (slicer.isDue()) await slicer.breathe();
    }
    steps.sort((one, other) => compareBytes(one.key, other.key));
    folder.inside = { device, steps, next: 0 };
  }

  /** Null for what cannot be listed (any more). */
  async #listing(path: string, { ticket }: EnteredFolder, slicer: Slicer): Promise<Listing | null> {
    const listing = ticket === null ? null : await this.#ahead?.listing(ticket, slicer);
    if (listing) return listing;
    try {
      return listFolder(this.#at(path));
    } catch (error) {
      this.#skipFolder(path, error);
      return null;
    }
  }

  #entered(path: string): EnteredFolder | null {
    const stats = this.#enter(path, (error) => this.#skipFolder(path, error));
    return stats === null ? null : { stats, ticket: null };
  }

  /** Has it watched. Null for what is no folder of the project's (any more). */
  #enter(path: string, onError: (error: unknown) => void): BigIntStats | null {
    try {
      const at = this.#at(path);
      const isRoot = path === '';
      // A root that is none, or gone, is an error.
      const stats = lstatSync(at, isRoot ? { bigint: true } : { bigint: true, throwIfNoEntry: false });
      if (stats === undefined || (!stats.isDirectory() && !isRoot) || this.#rules.isOwn(stats)) return null;
      this.#options.onFolder?.(path, stats);
      return stats;
    } catch (error) {
      onError(error);
      return null;
    }
  }

  /** What there is to do for an entry of a folder; null where it is no content. */
  #visit(
    folder: OpenFolder,
    device: WalkedDevice,
    name: string,
    mark: string,
    look: string | null,
  ): Step | null {
    const path = folder.path === '' ? name : `${folder.path}/${name}`;
    const isDirectory = mark === marks.folder || mark === marks.oddFolder;
    if (name === '.git') this.#noteRepository(folder.path, isDirectory);
    if (isDirectory ? isTakenName(name) : isDeadTemporary(name))
      this.findings.withLeftOvers.push(folder.path);
    const isTracked = !isDirectory && this.#rules.isTracked(path);
    const source = this.#rules.ignoredBy(path, isDirectory, folder.within, isTracked);
    if (source !== null && !(isDirectory && this.#rules.isEntered(path, source))) {
      this.#ignore(source);
      return null;
    }
    const isUtf8 = mark === marks.folder || mark === marks.other;
    const problem = isUtf8 ? pathProblem(path) : notUtf8;
    if (problem !== null) {
      this.#skip(path, problem);
      return null;
    }
    if (!isDirectory) return { key: path, look, isTracked, folder: null };
    if (this.#options.onSubfolder !== undefined) {
      this.#options.onSubfolder(path);
      return null;
    }
    const open = { path, within: this.#rules.within(path, source), above: device };
    return { key: path, look: null, isTracked: false, folder: { open, inside: null } };
  }

  #noteRepository(folder: string, isDirectory: boolean): void {
    if (repositoryAt(this.#at(folder)) === null) {
      if (isDirectory) this.findings.unborn.push(folder);
    } else if (folder !== '') this.findings.repositories.push(folder);
  }

  #keepFile({ key, look, isTracked }: Step, device: WalkedDevice): void {
    const said = look ?? lookAt(this.#at(key), (stats) => this.#rules.isOwn(stats));
    if (said.startsWith(seen.file)) this.#keep(key, 'file', said.slice(1), device, isTracked);
    else if (said.startsWith(seen.symlink)) this.#keep(key, 'symlink', said.slice(1), device, isTracked);
    else if (said !== '') this.#skip(key, said.slice(1));
  }

  #keep(path: string, kind: FileKind, print: string, { identity }: WalkedDevice, isTracked: boolean): void {
    this.findings.fileCount += 1;
    if (isTracked) this.findings.trackedCount += 1;
    this.#batch.push({ path, print, kind, tracked: isTracked ? 1 : 0, device: identity });
  }

  #skipFolder(path: string, error: unknown): void {
    const errno = errnoOf(error);
    // A folder that vanished meanwhile has no content; the root itself must be there.
    if (path === '' || errno === null) throw error;
    if (errno !== 'ENOENT' && errno !== 'ENOTDIR') this.#skip(path, whyUnread(errno, 'the folder '));
  }

  #skip(path: string, reason: string): void {
    this.findings.skippedCount += 1;
    if (this.findings.skipped.length < skippedListMax) this.findings.skipped.push({ path, reason });
  }

  #ignore(source: string): void {
    if (source === neverContent) return;
    this.findings.ignored.set(source, (this.findings.ignored.get(source) ?? 0) + 1);
  }

  #at(path: string): string {
    return path === '' ? this.#root : `${this.#root}/${path}`;
  }
}

const notUtf8 = 'the name is not UTF-8';

function pathProblem(path: string): string | null {
  const problem = relativePathProblem(path);
  return problem === null ? null : `the path ${problem}`;
}
