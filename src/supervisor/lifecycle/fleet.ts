import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { Config } from '../../base/config.js';
import type { FromWorker, LogLevel, WorkerKind, WorkerStart } from '../../base/ipc.js';
import { findParentDeath, type Launcher } from './launch.js';
import { diagnose, lookEveryMs, type Vitals } from './liveness.js';
import { isAlive } from '../../base/process-identity.js';
import { assertNoneRuns, endLeftovers, WorkerRecords } from './takeover.js';
import { WorkerProcess } from './worker-process.js';

export interface FleetOptions {
  stateDir: string;
  config: Config;
  /** What each process runs. */
  program: string;
  /** Throws once the daemon ends: nobody would stop what is started then, or hold the lock for it. */
  assertMayFork: () => void;
  log: (source: WorkerKind | 'supervisor', level: LogLevel, message: string) => void;
  /** Hears of each look at each process; see liveness.ts. */
  onLook: (worker: WorkerProcess, vitals: Vitals) => void;
}

/** Every process that this supervisor has forked: started in one way, written down, and looked at while it lives. */
export class Fleet {
  readonly #options: FleetOptions;
  readonly #launcher: Launcher;
  readonly #recordPath: string;
  readonly #records: WorkerRecords;
  /** Those that live, and those of which something is left. */
  readonly #all = new Set<WorkerProcess>();
  /** Those that load their program already, and are still to be told what to do. */
  readonly #prepared = new Set<WorkerProcess>();
  #marks = 0;
  #looking: NodeJS.Timeout | undefined;

  /** @throws CodekeepError INDEX_UNAVAILABLE where another supervisor of the state directory is alive */
  constructor(options: FleetOptions) {
    const { stateDir, config, program, log } = options;
    this.#options = options;
    this.#launcher = {
      program,
      parentDeath: null,
      memoryMaxBytes: config.worker_memory_max_bytes,
      instance: randomUUID(),
    };
    this.#recordPath = join(stateDir, 'workers.json');
    assertNoneRuns(this.#recordPath);
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

  /** Starts a process that is going to be forked soon: it loads its program, which takes most of a start, and opens nothing. */
  prepare(kind: WorkerKind): void {
    this.#options.assertMayFork();
    this.#prepared.add(this.#launch(kind));
  }

  /** Resolves when all that were prepared and not forked are gone. */
  async endPrepared(): Promise<void> {
    const prepared = [...this.#prepared];
    this.#prepared.clear();
    await Promise.all(prepared.map((worker) => worker.stop(0)));
  }

  fork<K extends WorkerKind>(
    kind: K,
    start: Omit<WorkerStart, 'stateDir' | 'config'>,
    onMessage: (message: FromWorker) => void,
  ): WorkerProcess<K> {
    const { stateDir, config, assertMayFork } = this.#options;
    assertMayFork();
    const worker = this.#takePrepared(kind) ?? this.#launch(kind);
    worker.begin({ stateDir, config, ...start }, onMessage);
    return worker;
  }

  #takePrepared<K extends WorkerKind>(kind: K): WorkerProcess<K> | null {
    for (const prepared of this.#prepared) {
      if (!isOf(prepared, kind)) continue;
      this.#prepared.delete(prepared);
      if (!prepared.hasExited) return prepared;
    }
    return null;
  }

  #launch<K extends WorkerKind>(kind: K): WorkerProcess<K> {
    const { log } = this.#options;
    const worker = new WorkerProcess({
      kind,
      launcher: this.#launcher,
      mark: `${this.#launcher.instance}/${++this.#marks}`,
      onOutput: (stream, line) => log(kind, stream === 'stderr' ? 'error' : 'info', line),
    });
    if (worker.identity !== null) this.#records.add(worker.identity, worker.mark);
    this.#all.add(worker);
    // However it ends, what it started ends with it; what cannot be ended is still to be told of.
    void worker.exited
      .then(() => worker.stop(0))
      .then(({ remaining }) => remaining.length > 0 || this.#all.delete(worker));
    return worker;
  }

  /** Processes that could not be ended and are still there, each with the kind of worker that it belongs to. */
  stuck(): { kind: WorkerKind; pid: number }[] {
    const stuck = [...this.#all].map((worker) => ({ worker, left: worker.remaining.filter(isAlive) }));
    for (const { worker, left } of stuck) if (worker.hasExited && left.length === 0) this.#all.delete(worker);
    return stuck.flatMap(({ worker, left }) => left.map(({ pid }) => ({ kind: worker.kind, pid })));
  }

  /** Call it after the last stop: what could not be ended stays written down for the next supervisor. */
  end(): void {
    // What an earlier supervisor left, and could not be ended at the start, stays written down.
    if (this.#looking === undefined) return;
    clearInterval(this.#looking);
    this.#records.retain([...this.#all].filter((worker) => worker.remaining.some(isAlive)));
  }

  /** Ends each one that hangs or has grown too large; what runs for good is started again where it is owned. */
  #look(): void {
    const { config, log, onLook } = this.#options;
    for (const worker of this.#all) {
      if (worker.hasExited || worker.condemned !== null) continue;
      const vitals = worker.look();
      onLook(worker, vitals);
      const reason = diagnose(vitals, config.worker_memory_max_bytes);
      if (reason === null) continue;
      worker.condemn(reason);
      log(worker.kind, 'error', `process ${worker.pid} is ended: it ${reason}`);
      void worker.stop(0).then(({ error }) => {
        if (error !== null) log(worker.kind, 'error', `process ${worker.pid}: ${error}`);
      });
    }
  }
}

function isOf<K extends WorkerKind>(worker: WorkerProcess, kind: K): worker is WorkerProcess<K> {
  return worker.kind === kind;
}
