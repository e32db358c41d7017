import { type FSWatcher, lstatSync, watch } from 'node:fs';
import { basename, join } from 'node:path';
import { errnoOf, messageOf } from '../../base/errors.js';
import { inotifyLimit, type InotifyResource } from '../../base/inotify-limits.js';
import { eventlessAt } from '../../base/mounts.js';
import { isWithin, splitPath } from '../../base/paths.js';
import { findRepository, repositoryAt, type StampedFiles, stampsOf } from '../../reconcile/git-program.js';
import type { FolderCover, FolderIdentity } from '../../reconcile/walk.js';
import type { EventFlood } from './event-flood.js';
import { MountWatch } from './mount-watch.js';
import { Rotation } from './rotation.js';

export interface TreeWatchOptions {
  rootDir: string;
  /** A path below the root that may have changed; '' for the root itself. */
  onPath: (path: string) => void;
  /** A branch was switched, or events may have got lost: reconcile. */
  onDoubt: () => void;
  /** git wrote its index: what it tracks may have changed. */
  onGit: () => void;
  /** Shared by all that are watched in this process. */
  flood: EventFlood;
  /** Some folders cannot be watched; `reason` says what to do about it. Told once for as long as it is so. */
  onLost: (reason: string) => void;
}

/** Folders that no event tells of, or not of all that happens. */
export interface PolledFolders {
  count: number;
  /** Folders that are watched or polled. */
  total: number;
  /** What is known of them is as it was then or later; milliseconds since 1970. */
  at: number;
  /** Why. */
  reason: string;
}

/** Where a HEAD lies, or will lie. */
interface WatchedHead extends WatchedFolder {
  isBorn: boolean;
}

interface WatchedFolder {
  watch: FSWatcher;
  ino: bigint;
  /** The folder itself was moved or removed: the watch stays with what is gone. */
  suspect: boolean;
}

/** Why watches cannot be put on any more, with what to do about it; null where it is something else. */
function limitBehind(errno: string | null): string | null {
  const raise = (resource: InotifyResource): string =>
    `raise ${inotifyLimit(resource)?.sysctl ?? `fs.inotify.max_user_${resource}`} with sysctl`;
  if (errno === 'ENOSPC') return `the limit of watches is reached: ${raise('watches')}`;
  return errno === 'EMFILE' ? `no inotify instance is left: ${raise('instances')}` : null;
}

/**
 * Events of one project's tree: one inotify watch a folder, put on by the walk just before it lists that
 * folder. So nothing falls between the look and the watch, also in folders that appear whole, which watchers
 * that cover a tree by themselves miss. Events are hints: only their path counts, and not even that for sure.
 *
 * Folders that cannot be watched, and those on file systems that do not tell of all that happens, are in the rotation of those
 * that are polled.
 */
export class TreeWatch implements FolderCover {
  /** Renewed by each walk, too. */
  readonly rotation = new Rotation();
  readonly #options: TreeWatchOptions;
  /** Once there are too few watches: that in which nothing has happened for longest first. */
  readonly #folders = new Map<string, WatchedFolder>();
  /** Folders without a watch, with their inode numbers. */
  readonly #unwatched = new Map<string, bigint>();
  /** By where a HEAD lies, absolute. */
  readonly #heads = new Map<string, WatchedHead>();
  /** Of each device number, the name of a file system that does not tell of all that happens; null where it does. */
  readonly #eventless = new Map<bigint, string | null>();
  /** No further watch can be had: to be refused once more for each of 100,000 folders takes seconds. */
  #isFull = false;
  /** Why the last one could not be watched of those that are not. */
  #problem: string | null = null;
  readonly #mounts: MountWatch;
  #rules: StampedFiles = { files: [], stamps: '' };
  readonly #unlisten: () => void;

  constructor(options: TreeWatchOptions) {
    this.#options = options;
    this.#mounts = new MountWatch(options.rootDir);
    this.#unlisten = options.flood.listen(options.onDoubt);
  }

  /** Null where events tell of all that happens. */
  get polled(): PolledFolders | null {
    const ageMs = this.rotation.ageMs(performance.now());
    if (ageMs === null) return null;
    const unwatched = this.#unwatched.size;
    const eventless = [...this.#eventless.values()].filter((type) => type !== null);
    const reasons = eventless.map((type) => `no events for all that happens on ${type}`);
    if (unwatched > 0) reasons.push(`${unwatched} have no watch (${this.#problem})`);
    const total = this.#folders.size + unwatched;
    return { count: this.rotation.size, total, at: Date.now() - ageMs, reason: reasons.join('; ') };
  }

  /** Watched or not, it has a place here. */
  has(folder: string): boolean {
    return this.#folders.has(folder) || this.#unwatched.has(folder);
  }

  /** The folder that a walk has met is there, and no other one by its name. */
  isInPlace(folder: string): boolean {
    try {
      const { ino } = lstatSync(this.#at(folder), { bigint: true });
      return ino === (this.#folders.get(folder)?.ino ?? this.#unwatched.get(folder));
    } catch {
      return false;
    }
  }

  /** A walk of the whole tree begins; it tries again what could not be watched. */
  beginReconcile(): void {
    this.#isFull = false;
    this.#eventless.clear();
    for (const mountPoint of this.#mounts.take()) {
      for (const [folder, entry] of this.#folders)
        if (isWithin(mountPoint, this.#at(folder))) entry.suspect = true;
      for (const [gitDir, entry] of this.#heads) if (isWithin(mountPoint, gitDir)) entry.suspect = true;
    }
  }

  /**
   * Since a reconcile began last, something was mounted or unmounted, and other folders than those watched may be there; or a
   * file has changed that says what is content and lies where no watch tells of it.
   */
  get isOutdated(): boolean {
    return this.#mounts.hasChanged || stampsOf(this.#rules.files) !== this.#rules.stamps;
  }

  cover(folder: string, { ino, dev }: FolderIdentity, isNew: boolean): void {
    const known = this.#folders.get(folder);
    try {
      if (known === undefined || known.suspect || isNew || known.ino !== ino) {
        // Whatever it would still tell of is seen by the walk.
        if (known !== undefined) this.#unwatch(folder, known);
        this.#watch(folder, ino);
      }
      if (this.#unwatched.has(folder) || this.#eventlessOn(dev, folder) !== null)
        this.rotation.add(folder, performance.now());
      else this.rotation.drop(folder);
    } catch (error) {
      // A folder that is gone by now, or that cannot be read, has no content to follow either.
      if (isUnreadable(error)) this.#forget(folder);
      else this.#lost(folder, ino, error);
    }
  }

  uncover(folder: string): void {
    if (!this.has(folder)) return;
    for (const known of this.#all()) if (isWithin(folder, known)) this.#forget(known);
  }

  retain(walked: ReadonlySet<string>): void {
    for (const known of this.#all()) if (!walked.has(known)) this.#forget(known);
    if (this.#unwatched.size === 0) this.#problem = null;
  }

  /**
   * What has changed is likely to change again: where there are too few watches, a folder gets that of the one in which nothing
   * has happened for longest. Gives the two, which are to be looked at once more.
   */
  favour(folder: string): string[] {
    if (!this.#unwatched.has(folder)) return [];
    if (!this.#isFull) this.#coverNow(folder);
    if (!this.#unwatched.has(folder)) return [folder];
    if (!this.#isFull) return [];
    for (const [quiet, entry] of this.#folders) {
      // By the root's own watch it is seen that the root goes away.
      if (quiet === '') continue;
      this.#unwatch(quiet, entry);
      this.#unwatched.set(quiet, entry.ino);
      this.rotation.add(quiet, performance.now());
      this.#coverNow(folder);
      this.#isFull = true;
      return [folder, quiet];
    }
    return [];
  }

  coverHeads(folders: readonly string[]): void {
    const { rootDir } = this.#options;
    const repositories = [
      findRepository(rootDir),
      ...folders.map((folder) => repositoryAt(`${rootDir}/${folder}`)),
    ];
    const gitDirs = new Set(repositories.filter((one) => one !== null).map(({ gitDir }) => gitDir));
    this.#retainHeads(gitDirs);
    for (const gitDir of gitDirs) this.#watchHead(gitDir, true);
  }

  coverRules(files: StampedFiles): void {
    this.#rules = files;
  }

  coverUnborn(folders: readonly string[]): void {
    for (const folder of folders) {
      const top = `${this.#options.rootDir}/${folder}`;
      this.#watchHead(join(top, '.git'), false);
      // It became one before it was watched.
      if (repositoryAt(top) !== null) this.#options.onDoubt();
    }
  }

  stop(): void {
    this.retain(new Set());
    this.#unlisten();
    this.#retainHeads(new Set());
  }

  #at(folder: string): string {
    return folder === '' ? this.#options.rootDir : `${this.#options.rootDir}/${folder}`;
  }

  #coverNow(folder: string): void {
    try {
      this.cover(folder, lstatSync(this.#at(folder), { bigint: true }), false);
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      this.#forget(folder);
    }
  }

  *#all(): Generator<string> {
    yield* this.#folders.keys();
    yield* this.#unwatched.keys();
  }

  #forget(folder: string): void {
    const entry = this.#folders.get(folder);
    if (entry !== undefined) this.#unwatch(folder, entry);
    this.#unwatched.delete(folder);
    this.rotation.drop(folder);
  }

  #unwatch(folder: string, entry: WatchedFolder): void {
    entry.watch.close();
    this.#folders.delete(folder);
    this.#isFull = false;
  }

  /** @throws where the folder is gone or cannot be read */
  #watch(folder: string, ino: bigint): void {
    if (this.#isFull) {
      this.#unwatched.set(folder, ino);
      return;
    }
    const absolute = this.#at(folder);
    const name = basename(absolute);
    try {
      const entry: WatchedFolder = {
        watch: watch(absolute, (_event, child) => this.#onEvent(folder, entry, child, name)),
        ino,
        suspect: false,
      };
      entry.watch.on('error', (error) => {
        this.#unwatch(folder, entry);
        this.#lost(folder, ino, error);
      });
      this.#folders.set(folder, entry);
      this.#unwatched.delete(folder);
    } catch (error) {
      if (isUnreadable(error)) throw error;
      this.#lost(folder, ino, error);
    }
  }

  #lost(folder: string, ino: bigint, error: unknown): void {
    const limit = limitBehind(errnoOf(error));
    if (limit !== null) this.#isFull = true;
    this.#unwatched.set(folder, ino);
    this.rotation.add(folder, performance.now());
    const problem = limit ?? messageOf(error);
    if (this.#problem !== problem) this.#options.onLost(problem);
    this.#problem = problem;
  }

  #eventlessOn(dev: bigint, folder: string): string | null {
    let type = this.#eventless.get(dev);
    if (type === undefined) {
      type = eventlessAt(this.#at(folder));
      this.#eventless.set(dev, type);
    }
    return type;
  }

  #onEvent(folder: string, entry: WatchedFolder, child: string | null, ownName: string): void {
    this.#options.flood.note();
    if (this.#unwatched.size > 0 && this.#folders.get(folder) === entry) {
      this.#folders.delete(folder);
      this.#folders.set(folder, entry);
    }
    // For the watched folder itself inotify gives its own name: it was moved or removed.
    if (child === ownName) {
      entry.suspect = true;
      if (folder === '') this.#options.onDoubt();
      // The watch of the folder above tells of it, where there is one.
      else if (this.#unwatched.has(splitPath(folder).folder)) this.#options.onPath(folder);
    }
    this.#options.onPath(child === null ? folder : folder === '' ? child : `${folder}/${child}`);
  }

  #watchHead(gitDir: string, isBorn: boolean): void {
    try {
      const { ino } = lstatSync(gitDir, { bigint: true });
      const known = this.#heads.get(gitDir);
      if (known !== undefined && !known.suspect && known.ino === ino && known.isBorn === isBorn) return;
      known?.watch.close();
      const entry: WatchedHead = {
        watch: watch(gitDir, (_event, name) => {
          if (name === basename(gitDir)) entry.suspect = true;
          if (entry.suspect || !isBorn) this.#options.onDoubt();
          else if (name === 'HEAD' || name === 'index') this.#options.onGit();
        }),
        ino,
        suspect: false,
        isBorn,
      };
      entry.watch.on('error', () => entry.watch.close());
      this.#heads.set(gitDir, entry);
    } catch {
      // A periodic comparison sees where HEAD is, too.
    }
  }

  #retainHeads(gitDirs: ReadonlySet<string>): void {
    for (const [gitDir, { watch: head }] of this.#heads) {
      if (gitDirs.has(gitDir)) continue;
      head.close();
      this.#heads.delete(gitDir);
    }
  }
}

function isUnreadable(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR', 'EACCES'].includes(errnoOf(error) ?? '');
}
