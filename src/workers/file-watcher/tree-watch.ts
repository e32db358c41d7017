import { type FSWatcher, lstatSync, watch } from 'node:fs';
import { basename, join } from 'node:path';
import { errnoOf, messageOf } from '../../base/errors.js';
import { isWithin } from '../../base/paths.js';
import { findRepository, repositoryAt } from '../../reconcile/git-program.js';
import type { FolderCover } from '../../reconcile/walk.js';
import type { EventFlood } from './event-flood.js';

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
  /** Some folder cannot be watched; `reason` says what to do about it. */
  onLost: (reason: string) => void;
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

/**
 * Events of one project's tree: one inotify watch a folder, put on by the walk just before it lists that
 * folder. So nothing falls between the look and the watch, also in folders that appear whole, which watchers
 * that cover a tree by themselves miss. Events are hints: only their path counts, and not even that for sure.
 */
export class TreeWatch implements FolderCover {
  readonly #options: TreeWatchOptions;
  readonly #folders = new Map<string, WatchedFolder>();
  /** By where a HEAD lies, absolute. */
  readonly #heads = new Map<string, WatchedHead>();
  #problem: string | null = null;
  readonly #unlisten: () => void;

  constructor(options: TreeWatchOptions) {
    this.#options = options;
    this.#unlisten = options.flood.listen(options.onDoubt);
  }

  /** True when every folder that was walked is watched. */
  get isAlive(): boolean {
    return this.#problem === null && this.#folders.has('');
  }

  /** A walk of the whole tree begins; it tries again what could not be watched. */
  beginReconcile(): void {
    this.#problem = null;
  }

  cover(folder: string, ino: bigint, isNew: boolean): void {
    const { rootDir } = this.#options;
    const absolute = folder === '' ? rootDir : `${rootDir}/${folder}`;
    const known = this.#folders.get(folder);
    if (known !== undefined && !known.suspect && !isNew && known.ino === ino) return;
    try {
      const name = basename(absolute);
      const entry: WatchedFolder = {
        watch: watch(absolute, (_event, child) => this.#onEvent(folder, entry, child, name)),
        ino,
        suspect: false,
      };
      entry.watch.on('error', (error) => this.#lost(error));
      this.#folders.set(folder, entry);
    } catch (error) {
      const errno = errnoOf(error);
      // A folder that is gone by now, or that cannot be read, has no content to follow either.
      if (errno !== 'ENOENT' && errno !== 'ENOTDIR' && errno !== 'EACCES') this.#lost(error);
    }
    known?.watch.close();
  }

  uncover(folder: string): void {
    if (!this.#folders.has(folder)) return;
    for (const [watched, entry] of this.#folders) {
      if (isWithin(folder, watched)) this.#close(watched, entry);
    }
  }

  retain(walked: ReadonlySet<string>): void {
    for (const [watched, entry] of this.#folders) if (!walked.has(watched)) this.#close(watched, entry);
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

  #close(folder: string, entry: WatchedFolder): void {
    entry.watch.close();
    this.#folders.delete(folder);
  }

  #onEvent(folder: string, entry: WatchedFolder, child: string | null, ownName: string): void {
    // For the watched folder itself inotify gives its own name: it was moved or removed.
    if (child === ownName) entry.suspect = true;
    this.#options.flood.note();
    if (folder === '' && child === ownName) this.#options.onDoubt();
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
          if (name === 'HEAD' || entry.suspect || !isBorn) this.#options.onDoubt();
          else if (name === 'index') this.#options.onGit();
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

  #lost(error: unknown): void {
    const message = messageOf(error);
    const isLimit = ['ENOSPC', 'EMFILE'].includes(errnoOf(error) ?? '');
    this.#problem = isLimit ? `${message}; raise fs.inotify.max_user_watches with sysctl` : message;
    this.#options.onLost(this.#problem);
  }
}
