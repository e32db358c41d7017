import { type FSWatcher, watch } from 'node:fs';
import { join, relative } from 'node:path';
import watcher, { type AsyncSubscription } from '@parcel/watcher';
import { CodekeepError, errnoOf, messageOf } from '../base/errors.js';
import type { ProjectFreshness } from '../base/ipc.js';
import { isWithin } from '../base/paths.js';
import type { Serial } from '../base/serial.js';
import { sleep } from '../base/waiting.js';
import type { IndexingContext, IndexProgress } from '../reconcile/project-index.js';
import { reconcilePaths, reconcileProject, type ReconcileOutcome } from '../reconcile/reconcile-project.js';

/** A burst of events is taken together once it is quiet for so long (ms) ... */
const quietMs = 120;
/** ... and at the latest after so long (ms), so that a file that is written all the time is still followed. */
const burstMaxMs = 1_000;
/**
 * More changed paths than this are looked at by a comparison of the whole tree: the kernel's queue holds
 * 16,384 events and drops the rest without telling the watcher.
 */
const pathsMax = 4_000;
/** A file that changes while it is read is looked at again after so long (ms). */
const retryMs = 300;

export interface ProjectWatcherOptions {
  context: IndexingContext;
  excluded: readonly string[];
  /** One piece of indexing work at a time in this process. */
  serial: Serial;
  reconcileIntervalMs: number;
  log: (level: 'error' | 'warn' | 'info' | 'debug', message: string) => void;
  onFreshness: (project: ProjectFreshness) => void;
  onIndexed: () => void;
  progress: IndexProgress;
}

/**
 * Keeps one project's index true. Events are hints that something may have changed; what is true is found
 * out by looking. Freshness says only what was proven: `fresh` means that the last comparison ended, that
 * nothing is pending, and that the watch is alive.
 */
export class ProjectWatcher {
  readonly #options: ProjectWatcherOptions;
  readonly #pending = new Set<string>();
  readonly #stop = new AbortController();
  #subscription: AsyncSubscription | null = null;
  #headWatch: FSWatcher | null = null;
  #wake: AbortController = new AbortController();
  #firstPendingAt = 0;
  #lastPendingAt = 0;
  #wholeWanted = true;
  #verifiedOnce: boolean;
  #trouble: string | null = null;
  #running: 'whole' | 'paths' | null = null;

  constructor(options: ProjectWatcherOptions) {
    this.#options = options;
    this.#verifiedOnce = options.context.project.lastVerifiedAt !== null;
  }

  /** Runs until `stop`. */
  async run(): Promise<void> {
    await this.#subscribe();
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        await this.#step();
      } catch (error) {
        if (signal.aborted || this.#options.context.signal.aborted) break;
        this.#setTrouble(messageOf(error));
      }
      await this.#rest();
    }
    await this.#unsubscribe();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#wake.abort();
    await this.#unsubscribe();
  }

  /** Compares the whole tree now; what was written before the call is indexed when this resolves. */
  async reconcileNow(signal: AbortSignal, progress?: IndexProgress): Promise<ReconcileOutcome> {
    return await this.#options.serial.run(() => this.#whole(signal, progress));
  }

  /** Deals with what is pending, so that a repair does not meet half-followed changes. */
  async drain(): Promise<void> {
    if (this.#pending.size > 0) await this.#options.serial.run(() => this.#followPending());
  }

  async #step(): Promise<void> {
    if (this.#wholeWanted) {
      await this.#options.serial.run(() => this.#whole(this.#options.context.signal, undefined));
    } else if (this.#pending.size > 0) {
      await this.#settle();
      await this.#options.serial.run(() => this.#followPending());
    }
  }

  /** Sleeps until there is something to do, at most until the next periodic comparison. */
  async #rest(): Promise<void> {
    if (this.#pending.size > 0 || this.#stop.signal.aborted) {
      if (this.#trouble !== null) await sleep(retryMs * 10, this.#stop.signal);
      return;
    }
    if (this.#wholeWanted && this.#trouble === null) return;
    this.#wake = new AbortController();
    const { reconcileIntervalMs } = this.#options;
    const intervalMs =
      this.#subscription === null || this.#trouble !== null
        ? Math.min(reconcileIntervalMs, 5_000)
        : reconcileIntervalMs;
    const before = Date.now();
    await sleep(intervalMs, AbortSignal.any([this.#wake.signal, this.#stop.signal]));
    // A wake-up brings paths; a quiet interval, or a clock that jumped (suspend), asks for a comparison.
    if (Date.now() - before >= intervalMs) this.#wholeWanted = true;
  }

  async #settle(): Promise<void> {
    for (;;) {
      const now = performance.now();
      const waitMs = Math.min(this.#lastPendingAt + quietMs, this.#firstPendingAt + burstMaxMs) - now;
      if (waitMs <= 0 || this.#stop.signal.aborted) return;
      await sleep(waitMs, this.#stop.signal);
    }
  }

  async #whole(signal: AbortSignal, progress: IndexProgress | undefined): Promise<ReconcileOutcome> {
    const { context, excluded } = this.#options;
    this.#wholeWanted = false;
    this.#pending.clear();
    this.#running = 'whole';
    this.#publish();
    try {
      const both: IndexProgress = (done, total) => {
        this.#options.progress(done, total);
        progress?.(done, total);
      };
      const outcome = await reconcileProject(
        { ...context, signal: AbortSignal.any([signal, context.signal]) },
        excluded,
        both,
      );
      if (outcome.halted === null) {
        context.project.generation += 1;
        this.#verifiedOnce = true;
      }
      await this.#finish(outcome);
      return outcome;
    } catch (error) {
      this.#wholeWanted = true;
      throw error;
    } finally {
      this.#running = null;
      this.#publish();
    }
  }

  async #followPending(): Promise<void> {
    const { context, excluded } = this.#options;
    const paths = [...this.#pending];
    this.#pending.clear();
    // After trouble only a whole comparison proves anything.
    if (paths.length > pathsMax || this.#trouble !== null) this.#wholeWanted = true;
    if (this.#wholeWanted || paths.length === 0) return;
    this.#running = 'paths';
    this.#publish(paths.length);
    try {
      const outcome = await reconcilePaths(context, excluded, paths);
      if (outcome.needsWhole) this.#wholeWanted = true;
      else await this.#finish(outcome);
    } catch (error) {
      this.#wholeWanted = true;
      throw error;
    } finally {
      this.#running = null;
      this.#publish();
    }
  }

  async #finish(outcome: ReconcileOutcome): Promise<void> {
    const { log, context } = this.#options;
    if (outcome.halted !== null) {
      this.#setTrouble(outcome.halted);
      return;
    }
    this.#trouble = null;
    const { added, changed, deleted } = outcome;
    if (added + changed + deleted > 0) {
      log('info', `${context.project.rootDir}: ${added} added, ${changed} changed, ${deleted} deleted`);
      this.#options.onIndexed();
    }
    for (const problem of outcome.problems.slice(0, 20))
      log('debug', `${context.project.rootDir}: skipped ${problem}`);
    if (outcome.unsettled.length > 0) {
      await sleep(retryMs, this.#stop.signal);
      for (const path of outcome.unsettled) this.#note(path);
    }
  }

  async #subscribe(): Promise<void> {
    const { rootDir } = this.#options.context.project;
    const ignored = [
      '**/.git/**',
      '**/node_modules/**',
      ...this.#options.excluded.filter((folder) => isWithin(rootDir, folder)),
    ];
    try {
      this.#subscription = await watcher.subscribe(
        rootDir,
        (error, events) => {
          if (error !== null) this.#lostWatch(error);
          else for (const event of events) this.#note(relative(rootDir, event.path));
        },
        // Pinned: by default the library hands over to watchman where that is installed.
        { backend: 'inotify', ignore: ignored },
      );
    } catch (error) {
      this.#lostWatch(error);
    }
    this.#watchHead(join(rootDir, '.git'));
  }

  /** A switched branch rewrites HEAD: compare everything, however many events got lost. */
  #watchHead(gitDir: string): void {
    try {
      this.#headWatch = watch(gitDir, (_event, name) => {
        if (name === 'HEAD') this.#wantWhole();
      });
      this.#headWatch.on('error', () => this.#headWatch?.close());
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT' && errnoOf(error) !== 'ENOTDIR')
        this.#options.log('debug', `.git is not watched: ${messageOf(error)}`);
    }
  }

  #lostWatch(error: unknown): void {
    this.#subscription = null;
    const message = messageOf(error);
    const hint = /ENOSPC|no space left|inotify/i.test(message)
      ? '; raise fs.inotify.max_user_watches with sysctl'
      : '';
    this.#options.log(
      'warn',
      `${this.#options.context.project.rootDir}: no file events, looking every few seconds instead (${message})${hint}`,
    );
    this.#publish();
  }

  async #unsubscribe(): Promise<void> {
    this.#headWatch?.close();
    this.#headWatch = null;
    const subscription = this.#subscription;
    this.#subscription = null;
    await subscription?.unsubscribe().catch(() => undefined);
  }

  #note(path: string): void {
    if (path === '') return this.#wantWhole();
    if (this.#pending.size === 0) this.#firstPendingAt = performance.now();
    this.#lastPendingAt = performance.now();
    this.#pending.add(path);
    if (this.#pending.size === 1) this.#publish();
    this.#wake.abort();
  }

  #wantWhole(): void {
    this.#wholeWanted = true;
    this.#wake.abort();
    this.#publish();
  }

  #setTrouble(reason: string): void {
    if (this.#trouble !== reason)
      this.#options.log('warn', `${this.#options.context.project.rootDir}: ${reason}`);
    this.#trouble = reason;
    this.#publish();
  }

  #publish(running = 0): void {
    const pending = this.#pending.size + running;
    const { project } = this.#options.context;
    this.#options.onFreshness({ projectId: project.id, pending, ...this.#judge(pending) });
  }

  #judge(pending: number): Pick<ProjectFreshness, 'freshness' | 'reason'> {
    if (this.#trouble !== null) return { freshness: 'unknown', reason: this.#trouble };
    if (!this.#verifiedOnce)
      return { freshness: 'rebuilding', reason: 'the first comparison with the disk is under way' };
    if (this.#running === 'whole' || this.#wholeWanted)
      return { freshness: 'stale', reason: 'being compared with the disk' };
    if (pending > 0 || this.#running === 'paths')
      return { freshness: 'stale', reason: `${pending} changes are being followed` };
    if (this.#subscription === null)
      return { freshness: 'stale', reason: 'no file events: compared every few seconds' };
    return { freshness: 'fresh', reason: null };
  }
}

/** @throws CodekeepError ROOT_UNAVAILABLE where the brake stopped a comparison that somebody asked for */
export function assertNotHalted(outcome: ReconcileOutcome): ReconcileOutcome {
  if (outcome.halted === null) return outcome;
  throw new CodekeepError(
    'ROOT_UNAVAILABLE',
    `${outcome.halted}.`,
    'Mount or restore the folder; if it is right as it is, call repair_database with force.',
  );
}
