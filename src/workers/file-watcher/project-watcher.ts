import type { ProjectFreshness } from '../../base/ipc.js';
import { isWithin } from '../../base/paths.js';
import type { Serial } from '../../base/serial.js';
import { sleep, turn } from '../../base/waiting.js';
import type { IndexingContext, IndexProgress } from '../../reconcile/index-paths.js';
import { lookAtGit } from '../../reconcile/git-look.js';
import { inspectRootOf } from '../../reconcile/project-root.js';
import { nothing, type ReconcileOutcome } from '../../reconcile/reconcile-outcome.js';
import { isSavedFile, reconcilePaths } from '../../reconcile/reconcile-paths.js';
import { reconcileProject } from '../../reconcile/reconcile-project.js';
import { countFiles } from '../../store/files.js';
import { causeInWords } from '../../store/sqlite-errors.js';
import { projectById } from '../../store/projects.js';
import type { EventFlood } from './event-flood.js';
import { DerivedUpkeep } from './derived-upkeep.js';
import { FolderPolling } from './folder-polling.js';
import { judgeFreshness } from './freshness.js';
import { LinkedFiles } from './linked-files.js';
import { PendingPaths } from './pending-paths.js';
import { retryAfterMs } from './retry.js';
import type { TimeShare } from './rotation.js';
import { TreeWatch } from './tree-watch.js';

/**
 * More changed paths than this are looked at by a reconcile of the whole project, which takes less than half the time a file (11
 * against 26 us, in a project of 78,000).
 * Whether the kernel has dropped some is seen by how many come at once, see EventFlood.
 */
const pathsMax = 20_000;
/** How often the root is looked at while nothing else happens (ms). */
const rootCheckMs = 2_000;

export interface ProjectWatcherOptions {
  context: IndexingContext;
  /** Shared by all watchers of this process, as the kernel's queue is. */
  flood: EventFlood;
  /** Shared by all watchers of this process: what polling takes. */
  share: TimeShare;
  /** One piece of indexing work at a time in this project; what others do goes on meanwhile. */
  serial: Serial;
  reconcileIntervalMs: number;
  log: (level: 'error' | 'warn' | 'info' | 'debug', message: string) => void;
  onFreshness: (project: ProjectFreshness) => void;
  onIndexed: () => void;
  progress: IndexProgress;
  /** Nothing is being indexed any more. */
  onIdle: () => void;
}

/**
 * Keeps one project's index true. Events are hints that something may have changed; what is true is found
 * out by looking. Freshness says only what was proven: `fresh` means that the last reconcile ended, that
 * nothing is pending, and that the watch is alive.
 */
export class ProjectWatcher {
  readonly #options: ProjectWatcherOptions;
  readonly #pending = new PendingPaths();
  readonly #stop = new AbortController();
  readonly #watch: TreeWatch;
  readonly #context: IndexingContext;
  readonly #polling: FolderPolling;
  #wake: AbortController = new AbortController();
  #reconcileWanted = true;
  #gitLookWanted = false;
  #verifiedOnce: boolean;
  /** When this process last compared the whole tree (ms since 1970): what goes from then on goes while somebody watches. */
  #comparedAt: number | null = null;
  /** What the last comparison of the whole tree came to, and what was noticed since. */
  #last: ReconcileOutcome = nothing();
  #linked: LinkedFiles;
  /** Deleted files whose copy is due. */
  #withoutCopy = 0;
  /** Troubles in a row. */
  #troubles = 0;
  #trouble: string | null = null;
  readonly #listeners = new Set<IndexProgress>();
  /** One that was asked for and has not begun. */
  #queued: Promise<ReconcileOutcome> | null = null;
  #begun: Promise<ReconcileOutcome> | null = null;
  #reconciling = false;
  /** Paths that are being indexed now. */
  #following = 0;
  /** DerivedDatabases.timesMade at the last comparison. */
  #timesMade = 0;
  readonly #upkeep: DerivedUpkeep;

  constructor(options: ProjectWatcherOptions) {
    this.#options = options;
    this.#verifiedOnce = options.context.project.lastVerifiedAt !== null;
    this.#listeners.add(options.progress);
    this.#watch = new TreeWatch({
      rootDir: options.context.project.rootDir,
      flood: options.flood,
      onPath: (path) => this.#note(path),
      onDoubt: () => this.#wantReconcile(),
      onGit: () => {
        this.#gitLookWanted = true;
        this.#wake.abort();
      },
      onLost: (reason) => options.log('warn', `${this.rootDir}: some folders are polled (${reason})`),
    });
    this.#context = { ...options.context, cover: this.#watch };
    this.#linked = new LinkedFiles(this.#context);
    const { index, derived, project } = this.#context;
    const { serial, log } = options;
    this.#polling = new FolderPolling({
      ...options,
      context: this.#context,
      watch: this.#watch,
      isAtRest: () =>
        this.#isWell && this.#comparedAt !== null && !this.#reconciling && !this.#reconcileWanted,
      onPath: (path) => this.#note(path),
      onDoubt: () => this.#wantReconcile(),
      onTrouble: (error) => {
        if (this.#isOver()) return;
        this.#setTrouble(causeInWords(error));
        this.#wantReconcile();
      },
      onLooked: () => this.#publish(),
    });
    this.#upkeep = new DerivedUpkeep({ index, derived, projectId: project.id, serial, log });
  }

  /** Runs until `stop`. */
  async run(): Promise<void> {
    const { signal } = this.#stop;
    const polling = this.#polling.run(signal);
    while (!signal.aborted) {
      try {
        await this.#step();
      } catch (error) {
        if (this.#isOver()) break;
        this.#setTrouble(causeInWords(error));
      }
      await this.#rest();
    }
    this.#watch.stop();
    await polling;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#wake.abort();
    this.#watch.stop();
  }

  /**
   * Compares the whole tree, beginning after this call: what was written before it is indexed when this
   * resolves. Everybody who asks before it begins gets the same one.
   * @param joinsRunning take one that has begun already, too
   */
  async reconcileNow(joinsRunning = false, progress?: IndexProgress): Promise<ReconcileOutcome> {
    if (progress !== undefined) this.#listeners.add(progress);
    try {
      if (joinsRunning && this.#begun !== null) return await this.#begun;
      this.#queued ??= this.#options.serial.run(() => {
        this.#queued = null;
        this.#begun = this.#reconcile().finally(() => {
          this.#begun = null;
        });
        return this.#begun;
      });
      return await this.#queued;
    } finally {
      if (progress !== undefined) this.#listeners.delete(progress);
    }
  }

  get rootDir(): string {
    return this.#context.project.rootDir;
  }

  /** Projects that came or went: what lies below their roots has changed hands. */
  noteProjects(roots: readonly string[]): void {
    if (roots.some((root) => root !== this.rootDir && isWithin(this.rootDir, root))) this.#wantReconcile();
  }

  /** Says once more how true the index is, after the supervisor was told of other projects. */
  announce(): void {
    this.#publish();
  }

  /** Somebody may have said what is right where nothing could be concluded. */
  lookAgain(): void {
    if (this.#trouble !== null || this.#last.doubt !== null) this.#wantReconcile();
  }

  /** Deals with what is pending, so that a repair does not meet half-followed changes, nor takes git's deletions for others. */
  async drain(): Promise<void> {
    // The kernel has queued what happened before this call: two turns of the event loop take it in.
    await turn();
    await turn();
    while (this.#pending.size + this.#following > 0 && this.#trouble === null && !this.#stop.signal.aborted)
      await this.#follow(this.#pending.take());
    if (this.#gitLookWanted && !this.#stop.signal.aborted)
      await this.#options.serial.run(() => this.#lookAtGit());
  }

  async #step(): Promise<void> {
    if (this.#reconcileWanted || this.#watch.isOutdated) {
      await this.reconcileNow();
    } else if (this.#pending.size > 0) {
      const isSave = (path: string): boolean => isSavedFile(this.#context, path);
      await this.#follow(await this.#pending.settled(this.#stop.signal, isSave));
    } else if (this.#gitLookWanted) {
      await this.#options.serial.run(() => this.#lookAtGit());
    }
  }

  async #lookAtGit(): Promise<void> {
    this.#gitLookWanted = false;
    if (await lookAtGit(this.#context)) this.#wantReconcile();
  }

  /** Sleeps until there is something to do, at most until the next periodic reconcile. */
  async #rest(): Promise<void> {
    if (this.#pending.size > 0 || this.#stop.signal.aborted) {
      if (this.#trouble !== null) await sleep(retryAfterMs(this.#troubles, this.#isWell), this.#stop.signal);
      return;
    }
    if ((this.#reconcileWanted || this.#gitLookWanted) && this.#trouble === null) return;
    this.#wake = new AbortController();
    const wake = AbortSignal.any([this.#wake.signal, this.#stop.signal]);
    const wakeAt =
      (this.#isWell ? (this.#comparedAt ?? 0) : Date.now()) +
      Math.min(this.#options.reconcileIntervalMs, retryAfterMs(this.#troubles, this.#isWell));
    const isWell = this.#trouble === null;
    const { index, project, derived } = this.#context;
    const rootAtRest = inspectRootOf(index, project).kind;
    if (isWell) void this.#upkeep.run(wake);
    while (!wake.aborted && Date.now() < wakeAt) {
      await sleep(Math.min(rootCheckMs, wakeAt - Date.now()), wake);
      // A root that was moved away sends no event, and must not be called fresh; one that came back is looked at soon.
      const root = inspectRootOf(index, project).kind;
      if (root !== rootAtRest || (isWell && root !== 'verified') || !derived.isInPlace(project.id)) break;
      if (this.#watch.isOutdated) break;
      if (isWell) for (const path of this.#linked.changed()) this.#note(path);
    }
    if (!wake.aborted) this.#wantReconcile();
  }

  /** The same is said once. */
  #noteNotParsed(notParsed: string | null): void {
    if (notParsed !== null && notParsed !== this.#last.notParsed)
      this.#options.log('warn', `${this.rootDir}: ${notParsed}`);
    this.#last.notParsed = notParsed;
  }

  /** Nothing keeps it from following what happens. */
  get #isWell(): boolean {
    return this.#trouble === null && this.#last.doubt === null;
  }

  #countCopies(): void {
    const { index, project } = this.#context;
    this.#withoutCopy = countFiles(index, project.id).withoutCopy;
  }

  async #reconcile(): Promise<ReconcileOutcome> {
    const context = this.#context;
    this.#reconcileWanted = false;
    this.#gitLookWanted = false;
    this.#pending.take();
    this.#reconciling = true;
    this.#publish();
    try {
      this.#watch.beginReconcile();
      this.#polling.forget();
      const cause = this.#comparedAt === null ? 'unseen' : 'seen';
      const outcome = await reconcileProject(context, cause, (done, total) => {
        for (const listener of this.#listeners) listener(done, total);
      });
      this.#timesMade = context.derived.timesMade(context.project.id);
      if (outcome.halted === null) {
        this.#verifiedOnce = true;
        this.#noteNotParsed(outcome.notParsed);
        this.#last = { ...outcome, problems: [] };
        this.#comparedAt = Date.now();
        this.#linked.refresh();
        this.#countCopies();
      }
      await this.#finish(outcome);
      return outcome;
    } catch (error) {
      this.#reconcileWanted = true;
      throw error;
    } finally {
      this.#reconciling = false;
      this.#options.onIdle();
      this.#publish();
    }
  }

  /** Until they are indexed they are pending, also while others have their turn. */
  async #follow(paths: string[]): Promise<void> {
    this.#following += paths.length;
    try {
      await this.#options.serial.run(() => this.#followPaths(paths));
    } finally {
      this.#following -= paths.length;
      this.#options.onIdle();
      this.#publish();
    }
  }

  async #followPaths(paths: readonly string[]): Promise<void> {
    // After trouble only a reconcile proves anything.
    if (paths.length > pathsMax || this.#trouble !== null) this.#reconcileWanted = true;
    if (this.#reconcileWanted || paths.length === 0) return;
    this.#publish();
    try {
      const outcome = await reconcilePaths(this.#context, paths);
      if (outcome.needsReconcile) this.#reconcileWanted = true;
      else await this.#finish(outcome);
    } catch (error) {
      this.#reconcileWanted = true;
      throw error;
    }
  }

  async #finish(outcome: ReconcileOutcome): Promise<void> {
    const { log } = this.#options;
    const context = this.#context;
    if (outcome.halted !== null) {
      this.#setTrouble(outcome.halted);
      return;
    }
    // What search knows was lost meanwhile: the files that nobody touched have to be looked at, too.
    if (context.derived.timesMade(context.project.id) !== this.#timesMade) this.#wantReconcile();
    this.#trouble = null;
    if (outcome.notParsed !== null) this.#noteNotParsed(outcome.notParsed);
    if (outcome.doubt === null && this.#last.notParsed === null) this.#troubles = 0;
    else if (!('needsReconcile' in outcome)) this.#troubles += 1;
    const { added, changed, deleted } = outcome;
    if (deleted > 0 || this.#withoutCopy > 0) this.#countCopies();
    if (added > 0) this.#last.allIgnored = null;
    if (added + changed + deleted > 0) {
      log('info', `${context.project.rootDir}: ${added} added, ${changed} changed, ${deleted} deleted`);
      this.#options.onIndexed();
    }
    for (const problem of outcome.problems.slice(0, 20))
      log('debug', `${context.project.rootDir}: skipped ${problem}`);
    for (const path of outcome.unsettled) this.#note(path);
  }

  #note(path: string): void {
    if (path === '') return this.#wantReconcile();
    this.#pending.add(path);
    if (this.#pending.size === 1) this.#publish();
    this.#wake.abort();
  }

  #wantReconcile(): void {
    this.#reconcileWanted = true;
    this.#wake.abort();
    this.#publish();
  }

  #setTrouble(reason: string): void {
    if (this.#trouble !== reason) this.#options.log('warn', `${this.#context.project.rootDir}: ${reason}`);
    this.#trouble = reason;
    this.#troubles += 1;
    this.#publish();
  }

  /** It is to end, or somebody has removed the project, and this is not told of it yet. */
  #isOver(): boolean {
    if (this.#stop.signal.aborted || this.#context.signal.aborted) return true;
    const { index, project } = this.#context;
    try {
      return projectById(index, project.id) === undefined;
    } catch {
      return false;
    }
  }

  #publish(): void {
    if (this.#stop.signal.aborted) return;
    const pending = this.#pending.size + this.#following;
    const { polled } = this.#watch;
    const judged = judgeFreshness({
      ...this.#last,
      trouble: this.#trouble,
      verifiedOnce: this.#verifiedOnce,
      reconciling: this.#reconciling || this.#reconcileWanted,
      pending,
      polled,
      linked: this.#linked.count,
    });
    const { id, rootDir } = this.#context.project;
    const facts = { pending, withoutCopy: this.#withoutCopy, owed: this.#last.owed };
    this.#options.onFreshness({ projectId: id, rootDir, ...facts, polledAt: polled?.at ?? null, ...judged });
  }
}
