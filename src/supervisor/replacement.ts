import { messageOf } from '../base/errors.js';
import type { RequestName, RequestParams, RequestResult } from '../base/ipc.js';
import type { Work } from '../base/progress.js';
import type { RestoredBackup } from '../contract/database.js';
import { assertStopped } from './alone.js';
import type { Supervisor } from './supervisor.js';

/** What is answered beside what the new index is. */
export type ReplacedFrame = Pick<
  RestoredBackup,
  'workers_stopped' | 'workers_resumed' | 'workers_not_resumed' | 'projects'
>;

type ReplacingTask = 'restore_backup' | 'rebuild_database' | 'purge';

/** Another index takes the place of the one that is there: without index_service, which is started again at the end. */
export class Replacement {
  readonly #supervisor: Supervisor;
  #isStopped = false;
  #isNew = false;

  constructor(supervisor: Supervisor) {
    this.#supervisor = supervisor;
  }

  /**
   * @param taskFor is told where the index was saved that is open although somebody removed its file
   * @param replaces false: the index stays as it is
   */
  async run<N extends ReplacingTask & RequestName<'repair'>>(
    taskFor: (savedPath: string | null) => { method: N; params: RequestParams<'repair', N> },
    work: Work,
    replaces = true,
  ): Promise<RequestResult<'repair', N>> {
    const supervisor = this.#supervisor;
    const isOpen = supervisor.slots.index_service.state === 'ready';
    // Without it nothing could give back what was written to a file that somebody removed.
    const saved = isOpen ? (await supervisor.askIndex('save_open', { to: 'replaced' }, work)).path : null;
    this.#isStopped = true;
    assertStopped(await supervisor.stopWorkers(['index_service'], supervisor.stopTimeoutMs));
    const answer = await supervisor.tasks.run('repair', taskFor(saved), work);
    this.#isNew = replaces;
    return saved === null ? answer : { ...answer, original_path: saved };
  }

  /** Requests are answered again. */
  async serve(): Promise<void> {
    if (!this.#isStopped) return;
    this.#isStopped = false;
    const starting = this.#supervisor.slots.index_service.start({});
    // A damaged one that stays in its place may not be opened; health says so.
    await (this.#isNew ? starting : starting.catch(() => undefined));
  }

  /** Requests are answered again, and what is newer on disk than a new index is indexed again. */
  async end(work: Work): Promise<RestoredBackup['projects']> {
    await this.serve();
    return this.#isNew ? await this.#compareAll(work) : [];
  }

  async #compareAll(work: Work): Promise<RestoredBackup['projects']> {
    const { projects } = await this.#supervisor.askIndex('list_projects', {});
    const compared: RestoredBackup['projects'] = [];
    for (const { project_id, root_dir } of projects) {
      const one = { project_id, root_dir, files_added: 0, files_changed: 0, files_deleted: 0, error: null };
      try {
        const request = { projectId: project_id, isNew: false };
        const { added, changed, deleted } = await this.#supervisor.reconciles.run(request, work);
        compared.push({ ...one, files_added: added, files_changed: changed, files_deleted: deleted });
      } catch (error) {
        // Also where it is cancelled: the new index is in place, and whoever asked has to hear so.
        compared.push({ ...one, error: messageOf(error) });
      }
    }
    return compared;
  }
}
