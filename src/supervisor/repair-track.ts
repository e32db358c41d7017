import { CodekeepError } from '../base/errors.js';
import type { EventSink } from './subscriptions.js';

export interface RepairProgress {
  run_id: string;
  phase: string;
  done: number;
  total: number;
}

/** How far one repair is, for health, and told to those who subscribed. */
export class RepairTrack {
  readonly #events: EventSink;
  #now: RepairProgress;
  #isOver = false;

  constructor(runId: string, events: EventSink) {
    this.#events = events;
    this.#now = { run_id: runId, phase: 'stop', done: 0, total: 0 };
    this.#publish('started');
  }

  get now(): RepairProgress {
    return this.#now;
  }

  note(phase: string, done: number, total: number): void {
    if (this.#isOver) return;
    this.#now = { ...this.#now, phase, done, total };
    this.#publish('progress');
  }

  /** @param error what the repair ended with, or null where it was done */
  finish(error: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const isCancelled = error instanceof CodekeepError && error.code === 'CANCELLED';
    const state = error === null ? 'done' : isCancelled ? 'cancelled' : 'failed';
    this.#events.publish('repair', () => ({ topic: 'repair', type: 'finished', ...this.#now, state }));
  }

  #publish(type: 'started' | 'progress'): void {
    this.#events.publish('repair', () => ({ topic: 'repair', type, ...this.#now }));
  }
}
