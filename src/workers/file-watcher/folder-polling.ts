import { join } from 'node:path';
import type { Serial } from '../../base/serial.js';
import { Slicer, sleep } from '../../base/waiting.js';
import { FolderLooks, printAt } from '../../reconcile/folder-looks.js';
import type { IndexingContext } from '../../reconcile/index-paths.js';
import { type TimeShare, turnMinMs } from './rotation.js';
import type { TreeWatch } from './tree-watch.js';

/** Folders are looked at for so long (ms) at a time: what a piece costs by itself is little against it, and nobody waits for it. */
const pieceMs = 20;
/** After a first look that took so long or longer (ms), for so long. */
const pieceMaxMs = 200;

export interface FolderPollingOptions {
  context: IndexingContext;
  watch: TreeWatch;
  /** Shared by all that poll in this process. */
  share: TimeShare;
  /** One piece of indexing work at a time in this project. */
  serial: Serial;
  /** The whole tree was compared, and is not being compared: what differs from now on is news. */
  isAtRest: () => boolean;
  /** A path that may have changed, as from an event. */
  onPath: (path: string) => void;
  /** Only a comparison of the whole tree can say what has happened. */
  onDoubt: () => void;
  onTrouble: (error: unknown) => void;
  /** Some folders were looked at. */
  onLooked: () => void;
}

/** Looks at folders that no event tells of, in turn and within a share of time, and tells of paths as a watch would. */
export class FolderPolling {
  readonly #options: FolderPollingOptions;
  /** What differs and was told of, with its print, by folder: what stays so, as a file that cannot be read, is told of once. */
  readonly #told = new Map<string, ReadonlyMap<string, string>>();

  constructor(options: FolderPollingOptions) {
    this.#options = options;
  }

  /** What was told of is told of again where it still differs: a comparison of the whole tree tries everything again. */
  forget(): void {
    this.#told.clear();
  }

  /** Until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { share, watch, serial, isAtRest, onTrouble } = this.#options;
    while (!signal.aborted) {
      const now = performance.now();
      const waitMs = isAtRest() ? Math.max(share.waitMs(now), watch.rotation.dueInMs(now)) : turnMinMs;
      if (waitMs > 0) await sleep(Math.min(waitMs, turnMinMs), signal);
      else await serial.run(() => this.#piece(signal)).catch(onTrouble);
    }
  }

  async #piece(signal: AbortSignal): Promise<void> {
    const { context, watch, share, isAtRest, onDoubt, onLooked } = this.#options;
    // Others had their turn before this one.
    if (signal.aborted || !isAtRest()) return;
    const startedAt = performance.now();
    try {
      const looks = await FolderLooks.begin(context);
      if (looks === null) return onDoubt();
      const slicer = new Slicer(signal);
      const firstAt = performance.now();
      for (let endAt = Infinity; performance.now() < endAt && !signal.aborted; await slicer.breathe()) {
        const folder = watch.rotation.next(performance.now());
        if (folder === null) break;
        await this.#follow(looks, folder);
        if (endAt === Infinity) endAt = endOfPiece(firstAt, performance.now());
      }
      onLooked();
    } finally {
      share.took(startedAt, performance.now());
    }
  }

  async #follow(looks: FolderLooks, folder: string): Promise<void> {
    if (!(await this.#lookAt(looks, folder))) return;
    // What falls between the look and the watch that it gets now is seen by another look, as is what was not read yet from the
    // watch that another folder gives for it.
    for (const again of this.#options.watch.favour(folder)) await this.#lookAt(looks, again);
  }

  /** Tells what is not as it was indexed, nor as it was told before; true where the folder itself is there and has such things. */
  async #lookAt(looks: FolderLooks, folder: string): Promise<boolean> {
    const { context, watch, onPath } = this.#options;
    const { rootDir } = context.project;
    const now = performance.now();
    const isInPlace = watch.isInPlace(folder);
    const look = isInPlace ? await looks.at(folder) : { differing: [folder], subfolders: [] };
    watch.rotation.looked(folder, now);
    const differing = [...look.differing, ...look.subfolders.filter((subfolder) => !watch.has(subfolder))];
    const prints = new Map(differing.map((path) => [path, printAt(join(rootDir, path))]));
    const told = this.#told.get(folder);
    if (prints.size === 0) this.#told.delete(folder);
    else this.#told.set(folder, prints);
    const news = differing.filter((path) => told?.get(path) !== prints.get(path));
    for (const path of news) onPath(path);
    return isInPlace && news.length > 0;
  }
}

/**
 * The first look of a piece reads the rules of all folders above, and those after it hardly any: where folders lie deep, it takes
 * longer than a piece. What follows it takes as long, so that no more than half of all time goes to what comes first.
 */
function endOfPiece(firstAt: number, firstEndedAt: number): number {
  return firstEndedAt + Math.min(Math.max(firstEndedAt - firstAt, pieceMs), pieceMaxMs);
}
