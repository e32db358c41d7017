import { CodekeepError } from '../../base/errors.js';
import type { ReconcileRequest } from '../../base/ipc.js';
import { Serials } from '../../base/serial.js';
import { sleep, unlessAborted } from '../../base/waiting.js';
import { DerivedDatabases } from '../../store/derived/derived-databases.js';
import { IndexDatabase } from '../../store/index-database.js';
import { listProjects, type Project, projectById } from '../../store/projects.js';
import { paceOf } from '../../store/revisions.js';
import { createParser, parseMemoryWithin } from '../../syntax/parser.js';
import { extractingWith } from '../../reconcile/extract.js';
import { ExtractorPool, poolOptionsWithin } from '../../reconcile/extractor-pool.js';
import { InHand } from '../../reconcile/in-hand.js';
import type { IndexingContext } from '../../reconcile/index-paths.js';
import type { ReconcileOutcome } from '../../reconcile/reconcile-outcome.js';
import { reconcileProject } from '../../reconcile/reconcile-project.js';
import type { RequestCall, WorkerBody, WorkerHost } from '../host.js';
import { EventFlood } from './event-flood.js';
import { ProjectWatcher } from './project-watcher.js';
import { TimeShare } from './rotation.js';

/** The list of projects is read again this often (ms), should a nudge get lost. */
const projectsEveryMs = 30_000;

/** Keeps files, trees, entities and chunks of all projects true to disk. */
export async function openFileWatcher(host: WorkerHost): Promise<WorkerBody<'file_watcher'>> {
  const { stateDir } = host.start;
  const index = IndexDatabase.openExisting(host.indexPath);
  index.pace = paceOf(host.start.config);
  const { worker_memory_max_bytes: memoryMaxBytes, worker_hang_timeout: hangSeconds } = host.start.config;
  const extractor = extractingWith(createParser({ memoryMaxBytes: parseMemoryWithin(memoryMaxBytes) }));
  const poolOptions = poolOptionsWithin(memoryMaxBytes, hangSeconds * 1_000, extractor);
  const pool = poolOptions === null ? null : new ExtractorPool(poolOptions);
  const derived = new DerivedDatabases(index);
  const inHand = await InHand.open(index, stateDir, Date.now());
  const serials = new Serials();
  /** Ids of projects that are being indexed. */
  const busy = new Set<string>();
  const flood = new EventFlood();
  const share = new TimeShare();
  const watchers = new Map<string, ProjectWatcher>();
  let wake = new AbortController();

  const contextOf = (project: Project): IndexingContext => ({
    index,
    extractor,
    ...(pool === null ? {} : { pool }),
    derived,
    project,
    stateDir,
    maxFileBytes: host.start.config.max_file_bytes,
    now: Date.now,
    signal: host.signal,
    inHand,
  });

  const watchProject = (project: Project): void => {
    const watcher = new ProjectWatcher({
      context: contextOf(project),
      serial: serials.of(project.id),
      flood,
      share,
      reconcileIntervalMs: host.start.config.reconcile_interval * 1_000,
      log: (level, message) => host.log(level, message),
      onFreshness: (freshness) => host.send({ type: 'freshness', project: freshness }),
      onIndexed: () => host.send({ type: 'chunks_changed' }),
      progress: (done, total) => {
        busy.add(project.id);
        host.report(`indexing ${project.rootDir}`, done, total);
      },
      onIdle: () => {
        busy.delete(project.id);
        if (busy.size === 0) host.report(null);
      },
    });
    watchers.set(project.id, watcher);
    watcher
      .run()
      .catch((error: unknown) => host.log('error', `watching ${project.rootDir} ended: ${String(error)}`));
  };

  const followProjects = async (): Promise<void> => {
    const projects = new Map(listProjects(index).map((project) => [project.id, project]));
    const moved: string[] = [];
    for (const [id, watcher] of watchers) {
      if (projects.get(id)?.rootDir === watcher.rootDir) continue;
      watchers.delete(id);
      moved.push(watcher.rootDir);
      await watcher.stop();
    }
    derived.retain(new Set(projects.keys()));
    for (const [id, project] of projects) {
      if (watchers.has(id)) continue;
      moved.push(project.rootDir);
      watchProject(project);
    }
    host.send({ type: 'watched', projectIds: [...watchers.keys()] });
    for (const watcher of watchers.values()) {
      watcher.noteProjects(moved);
      watcher.announce();
    }
  };

  /** For somebody who waits: by the project's watcher, or once where nothing watches (a task). */
  const reconcile = async (
    { projectId, isNew }: ReconcileRequest,
    call: RequestCall,
  ): Promise<ReconcileOutcome> => {
    const progress = (done: number, total: number): void => call.progress('index', done, total);
    if (host.start.task === null) await followProjects();
    const watcher = watchers.get(projectId);
    if (watcher !== undefined) return await unlessAborted(watcher.reconcileNow(isNew, progress), call.signal);
    const project = projectById(index, projectId);
    if (project === undefined)
      throw new CodekeepError('PROJECT_NOT_FOUND', `No project ${projectId}.`, 'Call list_projects.');
    return await reconcileProject({ ...contextOf(project), signal: call.signal }, 'unseen', progress);
  };

  return {
    requests: {
      reconcile: async (request, call) => assertNotHalted(await reconcile(request, call)),
      async drain() {
        for (const watcher of watchers.values()) await watcher.drain();
        return null;
      },
    },
    onNudge() {
      wake.abort();
      for (const watcher of watchers.values()) watcher.lookAgain();
    },
    async run() {
      while (!host.signal.aborted) {
        await followProjects();
        wake = new AbortController();
        await sleep(projectsEveryMs, AbortSignal.any([wake.signal, host.signal]));
      }
    },
    async close() {
      await Promise.all([...watchers.values()].map((watcher) => watcher.stop()));
      pool?.close();
      await serials.ended();
      extractor.close();
      inHand.close();
      await derived.close();
      index.close();
    },
  };
}

/** @throws CodekeepError ROOT_UNAVAILABLE where the brake stopped a reconcile that somebody asked for */
function assertNotHalted(outcome: ReconcileOutcome): ReconcileOutcome {
  if (outcome.halted === null) return outcome;
  throw new CodekeepError(
    'ROOT_UNAVAILABLE',
    `${outcome.halted}.`,
    'Nothing was marked. The message says which command does what.',
  );
}
