import { CodekeepError } from '../../base/errors.js';
import { within } from '../../base/waiting.js';
import type { Params, Result } from '../../contract/index.js';
import type { CallContext } from '../../rpc/server/calls.js';
import { repairInProgress } from '../hold.js';
import type { JobCall, Jobs } from '../jobs.js';
import type { Supervisor } from '../supervisor.js';

/** What a comparison gives; see reconcile/reconcile-project.ts. */
interface Reconciled {
  added: number;
  changed: number;
  deleted: number;
  unchanged: number;
  skipped: number;
  /** Paths that changed each time they were read. */
  unsettled: string[];
  /** Why there is nothing to index. */
  allIgnored: string | null;
}

/** What the watcher is asked to compare; see workers/file-watcher/file-watcher.ts. */
interface UpdatedProject {
  projectId: string;
  isNew: boolean;
}

type Reference = Pick<Params<'update_indexes'>, 'root_dir' | 'project_id'>;
type ProjectMethodName = 'update_indexes' | 'wait_until_fresh';
type ProjectMethods = {
  [N in ProjectMethodName]: (
    params: Params<N>,
    call: Pick<CallContext, 'signal' | 'cancelled'>,
  ) => Promise<Result<N>>;
};

/** Methods over a project that the watcher answers, or a process of its own where no watcher runs. */
export function projectMethods(supervisor: Supervisor, jobs: Jobs): ProjectMethods {
  return {
    async update_indexes({ wait, ...reference }, { cancelled }) {
      const job = jobs.run('update_indexes', (call) => updateIndexes(supervisor, reference, call));
      return wait ? await jobs.outcome(job, cancelled) : { job_id: job.jobId };
    },
    async wait_until_fresh({ timeout, ...reference }, { signal }) {
      const startedAt = performance.now();
      const stop = new AbortController();
      signal.addEventListener('abort', () => stop.abort(signal.reason), { once: true });
      const call: JobCall = { signal: stop.signal, progress: () => undefined };
      const outcome = await within(timeout * 1_000, compareNow(supervisor, reference, call));
      if (outcome !== null) {
        const freshness = outcome.unsettled.length === 0 ? 'fresh' : 'stale';
        return { freshness, waited_ms: Math.round(performance.now() - startedAt) };
      }
      stop.abort();
      throw new CodekeepError(
        'TIMEOUT',
        `The project was not fresh after ${timeout} s.`,
        'get_project_status says how far it is; call again with a longer timeout.',
      );
    },
  };
}

async function updateIndexes(
  supervisor: Supervisor,
  reference: Reference,
  call: JobCall,
): Promise<Extract<Result<'update_indexes'>, { files_added: number }>> {
  const startedAt = performance.now();
  const { projectId, added, changed, deleted, unchanged, skipped, allIgnored } = await compareNow(
    supervisor,
    reference,
    call,
  );
  return {
    project_id: projectId,
    files_added: added,
    files_changed: changed,
    files_deleted: deleted,
    files_unchanged: unchanged,
    files_skipped: skipped,
    reason: allIgnored,
    duration_ms: Math.round(performance.now() - startedAt),
  };
}

/** Compares the whole tree, beginning after this call: what was written before it is indexed when it is done. */
async function compareNow(
  supervisor: Supervisor,
  reference: Reference,
  call: JobCall,
): Promise<Reconciled & { projectId: string }> {
  const project = await resolveProject(supervisor, reference, call.signal);
  return { projectId: project.projectId, ...(await reconcile(supervisor, project, call)) };
}

/** The project's id; a root_dir that is new is registered. */
async function resolveProject(
  supervisor: Supervisor,
  reference: Reference,
  signal: AbortSignal,
): Promise<UpdatedProject> {
  if (reference.project_id === undefined) {
    const added = (await supervisor.askIndex('add_project', { root_dir: reference.root_dir }, false, {
      signal,
    })) as Result<'add_project'>;
    // The comparison that follows makes the watcher look for new projects itself.
    return { projectId: added.project_id, isNew: added.created };
  }
  const status = (await supervisor.askIndex('get_project_status', reference, true, {
    signal,
  })) as Result<'get_project_status'>;
  return { projectId: status.project_id, isNew: false };
}

async function reconcile(
  supervisor: Supervisor,
  project: UpdatedProject,
  call: JobCall,
): Promise<Reconciled> {
  if (supervisor.isHeld) throw repairInProgress();
  const options = { signal: call.signal, onProgress: call.progress };
  const watcher = supervisor.slot('file_watcher');
  if (watcher.isWanted && watcher.state !== 'failed') {
    const worker = await supervisor.readyProcess(watcher);
    return (await worker.request('update', project, options)) as Reconciled;
  }
  return (await supervisor.runTask('file_watcher', 'update', project, options)) as Reconciled;
}
