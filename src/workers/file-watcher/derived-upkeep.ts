import { messageOf } from '../../base/errors.js';
import type { Serial } from '../../base/serial.js';
import { sleep } from '../../base/waiting.js';
import { giveBackSurplus } from '../../store/compaction.js';
import { Collecting } from '../../store/derived/collecting.js';
import type { DerivedDatabase } from '../../store/derived/derived-database.js';
import type { DerivedDatabases } from '../../store/derived/derived-databases.js';
import { liveWithin } from '../../store/derived/documents.js';
import { SegmentMerger } from '../../store/derived/segments-merge.js';
import { giveBackMemory } from '../../store/free-memory.js';
import type { IndexDatabase } from '../../store/index-database.js';

/** Between two steps (ms), so that whoever saves a file or asks something has most of the time. */
const stepPauseMs = 5;
/** How often (ms) what is unused is looked for; the first time after a tenth of it. */
const collectEveryMs = 3_600_000;

export interface DerivedUpkeepOptions {
  index: IndexDatabase;
  derived: DerivedDatabases;
  projectId: string;
  /** One piece of indexing work at a time in this project. */
  serial: Serial;
  log: (level: 'warn', message: string) => void;
}

/** Keeps a project's derived database small and quick: merges what was written, drops what is unused, gives pages back. */
export class DerivedUpkeep {
  readonly #options: DerivedUpkeepOptions;
  #isRunning = false;
  #collectAt = performance.now() + collectEveryMs / 10;

  constructor(options: DerivedUpkeepOptions) {
    this.#options = options;
  }

  /** Does what there is to do, in small steps, until it is done or `signal` aborts; one at a time. */
  async run(signal: AbortSignal): Promise<void> {
    const { derived, projectId, log } = this.#options;
    if (this.#isRunning) return;
    this.#isRunning = true;
    try {
      const database = await derived.of(projectId);
      await this.#collect(database, signal);
      await merge(database, signal);
      await giveBackSurplus(database, signal);
      if (!signal.aborted) giveBackMemory(database);
    } catch (error) {
      // What is damaged is found by whoever needs it; what cannot be written is tried again.
      if (!signal.aborted) log('warn', `what search knows could not be tidied up: ${messageOf(error)}`);
    } finally {
      this.#isRunning = false;
    }
  }

  async #collect(database: DerivedDatabase, signal: AbortSignal): Promise<void> {
    if (performance.now() < this.#collectAt) return;
    const { index, projectId, serial } = this.#options;
    const collecting = new Collecting(index, database, projectId);
    while (!signal.aborted && (await serial.run(async () => await collecting.step(Date.now()))))
      await sleep(stepPauseMs, signal);
    this.#collectAt = performance.now() + collectEveryMs;
  }
}

async function merge(database: DerivedDatabase, signal: AbortSignal): Promise<void> {
  const merger = new SegmentMerger((first, last) => liveWithin(database, first, last));
  while (!signal.aborted && (await database.write(() => merger.step(database))))
    await sleep(stepPauseMs, signal);
}
