import { messageOf } from '../base/errors.js';
import type { UndoReport } from '../base/ipc.js';
import type { Work } from '../base/progress.js';
import type { UndoResult } from '../contract/database.js';
import type { Params } from '../contract/index.js';
import type { Alone } from './alone.js';
import { nothingResumed, undoResultOf, unstoppedFrame } from './repair-results.js';
import type { Supervisor } from './supervisor.js';
import { bringUpToDate } from './up-to-date.js';

type UndoParams = Omit<Params<'undo_repair'>, 'wait'>;

/** undo_repair: what has to be known before, and what is answered. */
export class UndoCommand {
  readonly #supervisor: Supervisor;
  readonly #alone: Alone;

  constructor(supervisor: Supervisor, alone: Alone) {
    this.#supervisor = supervisor;
    this.#alone = alone;
  }

  /**
   * Takes back what a run did. Where that is nothing, no worker is stopped.
   * @throws CodekeepError NOT_FOUND, and as a repair
   */
  async run({ run_id: undoes, dry_run }: UndoParams, work: Work): Promise<UndoResult> {
    const frame = unstoppedFrame(performance.now(), dry_run);
    await this.#supervisor.whenStarted(work.signal);
    const plan = async (): Promise<UndoReport> =>
      await this.#supervisor.askIndex('plan_undo', { run_id: undoes }, work);
    if (dry_run) return undoResultOf(await plan(), undoes, frame, nothingResumed);
    return await this.#alone.take(async () => {
      const planned = await plan();
      if (planned.totals.undone === 0) {
        await this.#supervisor.askIndex('note_undo', { run_id: frame.runId, undoes }, work);
        return undoResultOf(planned, undoes, frame, nothingResumed);
      }
      for (const { project_id } of planned.projects) await this.#keepWhatIsThere(project_id, work);
      return await this.#alone.run(
        { isResumed: true, force: false },
        work,
        async (track, following, onDeath) => {
          const request = { run_id: track.now.run_id, undoes };
          const task = { method: 'undo_repair', params: request } as const;
          return await this.#supervisor.tasks.run('repair', task, following, onDeath);
        },
        (report, ran, resumed) => undoResultOf(report, undoes, ran, resumed),
      );
    }, 'An undo');
  }

  /** What somebody saved since is kept, as far as that can be known. */
  async #keepWhatIsThere(projectId: string, work: Work): Promise<void> {
    try {
      await bringUpToDate(this.#supervisor, this.#alone, projectId, work);
    } catch (error) {
      work.signal.throwIfAborted();
      this.#supervisor.log('info', `before an undo: ${messageOf(error)}`);
    }
  }
}
