import { Slicer } from '../../base/waiting.js';
import { ContentSources, heal, type Log } from '../../reconcile/heal.js';
import { hashesAfter } from '../../store/contents.js';
import type { IndexDatabase } from '../../store/index-database.js';
import {
  countContents,
  damagedContents,
  missingContents,
  type ScrubState,
  scrubState,
  setScrubState,
} from '../../store/scrub.js';
import type { WorkerHost } from '../host.js';

/** Contents that one step looks at, at most: after a pause the pass goes on where it was, and not in a hurry. */
const stepMax = 1_000;
/** Damaged contents that are looked at again in each step, and named in the log. */
const damagedMax = 100;

/** How many contents a step is to look at, so that a pass takes `periodMs`; pure. At least one, so that it ends. */
export function scrubCount(total: number, elapsedMs: number, periodMs: number): number {
  return Math.min(Math.max(Math.ceil((total * elapsedMs) / periodMs), 1), stepMax);
}

/**
 * Proves every content in the course of `scrub_period`, a few a step; one that is damaged is mended from a file in the
 * project, a copy in versions, or a backup. It goes on where it was, also in another process.
 */
export class Scrub {
  readonly #host: WorkerHost;
  readonly #periodMs: number;
  #lastAt: number | null = null;

  constructor(host: WorkerHost) {
    this.#host = host;
    this.#periodMs = host.start.config.scrub_period * 1_000;
  }

  /** @param pauseMs between two steps, for the first one, which knows of none before it */
  async step(index: IndexDatabase, pauseMs: number): Promise<void> {
    if (this.#periodMs === 0) return;
    const isFirst = this.#lastAt === null;
    const elapsedMs = this.#lastAt === null ? pauseMs : performance.now() - this.#lastAt;
    this.#lastAt = performance.now();
    const total = countContents(index);
    const state = scrubState(index, Date.now());
    const hashes = hashesAfter(index, state.after, scrubCount(total, elapsedMs, this.#periodMs));
    const known = damagedContents(index, damagedMax).map(({ sha256 }) => sha256);
    // They are in no list of contents.
    const missing = isFirst || state.after === '' ? missingContents(index, damagedMax) : [];
    const slicer = new Slicer(this.#host.signal);
    const log: Log = (level, message) => this.#host.log(level, message);
    const sources = new ContentSources(index, log);
    let mended = 0;
    for (const hash of new Set([...known, ...missing, ...hashes])) {
      if (await heal(index, hash, known.includes(hash), log, sources)) mended += 1;
      await slicer.breathe();
    }
    const last = hashes.at(-1);
    const next: ScrubState = {
      ...state,
      after: last ?? '',
      checked: state.checked + hashes.length,
      mended: state.mended + mended,
    };
    const now = Date.now();
    // The last of them was looked at: the next step begins with the first again.
    const isOver = last === undefined || hashesAfter(index, last, 1).length === 0;
    const ended: ScrubState = { after: '', checked: 0, mended: 0, begunAt: now, endedAt: now };
    await index.write(() => setScrubState(index, isOver ? ended : next));
    if (isOver)
      this.#host.log('info', `all contents are looked at: ${next.checked}, ${next.mended} of them mended`);
  }
}
