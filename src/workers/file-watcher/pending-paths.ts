import { sleep } from '../../base/waiting.js';

/** A burst of events is taken together once it is quiet for so long (ms) ... */
const quietMs = 120;
/** ... and at the latest after so long (ms), so that a file that is written all the time is still followed. */
const burstMaxMs = 1_000;

/** Paths that events have told of and that nobody has looked at yet. */
export class PendingPaths {
  readonly #paths = new Set<string>();
  #firstAt = 0;
  #lastAt = 0;

  get size(): number {
    return this.#paths.size;
  }

  add(path: string): void {
    this.#lastAt = performance.now();
    if (this.#paths.size === 0) this.#firstAt = this.#lastAt;
    this.#paths.add(path);
  }

  /** Gives them all away. */
  take(): string[] {
    const paths = [...this.#paths];
    this.#paths.clear();
    return paths;
  }

  /** Resolves when the burst is over. */
  async settled(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const waitMs = Math.min(this.#lastAt + quietMs, this.#firstAt + burstMaxMs) - performance.now();
      if (waitMs <= 0) return;
      await sleep(waitMs, signal);
    }
  }
}
