import { setFlagsFromString } from 'node:v8';
import type { RepairRound } from '../../base/ipc.js';
import { sleep } from '../../base/waiting.js';
import { recoverRuns } from '../../reconcile/repair/recover.js';
import { IndexDatabase } from '../../store/index-database.js';
import { causeInWords } from '../../store/sqlite-errors.js';
import { countContents, countDamaged, scrubState } from '../../store/scrub.js';
import type { WorkerBody, WorkerHost } from '../host.js';
import { purge } from './purge.js';
import { rebuildIndex } from './rebuild.js';
import { restoreBackup } from './restore-backup.js';
import { repairRound } from './round.js';
import { RoundMemory } from './round-memory.js';
import { rewindProject } from './rewind.js';
import { projectsInScope } from './scope.js';
import { Scrub } from './scrub.js';
import { repairDatabase } from './task.js';
import { undoRepair } from './undo.js';

/** Tasks that put another index in the place of the one that is there. */
const replacing: ReadonlySet<string> = new Set(['restore_backup', 'rebuild_database', 'purge']);

/** Per cent. V8 may double its heap before it cleans it up, and more; with this a repair of 100,000 files needs a fifth less, in the same time. */
const heapGrowing = 30;

/** The background repair loop; started with a task, the same code repairs once and ends. */
export async function openRepair(host: WorkerHost): Promise<WorkerBody<'repair'>> {
  // It holds much for as long as one task takes.
  setFlagsFromString(`--heap-growing-percent=${heapGrowing}`);
  const { start } = host;
  const { options } = start;
  // Whoever replaces the index must not have it open; everybody else has to find it.
  const isReplacing = replacing.has(start.task?.method ?? '');
  let opened = isReplacing ? null : IndexDatabase.openExisting(host.indexPath);
  const indexOf = (): IndexDatabase => (opened ??= IndexDatabase.openExisting(host.indexPath));
  const state: RepairRound = { rounds: 0, lastRound: null, haltedReason: null, scrub: null };
  const scrub = new Scrub(host);
  const memory = new RoundMemory();
  let watcherRunning = start.watcherRunning;

  const round = async (): Promise<void> => {
    const tally = { checked: 0, repaired: 0, skipped: 0 };
    const halted: string[] = [];
    const index = indexOf();
    for (const project of projectsInScope(index, options)) {
      const outcome = await repairRound({
        host,
        index,
        project,
        batchSize: options.batch_size ?? 10,
        isWatched: () => watcherRunning,
        memory,
      });
      tally.checked += outcome.checked;
      tally.repaired += outcome.repaired;
      tally.skipped += outcome.skipped;
      if (outcome.halted !== null) halted.push(outcome.halted);
    }
    state.rounds += 1;
    state.lastRound = tally;
    state.haltedReason = halted.length > 0 ? halted.join('; ') : null;
  };

  const tellScrub = (index: IndexDatabase): void => {
    const { checked, mended, endedAt } = scrubState(index, Date.now());
    const damaged = countDamaged(index);
    state.scrub = { checked, total: countContents(index), mended, damaged, endedAt };
    host.send({ type: 'repair_round', round: state });
  };

  return {
    requests: {
      repair_database: async (request, call) =>
        await repairDatabase(indexOf(), request, call, (level, message) => host.log(level, message)),
      undo_repair: async (request, call) => await undoRepair(indexOf(), request, call),
      rewind: async (request, call) => await rewindProject(indexOf(), request, call),
      restore_backup: async ({ path }, call) => ({ original_path: await restoreBackup(host, path, call) }),
      rebuild_database: async (request, call) => await rebuildIndex(host, request, call),
      purge: async (request, call) => await purge(host.indexPath, request, call),
    },
    onWatcherRunning: (running) => {
      watcherRunning = running;
    },
    async run() {
      const pauseMs = (options.poll_interval ?? 30) * 1_000;
      await recoverRuns({ index: indexOf(), now: Date.now, signal: host.signal, progress: () => undefined });
      while (!host.signal.aborted) {
        try {
          await round();
          await scrub.step(indexOf(), pauseMs);
          tellScrub(indexOf());
        } catch (error) {
          if (host.signal.aborted) break;
          state.haltedReason = causeInWords(error);
          host.log('error', `repair round failed: ${state.haltedReason}`);
          host.send({ type: 'repair_round', round: state });
        }
        host.report(null);
        await sleep(pauseMs, host.signal);
      }
    },
    close: () => opened?.close(),
  };
}
