import type { RepairRound } from '../../base/ipc.js';
import { sleep } from '../../base/waiting.js';
import { recoverRuns } from '../../reconcile/repair/recover.js';
import { causeInWords, IndexDatabase } from '../../store/index-database.js';
import type { WorkerBody, WorkerHost } from '../host.js';
import { repairRound } from './round.js';
import { RoundMemory } from './round-memory.js';
import { projectsInScope } from './scope.js';
import { repairDatabase } from './task.js';
import { undoRepair } from './undo.js';

/** The background repair loop; started with a task, the same code repairs once and ends. */
export async function openRepair(host: WorkerHost): Promise<WorkerBody<'repair'>> {
  const { start } = host;
  const { options } = start;
  const index = IndexDatabase.openExisting(host.indexPath);
  const state: RepairRound = { rounds: 0, lastRound: null, haltedReason: null };
  const memory = new RoundMemory();
  let watcherRunning = start.watcherRunning;

  const round = async (): Promise<void> => {
    const tally = { checked: 0, repaired: 0, skipped: 0 };
    const halted: string[] = [];
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
    host.send({ type: 'repair_round', round: state });
  };

  return {
    requests: {
      repair_database: async (request, call) => await repairDatabase(index, request, call),
      undo_repair: async (request, call) => await undoRepair(index, request, call),
    },
    onWatcherRunning: (running) => {
      watcherRunning = running;
    },
    async run() {
      const pauseMs = (options.poll_interval ?? 30) * 1_000;
      await recoverRuns({ index, now: Date.now, signal: host.signal, progress: () => undefined });
      while (!host.signal.aborted) {
        try {
          await round();
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
    close: () => index.close(),
  };
}
