import { messageOf } from '../../base/errors.js';
import type { RepairRound } from '../../base/ipc.js';
import { sleep } from '../../base/waiting.js';
import type { WorkerBody, WorkerHost } from '../host.js';
import { IndexDatabase } from '../../store/index-database.js';
import { namedProjects, type Project } from '../../store/projects.js';
import { recoverRuns } from '../../reconcile/repair/recover.js';
import { RoundRunner } from './round.js';
import { repairDatabase, type RepairRunRequest } from './task.js';
import { withVersionDir } from '../../reconcile/version-store.js';
import { indexPath } from '../state-paths.js';

interface LoopOptions {
  root_dir?: string | undefined;
  project_id?: string | undefined;
  version_dir?: string | undefined;
  batch_size?: number | undefined;
  poll_interval?: number | undefined;
}

/** The background repair loop; started with a task, the same code repairs once and ends. */
export async function openRepair(host: WorkerHost): Promise<WorkerBody> {
  const { start } = host;
  const index = IndexDatabase.open(indexPath(start.stateDir));
  let watcherRunning = start.options['watcher_running'] === true;
  const state: RepairRound = { rounds: 0, lastRound: null, haltedReason: null };

  const chosenProjects = (options: LoopOptions): Project[] => {
    const projects = namedProjects(index, options);
    return projects.map((project) => withVersionDir(project, options.version_dir));
  };

  const round = async (options: LoopOptions): Promise<void> => {
    const tally = { checked: 0, repaired: 0, skipped: 0 };
    const halted: string[] = [];
    for (const project of chosenProjects(options)) {
      const runner = new RoundRunner(
        host,
        index,
        project,
        options.batch_size ?? 10,
        () => watcherRunning,
        remembered,
      );
      const outcome = await runner.run();
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
  const remembered = new Map<number, string>();

  return {
    async onRequest(method, params, call) {
      if (method === 'repair_database') return await repairDatabase(index, params as RepairRunRequest, call);
      throw new Error(`unknown request ${method}`);
    },
    onWatcherRunning: (running) => {
      watcherRunning = running;
    },
    async run() {
      const options: LoopOptions = start.options;
      const pauseMs = (options.poll_interval ?? 30) * 1_000;
      await recoverRuns(index, Date.now);
      while (!host.signal.aborted) {
        try {
          await round(options);
        } catch (error) {
          if (host.signal.aborted) break;
          state.haltedReason = messageOf(error);
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
