import { sleep } from '../../base/waiting.js';
import type { Embedder } from '../../embedding/provider.js';
import { defaultProvider } from '../../embedding/providers.js';
import { DerivedDamageError } from '../../store/derived/damage.js';
import { DerivedDatabase, derivedPath, removeDerived } from '../../store/derived/derived-database.js';
import { currentModel, giveUpModel, type ModelRow, nextModel } from '../../store/derived/vectors.js';
import { IndexDatabase } from '../../store/index-database.js';
import { listProjects, type Project } from '../../store/projects.js';
import { causeInWords } from '../../store/sqlite-errors.js';
import type { WorkerBody, WorkerHost } from '../host.js';
import { embedProject, openModel, removeLeft, trainProject, type VectorizationContext } from './project.js';
import { type Ages, agesNow, isSettled, isTrainingDue, type Settling, settlingNow } from './training.js';

/** Documents are looked for this often (ms), should a nudge get lost. */
const lookEveryMs = 10_000;
/** While a project settles it is looked at this often (ms). */
const lookAtSettlingEveryMs = 250;
/** After a nudge the next look waits this long (ms): a watcher at work nudges many times a second. */
const lookAfterNudgeMs = 100;

/** What the worker remembers of a project between two looks. */
interface ProjectMemory {
  derived: DerivedDatabase | null;
  settling: Settling | undefined;
  ages: Ages | undefined;
  /** Ids of models that were opened once and found good. */
  readonly provenModels: Set<number>;
  /** The last failure that was logged: the same one is logged once. */
  failure: string | null;
}

const newMemory = (): ProjectMemory => ({
  derived: null,
  settling: undefined,
  ages: undefined,
  provenModels: new Set(),
  failure: null,
});

/** Turns chunks into vectors, all projects, one after the other. */
export async function openVectorization(host: WorkerHost): Promise<WorkerBody<'vectorization'>> {
  const index = await Promise.resolve(IndexDatabase.openExisting(host.indexPath));
  const projects = new VectorizedProjects(host, index);
  let wake = new AbortController();
  return {
    requests: {},
    onNudge: () => wake.abort(),
    async run() {
      while (!host.signal.aborted) {
        // Made before looking: a nudge that comes meanwhile leads to another look.
        wake = new AbortController();
        const anySettles = await projects.lookAtAll();
        host.report(null);
        await sleep(
          anySettles ? lookAtSettlingEveryMs : lookEveryMs,
          AbortSignal.any([wake.signal, host.signal]),
        );
        if (wake.signal.aborted) await sleep(lookAfterNudgeMs, host.signal);
      }
    },
    close() {
      projects.close();
      index.close();
    },
  };
}

class VectorizedProjects {
  readonly #host: WorkerHost;
  readonly #index: IndexDatabase;
  readonly #memories = new Map<string, ProjectMemory>();
  /** The model that was used last: most saves are of one project. */
  #opened: { derived: DerivedDatabase; modelId: number; embedder: Embedder } | null = null;

  constructor(host: WorkerHost, index: IndexDatabase) {
    this.#host = host;
    this.#index = index;
  }

  /** Gives true while any project is to be looked at again soon. */
  async lookAtAll(): Promise<boolean> {
    const projects = listProjects(this.#index);
    const known = new Set(projects.map(({ id }) => id));
    for (const id of this.#memories.keys()) if (!known.has(id)) this.#forget(id);
    let anySettles = false;
    for (const project of projects) anySettles = (await this.#lookAt(project)) === 'settling' || anySettles;
    const failures = [...this.#memories.values()].flatMap(({ failure }) => failure ?? []);
    this.#host.send({ type: 'trouble', reason: failures[0] ?? null });
    return anySettles;
  }

  async #lookAt(project: Project): Promise<'done' | 'settling'> {
    const memory = this.#memories.get(project.id) ?? newMemory();
    this.#memories.set(project.id, memory);
    try {
      const derived = this.#derivedOf(project, memory);
      const state = derived === null ? 'done' : await this.#bringUpToDate(project, derived, memory);
      memory.failure = null;
      return state;
    } catch (error) {
      if (this.#host.signal.aborted) throw error;
      if (error instanceof DerivedDamageError) this.#discard(project, memory, error);
      else this.#noteFailure(project, memory, causeInWords(error));
      return 'done';
    }
  }

  /** Null where nothing was made of the project's contents yet. */
  #derivedOf({ id }: Project, memory: ProjectMemory): DerivedDatabase | null {
    if (memory.derived?.isInPlace === true) return memory.derived;
    this.#close(memory);
    memory.ages = undefined;
    memory.provenModels.clear();
    memory.derived = DerivedDatabase.openForAdding(derivedPath(this.#index.path, id));
    return memory.derived;
  }

  /** The watcher makes another one, and says so. */
  #discard({ id, rootDir }: Project, { derived }: ProjectMemory, damage: DerivedDamageError): void {
    // Another one may be in its place already.
    const isInPlace = derived?.isInPlace === true;
    this.#forget(id);
    if (!isInPlace) return;
    removeDerived(derivedPath(this.#index.path, id));
    this.#host.log('warn', `what ${rootDir} is searched by is made again: ${damage.message}`);
  }

  #noteFailure({ rootDir }: Project, memory: ProjectMemory, failure: string): void {
    if (memory.failure !== failure) this.#host.log('error', `vectors of ${rootDir}: ${failure}`);
    memory.failure = failure;
  }

  /** Trains where the project has outgrown its model and has come to rest; embeds with the models there are. */
  async #bringUpToDate(
    project: Project,
    derived: DerivedDatabase,
    memory: ProjectMemory,
  ): Promise<'done' | 'settling'> {
    const now = performance.now();
    const { chunks, nextChunk } = derived.read(() => derived.facts);
    memory.ages = agesNow(memory.ages, nextChunk, now);
    const context = this.#contextOf(project, derived, memory.ages);
    const learned = await this.#newestUsable(context, memory);
    const isDue = isTrainingDue(chunks, project.lastVerifiedAt !== null, learned?.trainedOn ?? null);
    memory.settling = isDue ? settlingNow(memory.settling, chunks, now) : undefined;
    if (memory.settling !== undefined && isSettled(memory.settling, now)) {
      memory.settling = undefined;
      await trainProject(context);
    }
    const left = await embedProject(context, (model) => this.#open(context, model));
    await removeLeft(context);
    return memory.settling !== undefined || left === 'waiting' ? 'settling' : 'done';
  }

  #contextOf(project: Project, derived: DerivedDatabase, { ripeBelow }: Ages): VectorizationContext {
    return {
      index: this.#index,
      derived,
      provider: defaultProvider,
      project,
      ripeBelow,
      signal: this.#host.signal,
      progress: (operation, done, total) => this.#host.report(operation, done, total),
    };
  }

  /** The model that the project is to have; those that cannot be opened are given up, which is tried once for each. */
  async #newestUsable(context: VectorizationContext, memory: ProjectMemory): Promise<ModelRow | null> {
    const { derived, signal } = context;
    for (;;) {
      const model = derived.read(() => nextModel(derived) ?? currentModel(derived));
      if (model === undefined) return null;
      if (memory.provenModels.has(model.id) || this.#open(context, model) !== null) {
        memory.provenModels.add(model.id);
        return model;
      }
      await derived.write(() => giveUpModel(derived, model.id), signal);
    }
  }

  #open(context: VectorizationContext, model: ModelRow): Embedder | null {
    const { derived } = context;
    if (this.#opened?.derived === derived && this.#opened.modelId === model.id) return this.#opened.embedder;
    const embedder = openModel(context, model);
    if (embedder !== null) this.#opened = { derived, modelId: model.id, embedder };
    return embedder;
  }

  #forget(id: string): void {
    const memory = this.#memories.get(id);
    if (memory !== undefined) this.#close(memory);
    this.#memories.delete(id);
  }

  #close(memory: ProjectMemory): void {
    if (this.#opened?.derived === memory.derived) this.#opened = null;
    memory.derived?.close();
    memory.derived = null;
  }

  close(): void {
    for (const id of this.#memories.keys()) this.#forget(id);
  }
}
