/** So long (ms) may all connections together hold the event loop in one turn: a fifth of what health may take. */
const turnMs = 2;

/** Every so many steps it is the turn of the lane that has waited longest, however much it has had. */
const oldestEvery = 4;

/**
 * The one queue of everything that connections want done: one time slice per turn of the event loop, over all of
 * them. Between steps those come first that have had least since they last had nothing to do, so that one small
 * request waits neither behind hundreds of large ones nor behind a client that sends thousands at once; and
 * because every fourth step is for who has waited longest, a crowd of small ones does not shut out the others.
 *
 * What a step begins goes on in microtasks (a dispatched call, its reply, the write): they belong to the step,
 * and its time ends when there are none left.
 */
export class RunQueue {
  /** In the order in which they came: a lane that is not through goes to the end. */
  readonly #waiting = new Set<Lane>();
  readonly #now: () => number;
  #isRunning = false;
  #steps = 0;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** @param step does a small piece of work; true while there is more to do at once */
  lane(step: () => boolean): Lane {
    return new Lane(step, (lane) => this.#add(lane));
  }

  #add(lane: Lane): void {
    this.#waiting.add(lane);
    if (this.#isRunning) return;
    this.#isRunning = true;
    setImmediate(() => void this.#turn());
  }

  async #turn(): Promise<void> {
    const endsAt = this.#now() + turnMs;
    for (let at = this.#now(); at < endsAt;) {
      const lane = this.#next();
      if (lane === undefined) break;
      this.#waiting.delete(lane);
      if (lane.step()) this.#waiting.add(lane);
      await microtasksEnd();
      const now = this.#now();
      lane.hadMs = this.#waiting.has(lane) ? lane.hadMs + now - at : 0;
      at = now;
    }
    this.#isRunning = this.#waiting.size > 0;
    if (this.#isRunning) setImmediate(() => void this.#turn());
  }

  #next(): Lane | undefined {
    const [oldest] = this.#waiting;
    this.#steps += 1;
    if (oldest === undefined || this.#steps % oldestEvery === 0) return oldest;
    let least = oldest;
    for (const lane of this.#waiting) if (lane.hadMs < least.hadMs) least = lane;
    return least;
  }
}

/** The place of one connection in the queue. */
export class Lane {
  readonly step: () => boolean;
  readonly #add: (lane: Lane) => void;
  /** Milliseconds since it last had nothing to do. */
  hadMs = 0;

  constructor(step: () => boolean, add: (lane: Lane) => void) {
    this.step = step;
    this.#add = add;
  }

  /** There is something to do; safe to say again and again. */
  wake(): void {
    this.#add(this);
  }
}

async function microtasksEnd(): Promise<void> {
  // Node runs what a microtask gives to nextTick when no microtask is left.
  await Promise.resolve();
  await new Promise<void>((resolve) => process.nextTick(resolve));
}
