import type { BigIntStats } from 'node:fs';
import { compareBytes } from '../base/byte-order.js';
import type { Slicer } from '../base/waiting.js';
import type { ListThread } from './list-thread.js';
import type { Listing } from './listing.js';

/** So many folders are entered and ordered ahead of the walk at most; what they hold is bounded by the thread. */
const foldersMax = 128;

/** A folder that was met and is watched by now, and is to be listed. */
export interface EnteredFolder {
  stats: BigIntStats;
  /** Of the thread that lists it; null where none does. */
  ticket: number | null;
}

/** What is known before a walk. */
export interface Ahead {
  thread: ListThread;
  /** Folders, in the order of their paths' bytes; some may be gone. */
  known: readonly string[];
}

/** What a walk does about a folder. */
interface Walk {
  /** Null for what is no folder any more. */
  enter: (folder: string) => BigIntStats | null;
  /** Its absolute path. */
  at: (folder: string) => string;
}

/**
 * Has a thread list the folders that a walk will come to, as far as they were there before. A walk lists folders in the order of
 * their paths' bytes, so it is known which ones are next, however deep they lie. Those that have appeared since, the walk lists
 * by itself.
 */
export class FoldersAhead {
  readonly #thread: ListThread;
  readonly #known: readonly string[];
  readonly #walk: Walk;
  #next = 0;
  /** In the order of their paths' bytes. */
  readonly #ordered = new Map<string, EnteredFolder & { ticket: number }>();

  constructor({ thread, known }: Ahead, walk: Walk) {
    this.#thread = thread;
    this.#known = known;
    this.#walk = walk;
  }

  /** Orders what comes after `path`, where enough of it is not ordered yet. */
  order(path: string): void {
    if (this.#ordered.size > foldersMax / 2) return;
    const { enter, at } = this.#walk;
    while (this.#ordered.size < foldersMax && this.#next < this.#known.length) {
      const folder = this.#known[this.#next] ?? '';
      this.#next += 1;
      const stats = compareBytes(folder, path) < 0 ? null : enter(folder);
      if (stats !== null) this.#ordered.set(folder, { stats, ticket: this.#thread.order(at(folder)) });
    }
    this.#thread.send();
  }

  /** The folder, if it was ordered. What was ordered before it is not walked any more. */
  take(path: string): EnteredFolder | null {
    for (const [folder, entered] of this.#ordered) {
      if (folder !== path && compareBytes(folder, path) > 0) return null;
      this.#ordered.delete(folder);
      if (folder === path) return entered;
      this.#thread.forget(entered.ticket);
    }
    return null;
  }

  /** Null where the thread has not begun with it, or could not list it: then it is for who asks. */
  async listing(ticket: number, slicer: Slicer): Promise<Listing | null> {
    return await this.#thread.take(ticket, slicer);
  }

  /** The walk is over, to its end or not. */
  end(): void {
    for (const { ticket } of this.#ordered.values()) this.#thread.forget(ticket);
    this.#ordered.clear();
  }
}
