import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { Config } from '../../base/config.js';
import type { FromWorker, LogLevel, WorkerKind, WorkerStart } from '../../base/ipc.js';
import { findParentDeath, type Launcher } from './launch.js';
import { diagnose, lookEveryMs } from './liveness.js';
import { stopWorkerProcess } from './stop-worker.js';
import { endLeftovers, WorkerRecords } from './takeover.js';
import { WorkerProcess } from './worker-process.js';

export interface WorkerProcessesOptions {
  stateDir: string;
  config: Config;
  /** What each process runs. */
  program: string;
  log: (source: WorkerKind | 'supervisor', level: LogLevel, message: string) => void;
}

/** Every process that this supervisor has forked: started in one way, written down, and looked at while it lives. */
export class WorkerProcesses {
  readonly #options: WorkerProcessesOptions;
  readonly #launcher: Launcher;
  readonly #recordPath: string;
  readonly #records: WorkerRecords;
  readonly #living = new Set<WorkerProcess>();
  #marks = 0;
  #looking: NodeJS.Timeout | undefined;

  constructor(options: WorkerProcessesOptions) {
    const { stateDir, config, program, log } = options;
    this.#options = options;
    this.#launcher = {
      program,
      parentDeath: null,
      memoryMaxBytes: config.worker_memory_max_bytes,
      instance: randomUUID(),
    };
    this.#recordPath = join(stateDir, 'workers.json');
    this.#records = new WorkerRecords(this.#recordPath, this.#launcher.instance, (problem) =>
      log('supervisor', 'warn', problem),
    );
  }

  /** Ends what an earlier supervisor of this state directory left. Call it before the first fork. */
  async begin(): Promise<void> {
    const { log } = this.#options;
    const [ended, parentDeath] = await Promise.all([endLeftovers(this.#recordPath), findParentDeath()]);
    for (const { pid } of ended)
      log('supervisor', 'warn', `ended process ${pid}, which an earlier supervisor had left`);
    if (parentDeath === null)
      log('supervisor', 'warn', 'no setpriv: a busy worker outlives a killed supervisor until it is idle');
    this.#launcher.parentDeath = parentDeath;
    this.#looking = setInterval(() => this.#look(), lookEveryMs).unref();
  }

  fork(
    kind: WorkerKind,
    options: Record<string, unknown>,
    task: WorkerStart['task'],
    onMessage: (message: FromWorker) => void,
  ): WorkerProcess {
    const { stateDir, config, log } = this.#options;
    const worker = new WorkerProcess({
      kind,
      start: { stateDir, config, options, task },
      launcher: this.#launcher,
      mark: `${this.#launcher.instance}/${++this.#marks}`,
      onMessage,
      onOutput: (stream, line) => log(kind, stream === 'stderr' ? 'error' : 'info', line),
    });
    if (worker.identity !== null) this.#records.add(worker.identity, worker.mark);
    this.#living.add(worker);
    void worker.exited.then(() => this.#living.delete(worker));
    return worker;
  }

  /** Call it when every worker has ended in order. */
  end(): void {
    clearInterval(this.#looking);
    this.#records.clear();
  }

  /** Ends each one that hangs or has grown too large; what runs for good is started again where it is owned. */
  #look(): void {
    const { config, log } = this.#options;
    for (const worker of this.#living) {
      if (worker.condemned !== null) continue;
      const reason = diagnose(worker.look(), config.worker_memory_max_bytes);
      if (reason === null) continue;
      worker.condemn(reason);
      log(worker.kind, 'error', `process ${worker.pid} is ended: it ${reason}`);
      void stopWorkerProcess(worker, 0, true).then(({ error }) => {
        if (error !== null) log(worker.kind, 'error', `process ${worker.pid}: ${error}`);
      });
    }
  }
}
