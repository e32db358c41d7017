import { readFileSync } from 'node:fs';
import { ignoreErrno } from './errors.js';

/**
 * When a process began, in clock ticks since boot (field 22 of /proc/PID/stat): pids are reused, a pid with its start
 * is not. Null where there is no such process.
 */
export function processStart(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name in field 2 may contain anything, so fields are counted from its closing parenthesis.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch (error) {
    return ignoreErrno('ENOENT', 'ESRCH')(error) ?? null;
  }
}
