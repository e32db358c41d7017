import { sleep } from '../../base/waiting.js';
import { defaultProvider } from '../../embedding/providers.js';
import { IndexDatabase } from '../../store/index-database.js';
import { causeInWords } from '../../store/sqlite-errors.js';
import { listProjects, type Project } from '../../store/projects.js';
import { chunkIds, currentModelIdentity, type ModelIdentity } from '../../store/vectors.js';
import type { WorkerBody, WorkerHost } from '../host.js';
import { isSettled, needsTraining, type Settling, settlingNow } from './training.js';
import { embedProject, openModel, trainProject, type VectorizationContext } from './project.js';

/** Chunks are looked for this often (ms), should a nudge get lost. */
const lookEveryMs = 10_000;
/** While a project settles it is looked at this often (ms). */
const lookAtSettlingEveryMs = 250;
/** After a nudge the next look waits this long (ms): a watcher at work nudges many times a second. */
const lookAfterNudgeMs = 100;

/** What the worker remembers of a project between two looks. */
interface ProjectMemory {
  settling: Settling | undefined;
  /** The model that was opened once and found good. */
  provenModel: string | null;
  /** The last failure that was logged: the same one is logged once. */
  failure: string | null;
}

/** Turns chunks into vectors, all projects, one after the other. */
export async function openVectorization(host: WorkerHost): Promise<WorkerBody<'vectorization'>> {
  const index = await Promise.resolve(IndexDatabase.openExisting(host.indexPath));
  const memories = new Map<string, ProjectMemory>();
  let wake = new AbortController();

  const contextOf = (project: Project): VectorizationContext => ({
    index,
    provider: defaultProvider,
    project,
    now: Date.now,
    signal: host.signal,
    progress: (operation, done, total) => host.report(operation, done, total),
  });

  /** Gives true while any project settles. */
  const lookAtAll = async (): Promise<boolean> => {
    const projects = listProjects(index);
    const known = new Set(projects.map(({ id }) => id));
    for (const id of memories.keys()) if (!known.has(id)) memories.delete(id);
    let anySettles = false;
    for (const project of projects) {
      const memory = memories.get(project.id) ?? { settling: undefined, provenModel: null, failure: null };
      memories.set(project.id, memory);
      try {
        anySettles = (await bringUpToDate(contextOf(project), memory)) === 'settling' || anySettles;
        memory.failure = null;
      } catch (error) {
        if (host.signal.aborted) throw error;
        const failure = causeInWords(error);
        if (memory.failure !== failure) host.log('error', `vectors of ${project.rootDir}: ${failure}`);
        memory.failure = failure;
      }
    }
    const failures = [...memories.values()].flatMap(({ failure }) => failure ?? []);
    host.send({ type: 'trouble', reason: failures[0] ?? null });
    return anySettles;
  };

  return {
    requests: {},
    onNudge: () => wake.abort(),
    async run() {
      while (!host.signal.aborted) {
        // Made before looking: a nudge that comes meanwhile leads to another look.
        wake = new AbortController();
        const anySettles = await lookAtAll();
        host.report(null);
        await sleep(
          anySettles ? lookAtSettlingEveryMs : lookEveryMs,
          AbortSignal.any([wake.signal, host.signal]),
        );
        if (wake.signal.aborted) await sleep(lookAfterNudgeMs, host.signal);
      }
    },
    close: () => index.close(),
  };
}

/** Trains where the project has outgrown its model and has come to rest; embeds with the model there is. */
async function bringUpToDate(
  context: VectorizationContext,
  memory: ProjectMemory,
): Promise<'done' | 'settling'> {
  const { index, project } = context;
  const chunks = chunkIds(index, project.id).length;
  let model = usableModel(context, memory);
  if (needsTraining(chunks, model?.trainedOn ?? null)) {
    const now = performance.now();
    memory.settling = settlingNow(memory.settling, chunks, now);
    if (!isSettled(memory.settling, now)) return 'settling';
    await trainProject(context);
    model = usableModel(context, memory);
  }
  memory.settling = undefined;
  if (model !== undefined) await embedProject(context, model);
  return 'done';
}

/** The project's model if its state can be opened; that is tried once for each model. */
function usableModel(context: VectorizationContext, memory: ProjectMemory): ModelIdentity | undefined {
  const model = currentModelIdentity(context.index, context.project.id);
  if (model === undefined) return undefined;
  const key = `${model.id}:${model.addedAt}`;
  if (memory.provenModel !== key) {
    if (openModel(context.index, context.provider, context.project.id) === null) return undefined;
    memory.provenModel = key;
  }
  return model;
}
