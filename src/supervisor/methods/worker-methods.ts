import { CodekeepError } from '../../base/errors.js';
import { type RepairRound, type WorkerKind, workerKinds, type WorkerOptions } from '../../base/ipc.js';
import type { WorkerType } from '../../contract/fields.js';
import type { Params, Result } from '../../contract/index.js';
import type { StopResult, WorkerStatus } from '../../contract/workers.js';
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
type RepairStatus = Result<'repair_worker_status'>;
type WorkerMethods = { [N in WorkerMethodName]: (params: Params<N>) => Promise<Result<N>> };

export function workerMethods(supervisor: Supervisor, sampler: UsageSampler): WorkerMethods {
  const status = async (kind: WorkerKind): Promise<WorkerStatus> =>
    await statusOf(supervisor.slots[kind], supervisor.logs, sampler);
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
      const { rounds, lastRound, haltedReason, scrub } = supervisor.repairRound;
      return {
        ...(await status('repair')),
        rounds,
        last_round: lastRound,
        halted_reason: haltedReason,
        scrub: scrub === null ? null : wireScrub(scrub),
      };
    },
  };
}

function wireScrub({ endedAt, ...counts }: NonNullable<RepairRound['scrub']>): RepairStatus['scrub'] {
  return { ...counts, last_pass_ended_at: endedAt === null ? null : new Date(endedAt).toISOString() };
}

async function startWorker(
  supervisor: Supervisor,
  type: WorkerType,
  options: WorkerOptions,
): Promise<Result<'start_worker'>> {
  const running = supervisor.slots[type];
  if (running.process === null || running.state === 'stopping') await checkProject(supervisor, type, options);
  const { worker, isNew } = await supervisor.startWorker(type, options);
  const { pid } = worker;
  const message = isNew ? `${type} is ready (pid ${pid}).` : `${type} runs already (pid ${pid}).`;
  return { success: isNew, worker_type: type, pid, message };
}

/** A repair loop over a project that is not registered, or with versions that cannot be, would never do anything. */
async function checkProject(
  supervisor: Supervisor,
  type: WorkerType,
  { root_dir, project_id, version_dir }: WorkerOptions,
): Promise<void> {
  const isAsked = root_dir !== undefined || project_id !== undefined || version_dir !== undefined;
  if (type === 'repair' && isAsked)
    await supervisor.askIndex('resolve_repair', { root_dir, project_id, version_dir });
}

async function stopWorker(
  supervisor: Supervisor,
  type: WorkerType,
  timeout: number,
  force: boolean,
): Promise<StopResult> {
  supervisor.hold.assertFree();
  await supervisor.leaveOut(type);
  const outcome = await supervisor.slots[type].stop(force ? 0 : timeout * 1_000);
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
