/** Runs asynchronous pieces of work one after the other, in the order in which they were asked for. */
export class Serial {
  #tail: Promise<unknown> = Promise.resolve();

  run<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(work);
    this.#tail = result.catch(() => undefined);
    return result;
  }
}

/** A Serial for each key: work of one key does not overlap, and does not wait for another key's. */
export class Serials {
  readonly #serials = new Map<string, Serial>();

  of(key: string): Serial {
    let serial = this.#serials.get(key);
    if (serial === undefined) {
      serial = new Serial();
      this.#serials.set(key, serial);
    }
    return serial;
  }

  /** Resolves when all that was asked for before this call has ended. */
  async ended(): Promise<void> {
    await Promise.all([...this.#serials.values()].map((serial) => serial.run(() => Promise.resolve())));
  }
}
