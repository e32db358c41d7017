import pidusage from 'pidusage';
import type { WorkerKind } from '../../base/ipc.js';
import { sleep } from '../../base/waiting.js';
import type { WorkerStatus } from '../../contract/workers.js';
import type { LogFiles } from '../logs/log-files.js';
import type { WorkerSlot } from '../lifecycle/worker-slot.js';

/** pidusage counts CPU from one look to the next, so every worker is looked at this often (ms). */
const sampleEveryMs = 5_000;
/**
 * It forgets a process after so long (ms), and only then closes the file by which it looks at it: more than the pause
 * between two looks, and not much more.
 */
const historyMs = 15_000;
/** Between the first look at a process and the first figure (ms): long enough for CPU time to have grown. */
const firstLookMs = 200;
const bytesPerMb = 1024 * 1024;

// It prints what it falls back on, as where getconf is missing or no descriptor is left, to a stderr that is not its own.
process.env['PIDUSAGE_SILENT'] = '1';

interface Usage {
  cpuPercent: number;
  memoryMb: number;
  uptimeSeconds: number;
}

/**
 * CPU and memory of worker processes. The first look at a process says 0 %, because there is nothing to
 * count from: so processes are looked at from their start on, and a status is never the first look.
 */
export class UsageSampler {
  readonly #pids: () => number[];
  readonly #seen = new Set<number>();
  /** Two first looks at the same process at once would leave a file open for good. */
  readonly #looking = new Map<number, Promise<Usage | null>>();
  readonly #timer: NodeJS.Timeout;

  /** @param pids the processes that are alive now */
  constructor(pids: () => number[]) {
    this.#pids = pids;
    this.#timer = setInterval(() => void this.sampleAll(), sampleEveryMs).unref();
  }

  async sampleAll(): Promise<void> {
    const pids = this.#pids();
    for (const pid of this.#seen) if (!pids.includes(pid)) this.#seen.delete(pid);
    await Promise.all(pids.map((pid) => this.sample(pid)));
  }

  /** Null for a process that is gone. */
  async sample(pid: number): Promise<Usage | null> {
    const look = this.#looking.get(pid) ?? this.#look(pid);
    this.#looking.set(pid, look);
    return await look.finally(() => this.#looking.delete(pid));
  }

  async #look(pid: number): Promise<Usage | null> {
    try {
      await this.#lookFirst(pid);
      const { cpu, memory, elapsed } = await pidusage(pid, { maxage: historyMs });
      return {
        cpuPercent: Math.round(cpu * 10) / 10,
        memoryMb: Math.round((memory / bytesPerMb) * 10) / 10,
        uptimeSeconds: Math.round(elapsed) / 1_000,
      };
    } catch {
      // ENOENT or ESRCH: it ended between two looks.
      this.#seen.delete(pid);
      return null;
    }
  }

  async #lookFirst(pid: number): Promise<void> {
    if (this.#seen.has(pid)) return;
    await pidusage(pid, { maxage: historyMs });
    this.#seen.add(pid);
    await sleep(firstLookMs);
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

/** get_worker_status of one worker. */
export async function statusOf(
  slot: WorkerSlot,
  logs: LogFiles,
  sampler: UsageSampler,
): Promise<WorkerStatus> {
  const processes = await processesOf(slot, sampler);
  const activity = logs.activityOf(slot.kind);
  const { lastExit } = slot;
  const sum = (pick: (process: (typeof processes)[number]) => number): number =>
    Math.round(processes.reduce((total, process) => total + pick(process), 0) * 10) / 10;
  return {
    worker_type: slot.kind,
    internal: isInternal(slot.kind),
    state: slot.state,
    is_running: processes.length > 0,
    processes,
    restarts: slot.restarts,
    last_exit:
      lastExit === null ? null : { ...lastExit, at: isoTime(lastExit.at), stderr: [...lastExit.stderr] },
    current_operation: slot.activity.operation,
    progress:
      slot.activity.operation === null ? null : { done: slot.activity.done, total: slot.activity.total },
    last_progress_at: slot.lastProgressAt === null ? null : isoTime(slot.lastProgressAt),
    log_activity: {
      last_entry_at: activity.lastEntryAt === null ? null : isoTime(activity.lastEntryAt),
      errors: activity.errors,
      warnings: activity.warnings,
    },
    summary: {
      process_count: processes.length,
      is_running: processes.length > 0,
      total_cpu_percent: sum((process) => process.cpu_percent),
      total_memory_mb: sum((process) => process.memory_mb),
      oldest_process_uptime_seconds: Math.max(0, ...processes.map((process) => process.uptime_seconds)),
    },
  };
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}

function isInternal(kind: WorkerKind): boolean {
  return kind === 'index_service';
}

async function processesOf(slot: WorkerSlot, sampler: UsageSampler): Promise<WorkerStatus['processes']> {
  const worker = slot.process;
  if (worker === null || worker.hasExited) return [];
  const usage = await sampler.sample(worker.pid);
  if (usage === null) return [];
  return [
    {
      pid: worker.pid,
      cpu_percent: usage.cpuPercent,
      memory_mb: usage.memoryMb,
      create_time: isoTime(worker.startedAt),
      uptime_seconds: usage.uptimeSeconds,
      status: slot.state,
    },
  ];
}
