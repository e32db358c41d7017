import { randomUUID } from 'node:crypto';
import { CodekeepError, messageOf } from '../base/errors.js';
import { within } from '../base/waiting.js';
import type { Params } from '../contract/index.js';
import type { ProjectRepair, RepairResult, WorkersStopped } from '../contract/database.js';
import type { WorkerType } from '../contract/fields.js';
import type { JobCall } from './jobs.js';
import { type RepairProgress, RepairTrack } from './repair-track.js';
import type { StopOutcome } from './lifecycle/stop-worker.js';
import type { EventSink } from './subscriptions.js';
import { type Supervisor, workerTypes } from './supervisor.js';

/** The watcher gets so long (ms) to follow what it has noticed before it is stopped. */
const drainMs = 2_000;

type RepairParams = Omit<Params<'repair_database'>, 'wait'>;
/** What the repair process answers; see workers/repair/task.ts. */
interface TaskReport {
  backup_path: string | null;
  projects: (ProjectRepair & { message: string })[];
}

const nothingStopped: WorkersStopped = { stopped_count: 0, stopped_workers: [], errors: [] };

/** repair_database: reject a second one → drain → stop all → repair in a process of its own → resume. */
export class RepairCommand {
  readonly #supervisor: Supervisor;
  readonly #events: EventSink;
  #track: RepairTrack | null = null;

  constructor(supervisor: Supervisor, events: EventSink) {
    this.#supervisor = supervisor;
    this.#events = events;
  }

  /** The repair that is running, for health; null while there is none. A dry run is not one. */
  get progress(): RepairProgress | null {
    return this.#track?.now ?? null;
  }

  /**
   * @throws CodekeepError REPAIR_IN_PROGRESS, WORKER_STOP_ERROR (then nothing was repaired), and what the
   * repair itself answers
   */
  async run(params: RepairParams, call: JobCall): Promise<RepairResult> {
    return params.dry_run ? await this.#dryRun(params, call) : await this.#realRun(params, call, 'command');
  }

  /** Finishes a repair that was cut off with the daemon, before any other worker starts. */
  async recover(): Promise<void> {
    const params: RepairParams = { dry_run: false, resume_workers: false, force: false };
    const call: JobCall = { signal: new AbortController().signal, progress: () => undefined };
    await this.#realRun(params, call, 'recovery');
  }

  async #dryRun(params: RepairParams, call: JobCall): Promise<RepairResult> {
    const startedAt = performance.now();
    const runId = randomUUID();
    const { root_dir, project_id, version_dir, force } = params;
    const request = { root_dir, project_id, version_dir, force };
    const options = { signal: call.signal, onProgress: call.progress };
    const report = (await this.#supervisor.askIndex('plan_repair', request, true, options)) as TaskReport;
    return shape(report, { runId, dryRun: true, stopped: nothingStopped, resumed: [], startedAt });
  }

  async #realRun(params: RepairParams, call: JobCall, origin: 'command' | 'recovery'): Promise<RepairResult> {
    const startedAt = performance.now();
    const runId = randomUUID();
    await this.#checkProject(params, call);
    const release = this.#supervisor.holdWorkers();
    const track = new RepairTrack(runId, this.#events);
    this.#track = track;
    const resumable = this.#resumable();
    let isReleased = false;
    const resume = async (): Promise<{ pid: number; type: WorkerType }[]> => {
      if (isReleased) return [];
      isReleased = true;
      this.#track = null;
      release();
      return params.resume_workers && !this.#supervisor.isEnding ? await this.#resume(resumable) : [];
    };
    try {
      call.progress('stop', 0, 0);
      const stopped = await this.#stopAll();
      call.signal.throwIfAborted();
      const report = await this.#task(track, params, call, origin);
      track.finish(null);
      return shape(report, { runId, dryRun: false, stopped, resumed: await resume(), startedAt });
    } catch (error) {
      track.finish(error);
      throw error;
    } finally {
      // Also after a failed repair: the workers that ran before run again.
      await resume();
    }
  }

  /** No worker is stopped for a project that does not exist. What else is wrong, the repair itself finds. */
  async #checkProject({ root_dir, project_id }: RepairParams, { signal }: JobCall): Promise<void> {
    if (root_dir === undefined && project_id === undefined) return;
    const reference = { root_dir, project_id };
    try {
      await this.#supervisor.askIndex('get_project_status', reference, true, { signal });
    } catch (error) {
      if (error instanceof CodekeepError && error.code === 'PROJECT_NOT_FOUND') throw error;
    }
  }

  #resumable(): { type: WorkerType; options: Record<string, unknown> }[] {
    const slots = workerTypes.map((type) => ({ type, slot: this.#supervisor.slot(type) }));
    return slots
      .filter(({ slot }) => slot.isWanted)
      .map(({ type, slot }) => ({ type, options: slot.options }));
  }

  async #stopAll(): Promise<WorkersStopped> {
    const watcher = this.#supervisor.slot('file_watcher');
    if (watcher.state === 'ready' && watcher.process !== null) {
      const drained = watcher.process.request('drain', {}).catch(() => undefined);
      await within(drainMs, drained);
    }
    const timeoutMs = this.#supervisor.config.worker_stop_timeout * 1_000;
    const outcomes = await this.#supervisor.stopWorkers(workerTypes, timeoutMs);
    const first = outcomes.find(({ outcome }) => outcome.error !== null);
    if (first !== undefined) {
      throw new CodekeepError(
        'WORKER_STOP_ERROR',
        `${first.type} (pid ${first.outcome.pid}) cannot be stopped: ${first.outcome.error ?? ''}.`,
        'Nothing was repaired. End that process, then call again.',
        { pid: first.outcome.pid },
      );
    }
    return {
      stopped_count: outcomes.length,
      stopped_workers: outcomes.map(({ type, outcome }) => stoppedWorker(type, outcome)),
      errors: [],
    };
  }

  async #task(track: RepairTrack, params: RepairParams, call: JobCall, origin: string): Promise<TaskReport> {
    const { root_dir, project_id, version_dir, force } = params;
    const request = { run_id: track.now.run_id, root_dir, project_id, version_dir, force, origin };
    const onProgress = (phase: string, done: number, total: number): void => {
      call.progress(phase, done, total);
      track.note(phase, done, total);
    };
    const options = { signal: call.signal, onProgress };
    return (await this.#supervisor.runTask('repair', 'repair_database', request, options)) as TaskReport;
  }

  async #resume(
    workers: readonly { type: WorkerType; options: Record<string, unknown> }[],
  ): Promise<{ pid: number; type: WorkerType }[]> {
    const resumed = await Promise.all(
      workers.map(async ({ type, options }) => {
        try {
          return { pid: (await this.#supervisor.startWorker(type, options)).pid, type };
        } catch (error) {
          this.#supervisor.log('error', `${type} was not resumed: ${messageOf(error)}`);
          return null;
        }
      }),
    );
    return resumed.filter((entry) => entry !== null);
  }
}

function stoppedWorker(type: WorkerType, outcome: StopOutcome): WorkersStopped['stopped_workers'][number] {
  const { pid, graceful, how, durationMs } = outcome;
  return { pid, type, graceful, how, duration_ms: durationMs };
}

interface RunFrame {
  runId: string;
  dryRun: boolean;
  stopped: WorkersStopped;
  resumed: { pid: number; type: WorkerType }[];
  startedAt: number;
}

/** One project's fields stand at the top of the result; several come as a list. */
function shape(report: TaskReport, frame: RunFrame): RepairResult {
  const common = {
    run_id: frame.runId,
    dry_run: frame.dryRun,
    workers_stopped: frame.stopped,
    workers_resumed: frame.resumed,
    backup_path: report.backup_path,
    duration_ms: Math.round(performance.now() - frame.startedAt),
  };
  const [only, ...more] = report.projects;
  if (only !== undefined && more.length === 0) return { ...common, ...only };
  const message = report.projects.map((project) => `${project.root_dir}: ${project.message}`).join(' ');
  return {
    ...common,
    message: message === '' ? 'No project is registered.' : message,
    errors: report.projects.flatMap((project) => project.errors),
    projects: report.projects,
  };
}
