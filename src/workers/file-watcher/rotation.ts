/** A folder is looked at again this long (ms) after the last look at the earliest, however few there are. */
export const turnMinMs = 2_000;

/** The share of one core's time that all polling of a process takes at most. */
const pollShare = 0.05;

/** In which order folders that no events tell of are looked at, and how old what is known of them is. Pure; times in ms, never back. */
export class Rotation {
  /** When each was looked at; the longest ago first. */
  readonly #lookedAt = new Map<string, number>();

  get size(): number {
    return this.#lookedAt.size;
  }

  /** It was looked at just now and is the last one, whether it was in turn already or not. */
  add(folder: string, now: number): void {
    this.#lookedAt.delete(folder);
    this.#lookedAt.set(folder, now);
  }

  /** As `add`, of one that is still in turn. */
  looked(folder: string, now: number): void {
    if (this.#lookedAt.has(folder)) this.add(folder, now);
  }

  drop(folder: string): void {
    this.#lookedAt.delete(folder);
  }

  /** The folder whose turn it is; null where none is due. */
  next(now: number): string | null {
    const [first] = this.#lookedAt.keys();
    return first !== undefined && this.dueInMs(now) === 0 ? first : null;
  }

  /** Until one is due; infinite where there is none. */
  dueInMs(now: number): number {
    const ageMs = this.ageMs(now);
    return ageMs === null ? Infinity : Math.max(turnMinMs - ageMs, 0);
  }

  /** Of what is known of the folder that was looked at longest ago; null where there is none. */
  ageMs(now: number): number | null {
    const [first] = this.#lookedAt.values();
    return first === undefined ? null : now - first;
  }
}

/**
 * Keeps what many do in pieces to a share of one core's time, by the time that the pieces took: on a slow machine or disk they are
 * done less often. Pure; times in ms, never back.
 */
export class TimeShare {
  readonly #share: number;
  #freeAt = 0;

  constructor(share = pollShare) {
    this.#share = share;
  }

  /** Until the next piece may begin. */
  waitMs(now: number): number {
    return Math.max(this.#freeAt - now, 0);
  }

  took(startedAt: number, endedAt: number): void {
    this.#freeAt = Math.max(this.#freeAt, startedAt) + (endedAt - startedAt) / this.#share;
  }
}
