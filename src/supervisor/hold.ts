import { Change } from '../base/change.js';
import { CodekeepError } from '../base/errors.js';

/**
 * Who has the index and the workers to itself: a repair, or the end of the daemon. While one has, no worker is started
 * and nothing is written for anybody else.
 */
export class Hold {
  readonly #quiet = new Change();
  readonly #onRepair: (isHeld: boolean) => void;
  #holder: 'nobody' | 'repair' | 'shutdown' = 'nobody';
  /** What has taken everything, or is about to, for who has to wait for it. */
  #what = aRepair;
  #writes = 0;

  /** @param onRepair called when a repair has taken everything, and when it lets it go */
  constructor(onRepair: (isHeld: boolean) => void) {
    this.#onRepair = onRepair;
  }

  /** True once the daemon is being stopped. */
  get isEnding(): boolean {
    return this.#holder === 'shutdown';
  }

  get isFree(): boolean {
    return this.#holder === 'nobody';
  }

  /** @throws CodekeepError REPAIR_IN_PROGRESS, or CANCELLED while the daemon ends */
  assertFree(): void {
    if (this.#holder === 'repair') throw repairInProgress(this.#what);
    if (this.#holder === 'shutdown') throw ending();
  }

  /** @throws CodekeepError CANCELLED */
  assertNotEnding(): void {
    if (this.isEnding) throw ending();
  }

  /** Counts a write from its beginning to its end, however it ends; a repair waits for those. */
  async write<T>(work: () => Promise<T>): Promise<T> {
    this.assertFree();
    this.#writes += 1;
    try {
      return await work();
    } finally {
      this.#writes -= 1;
      this.#quiet.notify();
    }
  }

  /**
   * Takes everything for a repair, or what is done as one is; gives what lets it go.
   * @throws CodekeepError as assertFree
   */
  takeForRepair(what: string): () => void {
    this.assertFree();
    this.#what = what;
    this.#holder = 'repair';
    this.#onRepair(true);
    return () => {
      if (this.#holder !== 'repair') return;
      this.#holder = 'nobody';
      this.#onRepair(false);
    };
  }

  /** Resolves when no write is under way any more: one whose process hangs ends with it. */
  async quiet(signal: AbortSignal): Promise<void> {
    while (this.#writes > 0) await this.#quiet.next(60_000, signal);
  }

  /** For good: the daemon ends. */
  takeForShutdown(): void {
    this.#holder = 'shutdown';
  }
}

function ending(hint = 'Start it again, then call again.'): CodekeepError {
  return new CodekeepError('CANCELLED', 'The daemon is stopping.', hint);
}

/** For who asked for what is under way. */
export function cutOffByEnd(): CodekeepError {
  return ending(
    'Start it again: it finishes a repair, a rewind or an undo that was begun. Then call again for what is left.',
  );
}

/** For what is done where nobody has asked for anything else: what was cut off is finished. */
export const aRepair = 'A repair';

export function repairInProgress(what: string): CodekeepError {
  return new CodekeepError(
    'REPAIR_IN_PROGRESS',
    `${what} is running.`,
    'Wait until health says that it is over, or end it with cancel_job; then call again.',
  );
}
