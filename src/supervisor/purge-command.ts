import { CodekeepError } from '../base/errors.js';
import type { PurgeReport, PurgeScope } from '../base/ipc.js';
import type { Work } from '../base/progress.js';
import type { PurgeResult } from '../contract/history.js';
import type { Params } from '../contract/index.js';
import type { Alone } from './alone.js';
import { KeptPlans } from './kept-plans.js';
import { nothingResumed, type ResumedWorkers, type RunFrame, unstoppedFrame } from './repair-results.js';
import { Replacement } from './replacement.js';
import type { Supervisor } from './supervisor.js';
import { bringUpToDate } from './up-to-date.js';

type PurgeParams = Omit<Params<'purge'>, 'wait'>;

/** purge: what has to be known before, and what is answered. */
export class PurgeCommand {
  readonly #supervisor: Supervisor;
  readonly #alone: Alone;
  readonly #plans = new KeptPlans<PurgeScope>('purge');

  constructor(supervisor: Supervisor, alone: Alone) {
    this.#supervisor = supervisor;
    this.#alone = alone;
  }

  /**
   * The index is written anew, so that not even index_service may have it open: also where nothing is known of it any more, since what
   * was let go before may have left its bytes between what there is.
   * @throws CodekeepError FILE_NOT_FOUND, NOT_FOUND; PLAN_STALE; as a repair
   */
  async run(params: PurgeParams, work: Work): Promise<PurgeResult> {
    const startedAt = performance.now();
    await this.#supervisor.whenStarted(work.signal);
    const scope = await this.#scopeOf(params, work.signal);
    if (params.dry_run) return await this.#dryRun(scope, startedAt, work);
    return await this.#alone.take(async () => {
      // What is refused is refused before a worker is stopped.
      await this.#plan(scope, work);
      const replacement = new Replacement(this.#supervisor);
      const task = { method: 'purge', params: scope } as const;
      return await this.#alone.run(
        { isResumed: true, force: false, onEnd: async () => await replacement.serve() },
        work,
        async (_track, following) => await replacement.run(() => task, following),
        resultOf,
      );
    }, 'A purge');
  }

  async #dryRun(scope: PurgeScope, startedAt: number, work: Work): Promise<PurgeResult> {
    const report = await this.#plan(scope, work);
    const frame = unstoppedFrame(startedAt, true);
    if (report.plan !== undefined) this.#plans.keep(frame.runId, scope, [report.plan]);
    return resultOf(report, frame, nothingResumed);
  }

  /** What was changed just before the call is not what is in the project now. Where that cannot be known, what the index says is. */
  async #plan(scope: PurgeScope, work: Work): Promise<PurgeReport> {
    await bringUpToDate(this.#supervisor, this.#alone, scope.project_id, work).catch((error: unknown) => {
      const code = error instanceof CodekeepError ? error.code : null;
      if (code !== 'INDEX_STALE' && code !== 'ROOT_UNAVAILABLE') throw error;
    });
    return await this.#supervisor.askIndex('plan_purge', scope, work);
  }

  async #scopeOf(params: PurgeParams, signal: AbortSignal): Promise<PurgeScope> {
    const { root_dir, project_id, paths, version_ids, sha256, backups, plan_id } = params;
    if (plan_id === undefined) {
      const { projectId } = await this.#supervisor.askIndex(
        'resolve_project',
        { root_dir, project_id },
        { signal },
      );
      return {
        project_id: projectId,
        paths: paths ?? null,
        version_ids: version_ids ?? null,
        sha256: sha256 ?? null,
        backups,
      };
    }
    const { scope, plan } = this.#plans.of(plan_id);
    return { ...scope, expected: plan[0] };
  }
}

function resultOf({ purged }: PurgeReport, frame: RunFrame, resumed: ResumedWorkers): PurgeResult {
  return {
    ...purged,
    dry_run: frame.dryRun,
    plan_id: frame.dryRun ? frame.runId : null,
    workers_stopped: frame.stopped,
    ...resumed,
    duration_ms: Math.round(performance.now() - frame.startedAt),
  };
}
