import { readFileSync } from 'node:fs';

/** Every worker is looked at so often (ms): a hang is seen soon enough, and an idle machine is hardly woken. */
export const lookEveryMs = 2_000;

const bytesPerMb = 1024 * 1024;

/** What one look at a worker found. */
export interface Vitals {
  /** For how long it has not answered, counted in looks: while the supervisor itself stood still, nothing counts. */
  silentMs: number;
  /** For how long its event loop may stand still, as it declared. */
  longestStepMs: number;
  /** Resident memory; null where it cannot be read because the process is gone. */
  memoryBytes: number | null;
}

/**
 * Why a worker has to be replaced, or null for one that is well. A worker is alive while its event loop turns:
 * however slow its work is, it is left alone; whether the work gets on is what its progress says.
 */
export function diagnose(vitals: Vitals, memoryMaxBytes: number): string | null {
  const { silentMs, longestStepMs, memoryBytes } = vitals;
  if (silentMs > longestStepMs) {
    return `hung: no sign of life for ${silentMs / 1_000} s, and its longest step takes ${longestStepMs / 1_000} s`;
  }
  if (memoryBytes !== null && memoryBytes > memoryMaxBytes) {
    const [used, allowed] = [memoryBytes, memoryMaxBytes].map((bytes) => Math.round(bytes / bytesPerMb));
    return `used ${used} MB of memory, more than its limit of ${allowed} MB (worker_memory_max_bytes)`;
  }
  return null;
}

/** Resident memory of a process in bytes, as the kernel tells it; null when it is gone. */
export function residentBytes(pid: number): number | null {
  try {
    const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'));
    return line === null ? null : Number(line[1]) * 1024;
  } catch {
    return null;
  }
}
