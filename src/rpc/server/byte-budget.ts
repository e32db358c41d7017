/** What a connection may hold (bytes) without asking: with it, a small request is always read. */
const freeBytes = 16 * 1024;

/** Who holds bytes; waked when it may read on. */
export interface Holder {
  wake(): void;
  /** While a request of it is being answered it needs no more bytes to get on, however long that takes. */
  readonly isServed: boolean;
}

/**
 * What the requests of all connections hold together: read in part, waiting, and not answered yet. Beyond the
 * limit only small requests are read, and one large one at a time, so that those that are read in part end.
 */
export class ByteBudget {
  readonly #maxBytes: number;
  /** Who holds more than is free, longest first. */
  readonly #large = new Map<Holder, number>();
  readonly #refused = new Set<Holder>();
  #total = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes beyond what is free. */
  get total(): number {
    return this.#total;
  }

  /** Says what a connection holds now (bytes). */
  note(holder: Holder, bytes: number): void {
    const before = this.#large.get(holder) ?? 0;
    const beyond = Math.max(0, bytes - freeBytes);
    if (beyond === before) return;
    this.#total += beyond - before;
    if (beyond > 0) this.#large.set(holder, beyond);
    else this.#large.delete(holder);
    if (beyond < before) this.#wakeRefused();
  }

  /** Whether a connection may read on; where it may not, it is waked when it is worth asking again. */
  mayGrow(holder: Holder, bytes: number): boolean {
    if (bytes < freeBytes || this.#total < this.#maxBytes) return true;
    const first = [...this.#large.keys()].find(({ isServed }) => !isServed);
    if (!holder.isServed && (first === undefined || first === holder)) return true;
    this.#refused.add(holder);
    return false;
  }

  /** For a connection that has ended: it is not waked any more, but what is not answered counts on. */
  forget(holder: Holder): void {
    this.#refused.delete(holder);
  }

  #wakeRefused(): void {
    for (const holder of this.#refused) holder.wake();
    this.#refused.clear();
  }
}
