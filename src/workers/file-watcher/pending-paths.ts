import { sleep } from '../../base/waiting.js';

/** A burst of events is taken together once it is quiet for so long (ms) ... */
const quietMs = 120;
/** ... and at the latest after so long (ms), so that a file that is written all the time is still followed. */
const burstMaxMs = 1_000;

/** A known file that is saved is taken by itself after so long (ms): programs that write in pieces do it without pauses. */
const saveQuietMs = 20;
/** So many paths at most are looked at for being saves; more are a burst. */
const savesMax = 16;
/** A file that was taken so is no save again for so long (ms): one that is written all the time must not keep us busy. */
const saveEveryMs = 1_000;

/** Paths that events have told of and that nobody has looked at yet. */
export class PendingPaths {
  /** By the time of the last event. */
  readonly #paths = new Map<string, number>();
  /** When files were taken by themselves, lately. */
  readonly #savedAt = new Map<string, number>();
  #firstAt = 0;
  #lastAt = 0;

  get size(): number {
    return this.#paths.size;
  }

  add(path: string): void {
    this.#lastAt = performance.now();
    if (this.#paths.size === 0) this.#firstAt = this.#lastAt;
    this.#paths.set(path, this.#lastAt);
  }

  /** Gives them all away. */
  take(): string[] {
    const paths = [...this.#paths.keys()];
    this.#paths.clear();
    return paths;
  }

  /**
   * Resolves when there is something to be taken: what is saved, as soon as that is quiet; everything once the burst is over.
   * @param isSave whether a path is that of a known file that is there
   */
  async settled(signal: AbortSignal, isSave: (path: string) => boolean): Promise<string[]> {
    while (!signal.aborted) {
      const now = performance.now();
      const waitMs = Math.min(this.#lastAt + quietMs, this.#firstAt + burstMaxMs) - now;
      if (waitMs <= 0) return this.take();
      const saved = this.#saved(now).filter(isSave);
      if (saved.length > 0) return this.#takeSaved(saved, now);
      await sleep(Math.min(waitMs, saveQuietMs), signal);
    }
    return [];
  }

  #saved(now: number): string[] {
    if (this.#paths.size > savesMax) return [];
    for (const [path, at] of this.#savedAt) if (now - at >= saveEveryMs) this.#savedAt.delete(path);
    return [...this.#paths]
      .filter(([path, at]) => now - at >= saveQuietMs && !this.#savedAt.has(path))
      .map(([path]) => path);
  }

  #takeSaved(paths: string[], now: number): string[] {
    for (const path of paths) {
      this.#paths.delete(path);
      this.#savedAt.set(path, now);
    }
    return paths;
  }
}
