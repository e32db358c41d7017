import { CodekeepError } from '../base/errors.js';
import type { RewindReport, RewindScope } from '../base/ipc.js';
import type { Work } from '../base/progress.js';
import type { RewindResult } from '../contract/history.js';
import type { Params } from '../contract/index.js';
import type { Alone } from './alone.js';
import { KeptPlans } from './kept-plans.js';
import { nothingResumed, type ResumedWorkers, type RunFrame, unstoppedFrame } from './repair-results.js';
import type { Supervisor } from './supervisor.js';
import { bringUpToDate } from './up-to-date.js';

type RewindParams = Omit<Params<'rewind'>, 'wait'>;

/** rewind: what has to be known before, and what is answered. */
export class RewindCommand {
  readonly #supervisor: Supervisor;
  readonly #alone: Alone;
  readonly #plans = new KeptPlans<RewindScope>('rewind');

  constructor(supervisor: Supervisor, alone: Alone) {
    this.#supervisor = supervisor;
    this.#alone = alone;
  }

  /**
   * The moment that is meant is found out first, and then the index is brought up to date: what is there now can be come back
   * to. Where nothing is to be done no worker is stopped.
   * @throws CodekeepError NOT_FOUND where nothing is known of the moment; INDEX_STALE; PLAN_STALE; as a repair
   */
  async run(params: RewindParams, work: Work): Promise<RewindResult> {
    const startedAt = performance.now();
    await this.#supervisor.whenStarted(work.signal);
    const scope = await this.#scopeOf(params, work.signal);
    if (params.dry_run) return await this.#dryRun(scope, startedAt, work);
    return await this.#alone.take(async () => {
      await bringUpToDate(this.#supervisor, this.#alone, scope.project_id, work);
      // A plan that somebody holds against this one has to be whole before any worker is stopped.
      const isNeeded =
        scope.expected === undefined && (await this.#supervisor.askIndex('needs_rewind', scope, work));
      const planned = isNeeded ? null : await this.#supervisor.askIndex('plan_rewind', scope, work);
      if (planned?.plan?.count === 0) {
        const frame = unstoppedFrame(startedAt, false);
        const { project_id, to } = scope;
        await this.#supervisor.askIndex('note_rewind', { run_id: frame.runId, project_id, to }, work);
        return resultOf(planned, frame, nothingResumed);
      }
      return await this.#alone.run(
        { isResumed: true, force: false },
        work,
        async (track, following, onDeath) => {
          const task = { method: 'rewind', params: { ...scope, run_id: track.now.run_id } } as const;
          return await this.#supervisor.tasks.run('repair', task, following, onDeath);
        },
        resultOf,
      );
    }, 'A rewind');
  }

  async #dryRun(scope: RewindScope, startedAt: number, work: Work): Promise<RewindResult> {
    await bringUpToDate(this.#supervisor, this.#alone, scope.project_id, work);
    const report = await this.#supervisor.askIndex('plan_rewind', scope, work);
    const frame = unstoppedFrame(startedAt, true);
    if (report.plan !== undefined) this.#plans.keep(frame.runId, scope, [report.plan]);
    return resultOf(report, frame, nothingResumed);
  }

  async #scopeOf({ plan_id, ...params }: RewindParams, signal: AbortSignal): Promise<RewindScope> {
    const { root_dir, project_id, to = '', paths, path_prefix } = params;
    if (plan_id === undefined) {
      const reference = { root_dir, project_id, to };
      const { projectId, at } = await this.#supervisor.askIndex('resolve_rewind', reference, { signal });
      return { project_id: projectId, to: at, paths: paths ?? null, prefix: path_prefix ?? null };
    }
    if ([root_dir, project_id, paths, path_prefix].some((one) => one !== undefined))
      throw new CodekeepError(
        'INVALID_PARAMS',
        'plan_id says by itself what the rewind is about.',
        'Leave out the project, paths and path_prefix: they are those of the dry run.',
        { issues: [{ param: 'plan_id', message: 'stands alone' }] },
      );
    const { scope, plan } = this.#plans.of(plan_id);
    return { ...scope, expected: plan[0] };
  }
}

function resultOf({ rewound }: RewindReport, frame: RunFrame, resumed: ResumedWorkers): RewindResult {
  return {
    run_id: frame.runId,
    dry_run: frame.dryRun,
    ...rewound,
    workers_stopped: frame.stopped,
    ...resumed,
    duration_ms: Math.round(performance.now() - frame.startedAt),
  };
}
