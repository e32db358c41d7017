import { type FSWatcher, watch } from 'node:fs';
import { basename, join, relative } from 'node:path';
import watcher, { type AsyncSubscription } from '@parcel/watcher';
import { messageOf } from '../base/errors.js';

export interface TreeWatchOptions {
  rootDir: string;
  /** Glob patterns and absolute folders that no events are wanted for. */
  ignored: readonly string[];
  /** A path below the root that may have changed; '' for the root itself. */
  onPath: (path: string) => void;
  /** A branch was switched: compare everything, however many events got lost. */
  onHead: () => void;
  /** The root itself was moved or removed: its watch may have gone with it. */
  onRootMoved: () => void;
  /** The watch ended; `reason` says what to do about it. */
  onLost: (reason: string) => void;
}

/** Events of one project's tree. They are hints: some get lost, and nobody says which. */
export class TreeWatch {
  readonly #options: TreeWatchOptions;
  #subscription: AsyncSubscription | null = null;
  #selfWatches: FSWatcher[] = [];

  constructor(options: TreeWatchOptions) {
    this.#options = options;
  }

  get isAlive(): boolean {
    return this.#subscription !== null;
  }

  /** Begins anew, also after the root was replaced: a watch stays with the folder it was put on. */
  async start(): Promise<void> {
    await this.stop();
    const { rootDir, ignored, onPath } = this.#options;
    try {
      this.#subscription = await watcher.subscribe(
        rootDir,
        (error, events) => {
          if (error !== null) this.#lost(error);
          else for (const event of events) onPath(relative(rootDir, event.path));
        },
        // Pinned: by default the library hands over to watchman where that is installed.
        { backend: 'inotify', ignore: [...ignored] },
      );
    } catch (error) {
      this.#lost(error);
    }
    this.#watchFolder(join(rootDir, '.git'), 'HEAD', this.#options.onHead);
    // For a move of the watched folder itself inotify names that folder; the library passes no such event on.
    this.#watchFolder(rootDir, basename(rootDir), this.#options.onRootMoved);
  }

  async stop(): Promise<void> {
    for (const selfWatch of this.#selfWatches) selfWatch.close();
    this.#selfWatches = [];
    const subscription = this.#subscription;
    this.#subscription = null;
    // It fails where the root is gone, and then there is nothing left to unsubscribe from.
    await subscription?.unsubscribe().catch(() => undefined);
  }

  #watchFolder(folder: string, wanted: string, onEvent: () => void): void {
    try {
      const folderWatch = watch(folder, (_event, name) => {
        if (name === wanted) onEvent();
      });
      folderWatch.on('error', () => folderWatch.close());
      this.#selfWatches.push(folderWatch);
    } catch {
      // No repository, no root, or no watches left: the periodic look has to do.
    }
  }

  #lost(error: unknown): void {
    this.#subscription = null;
    const message = messageOf(error);
    const isLimit = /ENOSPC|no space left|inotify/i.test(message);
    this.#options.onLost(isLimit ? `${message}; raise fs.inotify.max_user_watches with sysctl` : message);
  }
}
