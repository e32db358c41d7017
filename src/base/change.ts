/** Something that changes now and then: those who wait for it hear of the next change, in bounded time. */
export class Change {
  readonly #waiting = new Set<() => void>();

  notify(): void {
    for (const wake of this.#waiting) wake();
  }

  /**
   * Resolves at the next change, or after `maxMs` milliseconds without one.
   * @throws the signal's reason, as soon as it aborts
   */
  async next(maxMs: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', wake);
        this.#waiting.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, maxMs);
      signal?.addEventListener('abort', wake, { once: true });
      this.#waiting.add(wake);
    });
    signal?.throwIfAborted();
  }
}
