/** So long (ms) may all connections together hold the event loop: a third of what health may take. */
const turnMs = 3;

/**
 * The time that connections share in one turn of the event loop. Who finds it over leaves the rest of its input
 * for the next turn, after one message at least: so many busy clients slow each other down, and a client with
 * one small request does not wait for them.
 */
export class Turn {
  #endsAt: number | null = null;

  isOver(): boolean {
    const now = performance.now();
    if (this.#endsAt !== null) return now > this.#endsAt;
    this.#endsAt = now + turnMs;
    setImmediate(() => {
      this.#endsAt = null;
    });
    return false;
  }
}
