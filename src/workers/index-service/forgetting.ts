import { statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { CodekeepError } from '../../base/errors.js';
import { Serial } from '../../base/serial.js';
import type { Params, Result } from '../../contract/index.js';
import { repairListMax } from '../../contract/list-limits.js';
import { type Cleanup, cleanUpDeleted } from '../../reconcile/cleanup.js';
import { forget, type Forgotten } from '../../reconcile/forget.js';
import { IndexDatabase } from '../../store/index-database.js';
import { type PackingPlace, packPast } from '../../store/packing.js';
import { listProjects, namedProjects, type Project, requireProject } from '../../store/projects.js';
import { policyOf } from '../../store/retention.js';
import { causeInWords } from '../../store/sqlite-errors.js';
import type { WorkerHost } from '../host.js';
import { type IndexMethods, iso, isoOrNull } from './types.js';

/** By itself something is forgotten once in so long (ms), or as often as there may be something, and first so long after the start. */
const everyMs = 3_600_000;
const firstAfterMs = 600_000;

const dayMs = 86_400_000;

/** What contents that no file has take by default: so much, or so much of what is free on the disk of the index. */
const maxBytes = 1024 ** 3;
const freeShare = 0.1;

/** With its limit; milliseconds since 1970. */
type BoundCleanup = Cleanup & { before: number };
type CleanupChoice = Omit<Params<'cleanup_deleted_files'>, 'hard_delete' | 'dry_run'>;

/** Lets the history go that the policy does not keep, and packs the rest: once an hour, and whenever it is asked for. One at a time. */
export class Forgetting {
  readonly #index: IndexDatabase;
  readonly #host: WorkerHost;
  readonly #serial = new Serial();
  readonly #everyMs: number;
  #dueAt: number;
  readonly #packing: PackingPlace = { lastId: 0 };
  /** A repair has the index to itself. */
  #isHeld = false;
  /** Ends what was begun unasked. */
  #unasked = new AbortController();
  #failure: string | null = null;

  constructor(index: IndexDatabase, host: WorkerHost) {
    this.#index = index;
    this.#host = host;
    this.#everyMs = Math.min(everyMs, host.start.config.history_keep_all * 1_000);
    this.#dueAt = performance.now() + Math.min(this.#everyMs, firstAfterMs);
  }

  hold(isHeld: boolean): void {
    this.#isHeld = isHeld;
    if (isHeld)
      this.#unasked.abort(new CodekeepError('CANCELLED', 'A repair has begun.', 'It is done later.'));
  }

  /** Once it is due; what a repair cuts off is done after it. */
  async ifDue(): Promise<void> {
    const { signal } = this.#host;
    if (this.#isHeld || signal.aborted || performance.now() < this.#dueAt || !this.#index.isInPlace) return;
    this.#unasked = new AbortController();
    const until = AbortSignal.any([signal, this.#unasked.signal]);
    try {
      const { versions, deleted, contents } = await this.#forget(listProjects(this.#index), false, until);
      if (versions + deleted + contents > 0)
        this.#host.log(
          'info',
          `let go: ${versions} states of files, ${deleted} deleted files, ${contents} contents`,
        );
      this.#failure = null;
    } catch (error) {
      if (until.aborted) return;
      const why = `the history cannot be let go that is not kept: ${causeInWords(error)}`;
      if (this.#failure !== why) this.#host.log('warn', why);
      this.#failure = why;
    }
    this.#dueAt = performance.now() + this.#everyMs;
  }

  methods(): Pick<IndexMethods, 'forget' | 'cleanup_deleted_files'> {
    return {
      forget: async ({ dry_run, ...reference }, { signal }) => {
        const projects = namedProjects(this.#index, reference);
        const forgotten = dry_run
          ? await this.#looking((index) => this.#forget(projects, true, signal, index))
          : await this.#forget(projects, false, this.#host.signal);
        return { dry_run, ...wireForgotten(forgotten) };
      },
      cleanup_deleted_files: async ({ hard_delete, dry_run, ...params }, { signal }) => {
        const isDryRun = dry_run || !hard_delete;
        const cleanup = isDryRun
          ? await this.#looking((index) => this.#cleanUp(params, true, signal, index))
          : await this.#cleanUp(params, false, this.#host.signal);
        return wireCleanup(cleanup, isDryRun);
      },
    };
  }

  async #cleanUp(
    { older_than_days, deleted_before, path_prefix, ...reference }: CleanupChoice,
    isDryRun: boolean,
    signal: AbortSignal,
    index = this.#index,
  ): Promise<BoundCleanup> {
    const project = requireProject(index, reference);
    const keptMs = older_than_days === undefined ? this.#keptMs() : older_than_days * dayMs;
    return await this.#serial.run(async () => {
      const now = Date.now();
      // With 0 days also what was deleted within this very millisecond.
      const before = deleted_before === undefined ? now + 1 - keptMs : Date.parse(deleted_before);
      const options = { prefix: path_prefix ?? '', before, isDryRun, now, signal };
      return { before, ...(await cleanUpDeleted(index, project, options)) };
    });
  }

  /** How long (ms) anything is kept. */
  #keptMs(): number {
    return Math.max(...policyOf(this.#host.start.config).map(({ forMs }) => forMs));
  }

  /** Over a connection that cannot write. */
  async #looking<T>(look: (index: IndexDatabase) => Promise<T>): Promise<T> {
    const looking = IndexDatabase.openReadOnly(this.#index.path);
    try {
      return await look(looking);
    } finally {
      looking.close();
    }
  }

  async #forget(
    projects: readonly Project[],
    isDryRun: boolean,
    signal: AbortSignal,
    index = this.#index,
  ): Promise<Forgotten> {
    const { config } = this.#host.start;
    return await this.#serial.run(async () => {
      const now = Date.now();
      const forgotten = await forget(index, projects, {
        policy: policyOf(config),
        maxBytes: config.history_max_bytes ?? this.#roomForHistory(),
        now,
        contentsBefore: now - config.history_keep_all * 1_000,
        isDryRun,
        log: (message) => this.#host.log('warn', message),
        signal,
      });
      if (!isDryRun) await packPast(index, this.#packing, signal);
      return forgotten;
    });
  }

  #roomForHistory(): number {
    const { bavail, bsize } = statfsSync(dirname(this.#index.path));
    return Math.min(maxBytes, Math.floor(bavail * bsize * freeShare));
  }
}

function wireForgotten({
  projects,
  versions,
  deleted,
  contents,
  bytes,
}: Forgotten): Omit<Result<'forget'>, 'dry_run'> {
  return {
    versions,
    deleted_files: deleted,
    contents,
    bytes,
    projects: projects.map(({ project: { id, rootDir }, oldest, ...counts }) => ({
      project_id: id,
      root_dir: rootDir,
      versions: counts.versions,
      deleted_files: counts.deleted,
      oldest: isoOrNull(oldest),
    })),
  };
}

function wireCleanup(
  { before, removed, kept, tally: { versions, contents, bytes } }: BoundCleanup,
  isDryRun: boolean,
): Result<'cleanup_deleted_files'> {
  const files = removed
    .slice(0, repairListMax)
    .map(({ path, deletedAt, size }) => ({ path, deleted_at: isoOrNull(deletedAt), size }));
  const [gone, would] = isDryRun ? [0, removed.length] : [removed.length, 0];
  return {
    dry_run: isDryRun,
    deleted_before: iso(before),
    removed: isDryRun ? [] : files,
    would_remove: isDryRun ? files : [],
    kept: kept.slice(0, repairListMax),
    totals: { removed: gone, would_remove: would, kept: kept.length, versions, contents, bytes },
  };
}
