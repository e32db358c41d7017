import { readFileSync, rmSync } from 'node:fs';
import type { Daemon } from '../harness/daemon.js';
import { openFiles, residentMb } from '../harness/processes.js';
import { waitFor } from '../harness/waiting.js';

const bytesPerMb = 1024 * 1024;

/** What the daemon holds while it is at rest. */
export type Sample = Record<string, number>;

/** pidusage keeps /proc/PID/stat open until it forgets the process, some seconds after its end. */
const isLookedAt = (path: string): boolean => /^\/proc\/\d+\/stat$/.test(path);

/** Processes whose files pidusage has open. */
export function processesLookedAt(pid: number): number {
  return openFiles(pid).filter(isLookedAt).length;
}

/** Asks the probe, and looks at the supervisor and at index_service from outside. */
export async function takeSample(daemon: Daemon, probePath: string): Promise<Sample> {
  rmSync(probePath, { force: true });
  process.kill(daemon.pid, 'SIGUSR2');
  const inside = await waitFor(
    'the probe',
    () =>
      JSON.parse(readFileSync(probePath, 'utf8')) as {
        resources: Record<string, number>;
        listeners: number;
        heap: number;
      },
  );
  const status = await daemon.call('get_worker_status', {});
  const index = 'workers' in status ? (status.workers[0]?.processes[0]?.pid ?? 0) : 0;
  const resources = Object.values(inside.resources).reduce((sum, count) => sum + count, 0);
  return {
    'supervisor: open files': openFiles(daemon.pid).filter((path) => !isLookedAt(path)).length,
    'supervisor: timers': inside.resources['Timeout'] ?? 0,
    'supervisor: timers, handles and requests': resources,
    'supervisor: listeners of the process': inside.listeners,
    'supervisor: heap after collection, MB': inside.heap / bytesPerMb,
    'supervisor: resident, MB': residentMb(daemon.pid),
    'index_service: open files': openFiles(index).length,
    'index_service: resident, MB': residentMb(index),
  };
}

/**
 * How much a figure may be above what it was after the warm-up. Counts may not grow at all; a heap holds ended jobs
 * and caches up to their bounds; resident memory follows the allocator.
 */
function allowance(name: string, before: number): number {
  if (!name.endsWith('MB')) return 0;
  return name.includes('heap') ? 4 : Math.max(30, before * 0.2);
}

export interface Trend {
  name: string;
  before: number;
  after: number;
  grows: boolean;
}

/** Compares the least of the samples after the warm-up with the least at the end: what grows has no low points. */
export function trends(samples: readonly Sample[]): Trend[] {
  const quarter = Math.max(1, Math.floor(samples.length / 4));
  const early = samples.slice(quarter, 2 * quarter);
  const late = samples.slice(-quarter);
  const least = (window: readonly Sample[], name: string): number =>
    Math.min(...window.map((sample) => sample[name] ?? Number.NaN));
  return Object.keys(samples[0] ?? {}).map((name) => {
    const [before, after] = [least(early, name), least(late, name)];
    return { name, before, after, grows: !(after <= before + allowance(name, before)) };
  });
}
