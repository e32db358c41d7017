import { readFileSync } from 'node:fs';

/** The kernel queues so many events for a process and drops the rest without a word that Node passes on. */
const queuedEventsMax = readQueueLimit();

/**
 * Tells when events may have got lost. inotify has one queue for the whole process, whatever the number of projects that
 * it watches, and Node empties it in one turn of the event loop: when half of what it holds comes in one
 * turn, it may have been full for any of them.
 */
export class EventFlood {
  readonly #listeners = new Set<() => void>();
  readonly #eventsMax: number;
  #eventsInTurn = 0;

  constructor(eventsMax = queuedEventsMax / 2) {
    this.#eventsMax = eventsMax;
  }

  /** Calls `listener` whenever events may have got lost; gives what takes it off. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** An event has come. */
  note(): void {
    if (this.#eventsInTurn === 0) setImmediate(() => (this.#eventsInTurn = 0));
    this.#eventsInTurn += 1;
    if (this.#eventsInTurn === Math.ceil(this.#eventsMax)) for (const listener of this.#listeners) listener();
  }
}

function readQueueLimit(): number {
  try {
    return Number(readFileSync('/proc/sys/fs/inotify/max_queued_events', 'utf8')) || 16_384;
  } catch {
    return 16_384;
  }
}
