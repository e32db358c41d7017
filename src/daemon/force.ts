import { readdirSync, readFileSync } from 'node:fs';

/**
 * Kills this process's children with everything in their process groups: each worker leads a group of its own.
 * What a worker's descendants did to leave it, the next start ends (see supervisor/lifecycle/takeover.ts).
 * Synchronous, because nothing may be waited for any more.
 * @returns how many children were killed
 */
export function endAllNow(): number {
  return childrenOf(process.pid).filter((pid) => kill(-pid) || kill(pid)).length;
}

function childrenOf(parent: number): number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/u.test(name));
  return pids.map(Number).filter((pid) => parentOf(pid) === parent);
}

/** Field 4 of /proc/PID/stat; the name in field 2 may contain anything. Null for one that is gone, a zombie included. */
function parentOf(pid: number): number | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return state === 'Z' ? null : Number(parent);
  } catch {
    return null;
  }
}

/** False for one that is gone already. */
function kill(pid: number): boolean {
  try {
    return process.kill(pid, 'SIGKILL');
  } catch {
    return false;
  }
}
