/** Remembers what was used lately, as much as fits; what was used longest ago goes first. */
export class RecentlyUsed<K, V> {
  readonly #sizeMax: number;
  readonly #entries = new Map<K, { value: V; size: number }>();
  #size = 0;

  /** @param sizeMax sum of the sizes of what is remembered, in the unit of `set` */
  constructor(sizeMax: number) {
    this.#sizeMax = sizeMax;
  }

  get(key: K): V | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    // The map is in the order of use.
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.value;
  }

  /** What is larger than all that may be remembered is not. */
  set(key: K, value: V, size: number): void {
    this.#drop(key);
    if (size > this.#sizeMax) return;
    this.#entries.set(key, { value, size });
    this.#size += size;
    for (const oldest of this.#entries.keys()) {
      if (this.#size <= this.#sizeMax) return;
      this.#drop(oldest);
    }
  }

  #drop(key: K): void {
    this.#size -= this.#entries.get(key)?.size ?? 0;
    this.#entries.delete(key);
  }
}
