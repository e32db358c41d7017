import { CodekeepError } from '../../base/errors.js';
import { workerKinds } from '../../base/ipc.js';
import type { Params, Result } from '../../contract/index.js';
import type { WorkerType } from '../../contract/fields.js';
import type { StopResult } from '../../contract/workers.js';
import { repairInProgress } from '../hold.js';
import type { StopOutcome } from '../lifecycle/stop-worker.js';
import type { Supervisor } from '../supervisor.js';
import { statusOf, type UsageSampler } from './worker-status.js';

type WorkerMethodName =
  | 'start_worker'
  | 'stop_worker'
  | 'get_worker_status'
  | 'start_repair_worker'
  | 'stop_repair_worker'
  | 'repair_worker_status';
type WorkerMethods = { [N in WorkerMethodName]: (params: Params<N>) => Promise<Result<N>> };

export function workerMethods(supervisor: Supervisor, sampler: UsageSampler): WorkerMethods {
  const status = async (kind: (typeof workerKinds)[number]): Promise<Awaited<ReturnType<typeof statusOf>>> =>
    await statusOf(supervisor.slot(kind), supervisor.logs, sampler);
  return {
    start_worker: async ({ worker_type, ...options }) => await startWorker(supervisor, worker_type, options),
    stop_worker: async ({ worker_type, timeout, force }) =>
      await stopWorker(supervisor, worker_type, timeout, force),
    async get_worker_status({ worker_type }) {
      if (worker_type !== undefined) return await status(worker_type);
      return { workers: await Promise.all(workerKinds.map(status)) };
    },
    start_repair_worker: async (options) => await startWorker(supervisor, 'repair', options),
    stop_repair_worker: async ({ timeout, force }) => await stopWorker(supervisor, 'repair', timeout, force),
    async repair_worker_status() {
      const { rounds, lastRound, haltedReason } = supervisor.repairRound;
      return { ...(await status('repair')), rounds, last_round: lastRound, halted_reason: haltedReason };
    },
  };
}

async function startWorker(
  supervisor: Supervisor,
  type: WorkerType,
  options: Record<string, unknown>,
): Promise<Result<'start_worker'>> {
  const slot = supervisor.slot(type);
  const running = slot.process;
  if (running !== null && !running.hasExited && slot.state !== 'stopping') {
    return {
      success: false,
      worker_type: type,
      pid: running.pid,
      message: `${type} runs already (pid ${running.pid}).`,
    };
  }
  await checkProject(supervisor, type, options);
  const worker = await supervisor.startWorker(type, options);
  return {
    success: true,
    worker_type: type,
    pid: worker.pid,
    message: `${type} is ready (pid ${worker.pid}).`,
  };
}

/** A repair loop over a project that is not registered would never do anything: say so at once. */
async function checkProject(
  supervisor: Supervisor,
  type: WorkerType,
  options: Record<string, unknown>,
): Promise<void> {
  const { root_dir, project_id } = options;
  if (type !== 'repair' || (root_dir === undefined && project_id === undefined)) return;
  await supervisor.askIndex('get_project_status', { root_dir, project_id }, true);
}

async function stopWorker(
  supervisor: Supervisor,
  type: WorkerType,
  timeout: number,
  force: boolean,
): Promise<StopResult> {
  if (supervisor.isHeld) throw repairInProgress();
  const outcome = await supervisor.stopWorker(type, timeout * 1_000, force);
  if (outcome === null) return { success: true, message: `${type} was not running.`, killed: [], failed: [] };
  if (outcome.error !== null) throw cannotStop(type, outcome);
  const { pid, graceful, how, durationMs } = outcome;
  return {
    success: true,
    message: `${type} (pid ${pid}) ${how} after ${durationMs} ms.`,
    killed: [{ pid, graceful, how, duration_ms: durationMs }],
    failed: [],
  };
}

function cannotStop(type: WorkerType, { pid, error }: StopOutcome): CodekeepError {
  return new CodekeepError(
    'WORKER_STOP_ERROR',
    `${type} (pid ${pid}) cannot be stopped: ${error ?? ''}.`,
    'It hangs in the kernel, most likely on a disk or network file system that does not answer.',
    { failed: [{ pid, error }] },
  );
}
