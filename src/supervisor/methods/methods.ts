import { type IndexExchanges, type ProjectFreshness, type WorkerKind, workerKinds } from '../../base/ipc.js';
import { contract, type Contract, type IndexMethod, type Result } from '../../contract/index.js';
import type { Problem } from '../../contract/system.js';
import type { CallContext } from '../../rpc/server/calls.js';
import type { Handlers } from '../../rpc/server/dispatch.js';
import { openRpcDocument } from '../../rpc/server/openrpc.js';
import type { Jobs } from '../jobs.js';
import { logMethods } from './log-methods.js';
import { projectMethods } from './project-methods.js';
import { PurgeCommand } from '../purge-command.js';
import type { RepairCommand } from '../repair-command.js';
import { RewindCommand } from '../rewind-command.js';
import type { Subscriptions } from '../subscriptions.js';
import type { Supervisor } from '../supervisor.js';
import { UndoCommand } from '../undo-command.js';
import { workerMethods } from './worker-methods.js';
import { damageHint } from '../lifecycle/worker-exit.js';
import { isOfDamage, type WorkerSlot } from '../lifecycle/worker-slot.js';
import type { UsageSampler } from './worker-status.js';

export interface ServiceParts {
  supervisor: Supervisor;
  repair: RepairCommand;
  jobs: Jobs;
  subscriptions: Subscriptions;
  sampler: UsageSampler;
  version: string;
  /** Milliseconds since 1970. */
  startedAt: number;
  /** What is wrong outside of the workers: the socket. */
  problems: () => Problem[];
  shutDown: () => void;
}

/** What each method of the contract does. */
export function serviceHandlers(parts: ServiceParts): Handlers<Contract> {
  const { supervisor, repair, jobs, subscriptions, shutDown } = parts;
  // Made when it is first asked for: it takes longer than the rest of the start.
  let document: ReturnType<typeof openRpcDocument> | null = null;
  const rewinding = new RewindCommand(supervisor, repair.alone);
  const purging = new PurgeCommand(supervisor, repair.alone);
  const undoing = new UndoCommand(supervisor, repair.alone);
  return {
    ...indexHandlers(supervisor),
    ...workerMethods(supervisor, parts.sampler),
    ...logMethods(supervisor.logs),
    ...projectMethods(supervisor, jobs, repair.alone),
    health: () => health(parts),
    'rpc.discover': () => (document ??= openRpcDocument(parts.version, contract)),
    subscribe: ({ topics }, call) => ({ subscription_id: subscriptions.subscribe(topics, call) }),
    unsubscribe({ subscription_id }, { connectionId }) {
      subscriptions.unsubscribe(subscription_id, connectionId);
      return { unsubscribed: true };
    },
    list_jobs: () => ({ jobs: jobs.list() }),
    get_job: ({ job_id }) => jobs.get(job_id),
    cancel_job: ({ job_id }) => jobs.cancel(job_id),
    async shutdown() {
      setImmediate(shutDown);
      const lost = await supervisor.ending.lost;
      return { stopping: true, ...(lost === null ? {} : { index_lost: lost }) };
    },
    async repair_database({ wait, ...params }, { cancelled }) {
      if (!params.dry_run) repair.alone.assertFree();
      const job = jobs.run('repair_database', (work) => repair.run(params, work), !params.dry_run);
      return wait ? await jobs.outcome(job, cancelled) : { job_id: job.jobId };
    },
    async restore_backup({ wait, path }, { cancelled }) {
      repair.alone.assertFree();
      const job = jobs.run('restore_backup', (work) => repair.restoreBackup(path, work), true);
      return wait ? await jobs.outcome(job, cancelled) : { job_id: job.jobId };
    },
    async rebuild_database({ wait, dry_run }, { cancelled }) {
      repair.alone.assertFree();
      const job = jobs.run('rebuild_database', (work) => repair.rebuild(dry_run, work), true);
      return wait ? await jobs.outcome(job, cancelled) : { job_id: job.jobId };
    },
    async rewind({ wait, ...params }, { cancelled }) {
      if (!params.dry_run) repair.alone.assertFree();
      const job = jobs.run('rewind', (work) => rewinding.run(params, work), !params.dry_run);
      return wait ? await jobs.outcome(job, cancelled) : { job_id: job.jobId };
    },
    async purge({ wait, ...params }, { cancelled }) {
      if (!params.dry_run) repair.alone.assertFree();
      const job = jobs.run('purge', (work) => purging.run(params, work), !params.dry_run);
      return wait ? await jobs.outcome(job, cancelled) : { job_id: job.jobId };
    },
    async undo_repair({ wait, ...params }, { cancelled }) {
      if (!params.dry_run) repair.alone.assertFree();
      const job = jobs.run('undo_repair', (work) => undoing.run(params, work), !params.dry_run);
      return wait ? await jobs.outcome(job, cancelled) : { job_id: job.jobId };
    },
  };
}

function health({ supervisor, repair, version, startedAt, ...parts }: ServiceParts): Result<'health'> {
  const states = workerKinds.map((kind) => [kind, supervisor.slots[kind].state] as const);
  const workerProblems = workerKinds.flatMap((kind) => problemOf(supervisor.slots[kind]) ?? []);
  const problems = [
    ...workerProblems,
    ...supervisor.stuck().map(stuckProblem),
    ...supervisor.freshness.troubled().map(projectProblem),
    ...haltProblems(supervisor),
    ...[...supervisor.troubles].map(troubleProblem),
    ...parts.problems(),
  ];
  const { progress, owed } = repair.alone;
  const running = progress ?? (problems.length > 0 ? null : owed);
  return {
    status: running !== null ? 'repairing' : problems.length > 0 ? 'degraded' : 'ok',
    version,
    pid: process.pid,
    state_dir: supervisor.stateDir,
    uptime_seconds: Math.round((Date.now() - startedAt) / 100) / 10,
    workers: Object.fromEntries(states),
    repair: running,
    problems,
  };
}

/** Why a worker that should run does not. */
function problemOf({ kind, state, process: worker, lastExit }: WorkerSlot): Problem | null {
  const condemned = worker?.condemned ?? null;
  if (condemned !== null) return { source: kind, reason: condemned, hint: 'It is being ended.' };
  if (state !== 'failed' && state !== 'backoff') return null;
  // index_service is none that start_worker names; any worker that is started starts it first.
  const started = kind === 'index_service' ? 'vectorization' : kind;
  const hint = isOfDamage(lastExit)
    ? damageHint
    : state === 'backoff'
      ? 'It is started again in a moment.'
      : `Look into its log (view_worker_logs ${kind}), mend the cause, then call start_worker ${started}; it is also tried again by itself.`;
  return { source: kind, reason: lastExit?.reason ?? state, hint, stderr: [...(lastExit?.stderr ?? [])] };
}

/** The reason names the cause; this is read in the status of the project itself, too. */
const unknownHint =
  'Mend that: it is looked at again by itself, and until then no missing file counts as deleted. The log of file_watcher says more.';

function projectProblem({ rootDir, freshness, reason, withoutCopy, owed }: ProjectFreshness): Problem {
  if (freshness === 'unknown')
    return { source: rootDir, reason: reason ?? 'nothing is known', hint: unknownHint };
  if (owed > 0)
    return {
      source: rootDir,
      reason: `${owed} files are missing that a repair did not come to bring back`,
      hint: 'Call repair_database again.',
    };
  return {
    source: rootDir,
    reason: `${withoutCopy} deleted files have no copy in versions`,
    hint: 'The index has their contents; the copies are made by themselves once the folder of the versions can be written.',
  };
}

/** The background worker has found something that it will not decide by itself. */
function haltProblems({ slots, repairRound }: Supervisor): Problem[] {
  const reason = slots.repair.process === null ? null : (repairRound?.haltedReason ?? null);
  return reason === null ? [] : [{ source: 'repair', reason, hint: 'repair_worker_status says more.' }];
}

function troubleProblem([kind, reason]: [WorkerKind, string]): Problem {
  return { source: kind, reason, hint: 'It goes on by itself once that is mended; its log says more.' };
}

function stuckProblem({ kind, pid }: { kind: string; pid: number }): Problem {
  return {
    source: kind,
    reason: `process ${pid} cannot be ended`,
    hint: 'It hangs in the kernel (see to its disks and mounts), or the daemon may not signal it: end it by hand.',
  };
}

/** Every method that the contract gives to the index is forwarded; params are validated already. */
function indexHandlers(supervisor: Supervisor): Pick<Handlers<Contract>, IndexMethod> {
  const forward =
    <N extends IndexMethod>(name: N) =>
    async (
      params: IndexExchanges[N]['params'],
      { signal }: Pick<CallContext, 'signal'>,
    ): Promise<IndexExchanges[N]['result']> =>
      await supervisor.askIndex(name, params, { signal });
  return {
    add_project: forward('add_project'),
    list_projects: forward('list_projects'),
    remove_project: forward('remove_project'),
    move_project: forward('move_project'),
    get_project_status: forward('get_project_status'),
    accept_deletions: forward('accept_deletions'),
    list_unprotected: forward('list_unprotected'),
    list_files: forward('list_files'),
    get_file: forward('get_file'),
    delete_file: forward('delete_file'),
    list_deleted_files: forward('list_deleted_files'),
    restore_deleted_files: forward('restore_deleted_files'),
    restore_file_version: forward('restore_file_version'),
    cleanup_deleted_files: forward('cleanup_deleted_files'),
    list_file_versions: forward('list_file_versions'),
    list_changes: forward('list_changes'),
    diff: forward('diff'),
    list_checkpoints: forward('list_checkpoints'),
    remove_checkpoint: forward('remove_checkpoint'),
    forget: forward('forget'),
    list_code_entities: forward('list_code_entities'),
    get_ast: forward('get_ast'),
    search: forward('search'),
    list_repairs: forward('list_repairs'),
    get_repair: forward('get_repair'),
    check_database: forward('check_database'),
    backup_database: forward('backup_database'),
    get_database_status: forward('get_database_status'),
  };
}
