import { CodekeepError } from '../../base/errors.js';
import type { ProjectReference, Reconciled, ReconcileRequest } from '../../base/ipc.js';
import type { Params, Result } from '../../contract/index.js';
import type { CallContext } from '../../rpc/server/calls.js';
import type { Alone } from '../alone.js';
import type { Jobs, SharedJob } from '../jobs.js';
import { bringUpToDate } from '../up-to-date.js';
import type { Supervisor } from '../supervisor.js';

type ProjectMethodName = 'update_indexes' | 'wait_until_fresh' | 'create_checkpoint';
type ProjectMethods = {
  [N in ProjectMethodName]: (
    params: Params<N>,
    call: Pick<CallContext, 'signal' | 'cancelled'>,
  ) => Promise<Result<N>>;
};
type Updated = Extract<Result<'update_indexes'>, { files_added: number }>;

/** Methods that reconcile a project: the watcher does it, or a process of its own where no watcher runs. */
export function projectMethods(
  supervisor: Supervisor,
  jobs: Jobs,
  alone: Pick<Alone, 'drainWatcher'>,
): ProjectMethods {
  /** By project id, jobs whose reconcile has not begun: whoever asks meanwhile has the same one. */
  const queued = new Map<string, { job: SharedJob<Updated>; request: ReconcileRequest }>();

  /** Joins the job that waits for its turn, or begins one. */
  const updateJob = (request: ReconcileRequest): SharedJob<Updated> => {
    const { projectId } = request;
    const known = queued.get(projectId);
    if (known !== undefined) {
      known.request.isNew &&= request.isNew;
      return known.job;
    }
    const begun = (): void => {
      if (queued.get(projectId)?.request === request) queued.delete(projectId);
    };
    const job = jobs.share<Updated>('update_indexes', async ({ signal, progress }) => {
      const startedAt = performance.now();
      try {
        const reconciled = await supervisor.reconciles.run(request, { signal, progress }, begun);
        return { ...wireTally(projectId, reconciled), duration_ms: sinceMs(startedAt) };
      } finally {
        begun();
      }
    });
    queued.set(projectId, { job, request });
    return job;
  };

  return {
    async update_indexes({ wait, ...reference }, { signal, cancelled }) {
      const job = updateJob(await register(supervisor, reference, signal));
      return wait ? await job.outcome(cancelled) : { job_id: job.keep() };
    },
    async wait_until_fresh({ timeout, ...reference }, { signal }) {
      const startedAt = performance.now();
      const patience = new AbortController();
      const timer = setTimeout(() => patience.abort(notFresh(timeout)), timeout * 1_000);
      const ended = AbortSignal.any([signal, patience.signal]);
      try {
        const { projectId } = await supervisor.askIndex('resolve_project', reference, { signal: ended });
        const work = { signal: ended, progress: () => undefined };
        const reconciled = await supervisor.reconciles.run({ projectId, isNew: false }, work);
        return { freshness: freshnessOf(reconciled), waited_ms: sinceMs(startedAt) };
      } finally {
        clearTimeout(timer);
      }
    },
    async create_checkpoint({ label = null, ...reference }, { signal }) {
      const { projectId } = await supervisor.askIndex('resolve_project', reference, { signal });
      await bringUpToDate(supervisor, alone, projectId, { signal, progress: () => undefined });
      return await supervisor.askIndex('note_checkpoint', { project_id: projectId, label }, { signal });
    },
  };
}

/** The project's id; a root_dir that is new is registered. */
async function register(
  supervisor: Supervisor,
  { root_dir, project_id }: ProjectReference,
  signal: AbortSignal,
): Promise<ReconcileRequest> {
  try {
    const { projectId } = await supervisor.askIndex('resolve_project', { root_dir, project_id }, { signal });
    return { projectId, isNew: false };
  } catch (error) {
    const isUnknown = error instanceof CodekeepError && error.code === 'PROJECT_NOT_FOUND';
    if (!isUnknown || project_id !== undefined || root_dir === undefined) throw error;
    const added = await supervisor.askIndex('add_project', { root_dir }, { signal });
    return { projectId: added.project_id, isNew: added.created };
  }
}

function wireTally(
  projectId: string,
  { added, changed, deleted, unchanged, skipped, allIgnored }: Reconciled,
): Omit<Updated, 'duration_ms'> {
  return {
    project_id: projectId,
    files_added: added,
    files_changed: changed,
    files_deleted: deleted,
    files_unchanged: unchanged,
    files_skipped: skipped,
    reason: allIgnored,
  };
}

function freshnessOf({ unsettled, owed, doubt, notParsed }: Reconciled): 'fresh' | 'stale' | 'unknown' {
  if (doubt !== null) return 'unknown';
  return unsettled.length === 0 && owed === 0 && notParsed === null ? 'fresh' : 'stale';
}

function sinceMs(startedAt: number): number {
  return Math.round(performance.now() - startedAt);
}

function notFresh(seconds: number): CodekeepError {
  return new CodekeepError(
    'TIMEOUT',
    `The project was not fresh after ${seconds} s.`,
    'get_project_status says how far it is; call again with a longer timeout.',
  );
}
