import { AskedRepair } from '../base/asked-repair.js';
import { CodekeepError, type ErrorCode, messageOf } from '../base/errors.js';
import type { RebuildRequest, RepairReport, RepairScope, ResolvedProject } from '../base/ipc.js';
import type { Work } from '../base/progress.js';
import type { Rebuilt, RebuildResult, RepairResult, RestoredBackup } from '../contract/database.js';
import { pointInTime } from '../contract/fields.js';
import type { Params } from '../contract/index.js';
import { Alone } from './alone.js';
import { KeptPlans } from './kept-plans.js';
import { Replacement, type ReplacedFrame } from './replacement.js';
import { nothingResumed, repairResultOf, unstoppedFrame } from './repair-results.js';
import type { EventSink } from './subscriptions.js';
import type { Supervisor } from './supervisor.js';

/** A watcher that does not answer for so long (ms) does not get its comparison done. */
const silenceMaxMs = 5_000;

type RepairParams = Omit<Params<'repair_database'>, 'wait'>;

/** repair_database, rebuild_database and restore_backup: what has to be known before, and what is answered. */
export class RepairCommand {
  readonly #supervisor: Supervisor;
  readonly alone: Alone;
  readonly #plans = new KeptPlans<RepairScope>('repair_database');
  readonly #asked: AskedRepair;
  /** What an earlier daemon was asked for and did not come to plan; null once it is done, or too late. */
  #cutOff: RepairScope | null;

  constructor(supervisor: Supervisor, events: EventSink) {
    this.#supervisor = supervisor;
    this.#asked = new AskedRepair(supervisor.stateDir);
    this.#cutOff = this.#asked.read()?.scope ?? null;
    this.alone = new Alone(supervisor, events);
  }

  /**
   * A repair that comes while the daemon starts waits until that is complete.
   * @throws CodekeepError REPAIR_IN_PROGRESS, WORKER_STOP_ERROR (then nothing was repaired), and what the
   * repair itself answers
   */
  async run(params: RepairParams, work: Work): Promise<RepairResult> {
    const scope = this.#scopeOf(params);
    if (params.dry_run) return await this.#dryRun(scope, work);
    return await this.alone.take(async () => {
      // What is missing so far is a deletion beside a watcher, and else a loss from now on. One that an earlier daemon left
      // is noted until it is done.
      const isLate = this.#supervisor.isWatched || this.#cutOff !== null;
      const early = isLate ? await this.#before(scope, work) : null;
      return await this.#noted(scope, async () => {
        const before = early ?? (await this.#before(scope, work));
        return await this.#realRun(scope, params.resume_workers, work, 'command', before);
      });
    });
  }

  /** @throws why it cannot begin */
  async #before(scope: RepairScope, work: Work): Promise<Before> {
    const isDamaged = await this.#prepare(scope, work).then(
      () => false,
      (error: unknown) => ifDamaged(error) === null,
    );
    work.signal.throwIfAborted();
    if (isDamaged) return await this.#rebuildFirst(scope, work);
    return { replacement: new Replacement(this.#supervisor), rebuilt: null };
  }

  /** What is damaged cannot be compared. Without a watcher it is compared after the repair only, for which what is missing is lost. */
  async #rebuildFirst(scope: RepairScope, work: Work): Promise<Before> {
    const replacement = new Replacement(this.#supervisor);
    const options = { isResumed: true, isAfterStart: this.#supervisor.isStarted, force: false };
    const rebuilt = await this.alone.run(
      { ...options, onEnd: async () => await replacement.serve() },
      work,
      async (_track, following) => await replacement.run(rebuildTask(false), following),
      (answer) => answer,
    );
    await this.#prepare(scope, work);
    work.signal.throwIfAborted();
    return { replacement, rebuilt };
  }

  /** @throws CodekeepError DATABASE_CORRUPT, and why it cannot begin */
  async #prepare(scope: RepairScope, work: Work): Promise<void> {
    await this.#supervisor.whenStarted(work.signal);
    await this.#compare(await this.#resolve(scope, false, work.signal), work);
  }

  /**
   * Puts a copy of the index in its place, also where the index is so damaged that nothing could be started; then every
   * project is compared with what is on disk.
   * @throws CodekeepError INVALID_PARAMS for a copy that is not usable, and as `run`
   */
  async restoreBackup(path: string, work: Work): Promise<RestoredBackup> {
    const task = { method: 'restore_backup', params: { path } } as const;
    const restored = await this.#whileReplaced(
      work,
      async (replacement, following) => await replacement.run(() => task, following),
      (answer, frame) => ({ path, ...answer, ...frame }),
    );
    // It was asked for of another index.
    await this.#forget();
    return restored;
  }

  /**
   * Makes a new index of what can be read of the one that is there, which is kept; then every project is compared with
   * what is on disk. A dry run has to make it, too, and removes it again.
   * @throws as `run`
   */
  async rebuild(isDry: boolean, work: Work): Promise<RebuildResult> {
    const result = await this.#whileReplaced(
      work,
      async (replacement, following) => await replacement.run(rebuildTask(isDry), following, !isDry),
      (rebuilt, frame) => ({ ...rebuilt, ...frame, dry_run: isDry }),
    );
    // By now everything was compared.
    if (!isDry) await this.#forget();
    return result;
  }

  async #whileReplaced<R, T>(
    work: Work,
    run: (replacement: Replacement, following: Work) => Promise<R>,
    shaped: (answer: R, frame: ReplacedFrame) => T,
  ): Promise<T> {
    return await this.alone.take(async () => {
      await this.#supervisor.whenTried(work.signal);
      const replacement = new Replacement(this.#supervisor);
      let projects: RestoredBackup['projects'] = [];
      const onEnd = async (): Promise<void> => {
        projects = await replacement.end(work);
      };
      return await this.alone.run(
        { isResumed: true, isAfterStart: this.#supervisor.isStarted, force: false, onEnd },
        work,
        async (_track, following) => await run(replacement, following),
        (answer, { stopped }, resumed) => shaped(answer, { workers_stopped: stopped, ...resumed, projects }),
      );
    }, 'A replacement of the index');
  }

  /** Finishes a repair that was cut off with the daemon, before any other worker starts. */
  async recover(): Promise<void> {
    if (this.#supervisor.unfinishedRuns.length === 0 && this.#cutOff === null) return;
    await this.#supervisor.logs.open();
    const work: Work = { signal: new AbortController().signal, progress: () => undefined };
    if (this.#supervisor.unfinishedRuns.length > 0) {
      this.#supervisor.log(
        'warn',
        'a repair, a rewind or an undo was cut off; it is finished before the workers start',
      );
      await this.#realRun({ deleted_since: null, force: false }, false, work, 'recovery');
    }
    const asked = this.#cutOff;
    if (asked === null) return;
    this.#supervisor.log(
      'warn',
      'a repair was cut off before it had a plan; it is done before the workers start',
    );
    try {
      const result = await this.#realRun(asked, false, work, 'command');
      if (!('message' in result)) return;
      this.#supervisor.log('info', `the repair that was cut off: ${result.message}`);
      const reports = 'projects' in result ? result.projects : [result];
      // What could not be looked at is still to be repaired, and until then lost.
      if (reports.every(({ totals }) => (totals['unknown'] ?? 0) === 0)) await this.#forget();
    } catch (error) {
      if (this.#supervisor.hold.isEnding) throw error;
      this.#supervisor.log('error', `the repair that was cut off was not done: ${messageOf(error)}`);
      if (error instanceof CodekeepError && moot.has(error.code)) await this.#forget();
    }
  }

  /** A repair that the end of the daemon cuts off stays noted, until its plan is in the journal. */
  async #noted(scope: RepairScope, run: () => Promise<RepairResult>): Promise<RepairResult> {
    this.#cutOff = null;
    try {
      // Where the disk is full, the backup says so.
      await this.#asked
        .note(scope, Date.now())
        .catch((error: unknown) => this.#supervisor.log('warn', messageOf(error)));
      return await run();
    } finally {
      if (!this.#supervisor.hold.isEnding) await this.#forget();
    }
  }

  async #forget(): Promise<void> {
    this.#cutOff = null;
    await this.#asked.forget();
  }

  async #dryRun(scope: RepairScope, work: Work): Promise<RepairResult> {
    const startedAt = performance.now();
    // What a cut-off run has still to do is no part of its plan.
    await this.#supervisor.whenStarted(work.signal);
    const projects = await this.#resolve(scope, true, work.signal);
    // Where a watcher has followed all that it was told of, a comparison would find nothing.
    const isDrained = await this.alone.drainWatcher(work.signal);
    const isProven = (id: string): boolean => isDrained && this.#supervisor.freshness.isFresh(id);
    await this.#compare(
      projects.filter(({ projectId }) => !isProven(projectId)),
      work,
    );
    const report = await this.#supervisor.askIndex('plan_repair', scope, work);
    const frame = unstoppedFrame(startedAt, true);
    if (report.plan !== undefined) this.#plans.keep(frame.runId, scope, report.plan);
    return repairResultOf(report, frame, nothingResumed);
  }

  async #realRun(
    scope: RepairScope,
    resumes: boolean,
    work: Work,
    origin: 'command' | 'recovery',
    { replacement, rebuilt: earlier }: Before = {
      replacement: new Replacement(this.#supervisor),
      rebuilt: null,
    },
  ): Promise<RepairResult> {
    const onEnd = async (): Promise<void> => void (await replacement.end(work));
    return await this.alone.run(
      {
        isResumed: resumes,
        isAfterStart: origin === 'command' && this.#supervisor.isStarted,
        force: scope.force,
        onEnd,
        runId: origin === 'recovery' ? this.#supervisor.unfinishedRuns[0] : undefined,
      },
      work,
      async (track, following, onDeath) => {
        const params = { ...scope, run_id: track.now.run_id, origin, is_cancelled: false };
        const once = async (on_damage: 'stop' | 'go_on', isAgain = false): Promise<RepairReport> => {
          const task = { method: 'repair_database', params: { ...params, on_damage } } as const;
          let death: 'killed' | 'by itself' | null = null;
          try {
            return await this.#supervisor.tasks.run('repair', task, following, (wasKilled) => {
              death = wasKilled ? 'killed' : 'by itself';
            });
          } catch (error) {
            // What it had in the journal another one finishes; what it had not is begun anew.
            const isLost = death === 'killed' && this.#asked.read() !== null;
            const isWanted = !following.signal.aborted && !this.#supervisor.hold.isEnding;
            if (isLost && isWanted && !isAgain) {
              this.#supervisor.log(
                'warn',
                'the process of a repair was killed before it had a plan; it is begun anew',
              );
              return await once(on_damage, true);
            }
            if (death !== null) onDeath();
            throw error;
          }
        };
        const report = await once('stop').catch(ifDamaged);
        if (report !== null && report.damage.length === 0) return { ...report, rebuilt: earlier };
        const rebuilt = await replacement.run(rebuildTask(false), following);
        return { ...(await once('go_on')), rebuilt };
      },
      (report, frame, resumed) => repairResultOf(report, frame, resumed, report.rebuilt),
    );
  }

  /**
   * No worker is stopped for a project that does not exist, or for a version_dir that cannot be one. What else is wrong,
   * the repair itself finds.
   */
  async #resolve(
    { root_dir, project_id, version_dir }: RepairScope,
    isDry: boolean,
    signal: AbortSignal,
  ): Promise<ResolvedProject[]> {
    try {
      return await this.#supervisor.askIndex(
        'resolve_repair',
        { root_dir, project_id, version_dir },
        { signal },
      );
    } catch (error) {
      signal.throwIfAborted();
      const code = error instanceof CodekeepError ? error.code : null;
      const isFinal =
        code === 'PROJECT_NOT_FOUND' || code === 'INVALID_PARAMS' || code === 'INDEX_UNAVAILABLE';
      if (isDry || isFinal || code === 'DATABASE_CORRUPT') throw error;
      return [];
    }
  }

  /**
   * With a watcher, what somebody removed is a deletion and no loss: it has to be found before anything is concluded.
   * @throws CodekeepError INDEX_STALE where that cannot be done
   */
  async #compare(projects: readonly ResolvedProject[], { signal, progress }: Work): Promise<void> {
    if (!this.#supervisor.isWatched) return;
    for (const { projectId, rootDir } of projects) {
      const unanswered = new AbortController();
      const watch = setInterval(() => {
        if (this.#supervisor.freshness.silentMs > silenceMaxMs)
          unanswered.abort(new Error('file_watcher does not answer'));
      }, 1_000);
      try {
        const work = { signal: AbortSignal.any([signal, unanswered.signal]), progress };
        await this.#supervisor.reconciles.run({ projectId, isNew: false }, work);
      } catch (error) {
        signal.throwIfAborted();
        const code = error instanceof CodekeepError ? error.code : null;
        // The root is away or in doubt: the repair says what that means.
        if (code === 'ROOT_UNAVAILABLE') continue;
        if (code === 'REPAIR_IN_PROGRESS' || code === 'CANCELLED' || code === 'DATABASE_CORRUPT') throw error;
        throw new CodekeepError(
          'INDEX_STALE',
          `${rootDir} could not be compared with its index: ${messageOf(error)}`,
          'Nothing was changed. Mend the cause, or stop file_watcher: without one, everything that is missing counts as lost.',
        );
      } finally {
        clearInterval(watch);
      }
    }
  }

  /** What a plan was about says all but whether workers are resumed. */
  #scopeOf({ plan_id, ...params }: RepairParams): RepairScope {
    const { root_dir, project_id, version_dir, force, deleted_since } = params;
    const since = deleted_since === undefined ? null : pointInTime(deleted_since, Date.now());
    const scope = { root_dir, project_id, version_dir, force, deleted_since: since };
    if (plan_id === undefined) return scope;
    if (force || [root_dir, project_id, version_dir, deleted_since].some((one) => one !== undefined))
      throw new CodekeepError(
        'INVALID_PARAMS',
        'plan_id says by itself what the repair is about.',
        'Leave out the project, version_dir, deleted_since and force: they are those of the dry run.',
        { issues: [{ param: 'plan_id', message: 'stands alone' }] },
      );
    const { scope: planned, plan } = this.#plans.of(plan_id);
    return { ...planned, expected: plan };
  }
}

/** Why there is nothing to repair any more. */
const moot: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'PROJECT_NOT_FOUND',
  'PLAN_STALE',
  'INVALID_PARAMS',
]);

/** What was done before it on a damaged index. */
interface Before {
  replacement: Replacement;
  rebuilt: Rebuilt | null;
}

function ifDamaged(error: unknown): null {
  if (error instanceof CodekeepError && error.code === 'DATABASE_CORRUPT') return null;
  throw error;
}

interface RebuildTask {
  method: 'rebuild_database';
  params: RebuildRequest;
}

function rebuildTask(dry_run: boolean): (savedPath: string | null) => RebuildTask {
  return (saved_path) => ({ method: 'rebuild_database', params: { dry_run, saved_path } });
}
