import { errnoOf, reasonOf } from '../base/errors.js';
import { splitPath } from '../base/paths.js';
import { PinnedFolder } from '../base/pinned-folder.js';
import { type LeftOver, putBackLeftOver } from '../base/taken-file.js';
import { sleep } from '../base/waiting.js';
import type { IndexingContext } from './index-paths.js';

/** A process that lives has a file aside for milliseconds: it is waited for so often, with a pause in between (ms). */
const waitTries = 4;
const waitPauseMs = 100;

/** What processes had taken aside in some folders (base/taken-file.ts), once what dead ones left is in its place again. */
export class Aside {
  /** To be looked at again: private folders of processes that live, since nothing tells of a death, and what is missing. */
  readonly unsettled: string[] = [];
  /** What cannot be put back, and why; null where nothing is left. */
  doubt: string | null = null;
  /** Folders in which something was aside, and whether that can come to an end. */
  readonly #folders = new Map<string, 'ends' | 'stays'>();

  /**
   * Looks for it in folders of the project.
   * @throws the signal's reason
   */
  static async settle(context: IndexingContext, folders: Iterable<string>): Promise<Aside> {
    const aside = new Aside();
    const wanted = new Set(folders);
    if (wanted.size === 0) return aside;
    const root = await PinnedFolder.open(context.project.rootDir);
    try {
      for (const folder of wanted) await aside.#settle(context, root, folder);
    } finally {
      await root.close();
    }
    return aside;
  }

  /** Those that are missing indeed: beside what is aside, or was until now, that proves nothing, and they are unsettled. */
  judge<T extends { path: string }>(missing: readonly T[]): T[] {
    return missing.filter(({ path }) => {
      const state = this.#folders.get(splitPath(path).folder);
      if (state === 'ends') this.unsettled.push(path);
      return state === undefined;
    });
  }

  async #settle({ now, signal }: IndexingContext, root: PinnedFolder, folder: string): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      let found: LeftOver;
      try {
        found = await putBackLeftOver(root, folder, now());
      } catch (error) {
        // A folder that is gone, or is none any more, has nothing.
        if (isGone(error)) return;
        this.#folders.set(folder, 'stays');
        const where = folder === '' ? 'the root' : folder;
        this.doubt ??= `what a killed process left in ${where} (.codekeep-*.taken) cannot be put back: ${reasonOf(error)}`;
        return;
      }
      if (found.putBack.length + found.held.length > 0) this.#folders.set(folder, 'ends');
      if (found.held.length === 0) return;
      if (tries === waitTries) return void this.unsettled.push(...found.held);
      await sleep(waitPauseMs, signal);
      signal.throwIfAborted();
    }
  }
}

function isGone(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR', 'PATH_OUTSIDE_ROOT'].includes(errnoOf(error) ?? '');
}
