import { CodekeepError } from '../../base/errors.js';
import { Serial } from '../../base/serial.js';
import { sleep } from '../../base/waiting.js';
import { IndexDatabase } from '../../store/index-database.js';
import { listProjects, type Project, projectById } from '../../store/projects.js';
import { createParser } from '../../syntax/parser.js';
import type { IndexingContext } from '../../reconcile/index-paths.js';
import { reconcileProject, type ReconcileOutcome } from '../../reconcile/reconcile-project.js';
import type { RequestCall, WorkerBody, WorkerHost } from '../host.js';
import { ProjectWatcher } from './project-watcher.js';
import { indexPath } from '../state-paths.js';

/** The list of projects is read again this often (ms), should a nudge get lost. */
const projectsEveryMs = 30_000;

/** A comparison that is asked for; a project that was added by the same call is new. */
export interface UpdateRequest {
  projectId: string;
  isNew: boolean;
}

/** Keeps files, trees, entities and chunks of all projects true to disk. */
export async function openFileWatcher(host: WorkerHost): Promise<WorkerBody> {
  const { stateDir } = host.start;
  const index = IndexDatabase.open(indexPath(stateDir));
  const parser = createParser();
  const serial = new Serial();
  const watchers = new Map<string, ProjectWatcher>();
  let wake = new AbortController();

  const contextOf = (project: Project): IndexingContext => ({
    index,
    parser,
    project,
    maxFileBytes: host.start.config.max_file_bytes,
    now: Date.now,
    signal: host.signal,
  });
  const excludedOf = (project: Project): string[] => [stateDir, project.versionDir];

  const watchProject = (project: Project): void => {
    const watcher = new ProjectWatcher({
      context: contextOf(project),
      excluded: excludedOf(project),
      serial,
      reconcileIntervalMs: host.start.config.reconcile_interval * 1_000,
      log: (level, message) => host.log(level, message),
      onFreshness: (freshness) => host.send({ type: 'freshness', project: freshness }),
      onIndexed: () => host.send({ type: 'chunks_changed' }),
      progress: (done, total) => host.report(`indexing ${project.rootDir}`, done, total),
      onIdle: () => host.report(null),
    });
    watchers.set(project.id, watcher);
    watcher
      .run()
      .catch((error: unknown) => host.log('error', `watching ${project.rootDir} ended: ${String(error)}`));
  };

  const followProjects = async (): Promise<void> => {
    const projects = new Map(listProjects(index).map((project) => [project.id, project]));
    for (const [id, watcher] of watchers) {
      if (projects.has(id)) continue;
      watchers.delete(id);
      await watcher.stop();
    }
    for (const [id, project] of projects) if (!watchers.has(id)) watchProject(project);
  };

  /** A comparison that somebody waits for: by the project's watcher, or once where nothing watches (a task). */
  const update = async (
    { projectId, isNew }: UpdateRequest,
    call: RequestCall,
  ): Promise<ReconcileOutcome> => {
    const progress = (done: number, total: number): void => call.progress('index', done, total);
    if (host.start.task === null) await followProjects();
    const watcher = watchers.get(projectId);
    if (watcher !== undefined) return await unlessAborted(watcher.reconcileNow(isNew, progress), call.signal);
    const project = projectById(index, projectId);
    if (project === undefined)
      throw new CodekeepError('PROJECT_NOT_FOUND', `No project ${projectId}.`, 'Call list_projects.');
    return await reconcileProject(
      { ...contextOf(project), signal: call.signal },
      excludedOf(project),
      progress,
    );
  };

  return {
    async onRequest(method, params, call) {
      if (method === 'drain') {
        for (const watcher of watchers.values()) await watcher.drain();
        return {};
      }
      if (method !== 'update') throw new Error(`unknown request ${method}`);
      return assertNotHalted(await update(params as UpdateRequest, call));
    },
    onNudge: () => wake.abort(),
    async run() {
      while (!host.signal.aborted) {
        await followProjects();
        wake = new AbortController();
        await sleep(projectsEveryMs, AbortSignal.any([wake.signal, host.signal]));
      }
    },
    async close() {
      await Promise.all([...watchers.values()].map((watcher) => watcher.stop()));
      await serial.run(() => Promise.resolve());
      parser.close();
      index.close();
    },
  };
}

/** Stops waiting when the caller does; the work itself goes on, because it is not only the caller's. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  return await new Promise<T>((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    work.then(resolve, reject);
  });
}

/** @throws CodekeepError ROOT_UNAVAILABLE where the brake stopped a comparison that somebody asked for */
function assertNotHalted(outcome: ReconcileOutcome): ReconcileOutcome {
  if (outcome.halted === null) return outcome;
  throw new CodekeepError(
    'ROOT_UNAVAILABLE',
    `${outcome.halted}.`,
    'Mount or restore the folder; if it is right as it is, call repair_database with force.',
  );
}
