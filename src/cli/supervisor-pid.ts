import { readdirSync, readFileSync, readlinkSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { clientSocket, type LocationFlags, locate } from '../base/locations.js';

/** A supervisor's process, found without its help. */
export interface FoundSupervisor {
  pid: number;
  /** By a signal such as SIGSTOP: it does nothing until SIGCONT. */
  isHalted: boolean;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The supervisor of the socket that a client would connect to: the process that has the lock of its state directory
 * open, since a socket does not tell whose it is. Null where that is not one process, or of another user.
 */
export function supervisorOf(flags: LocationFlags, env: Environment): FoundSupervisor | null {
  const lock = lockPath(flags, env);
  const holders = lock === null ? [] : pids().filter((pid) => hasOpen(pid, lock));
  const [pid, ...others] = holders;
  if (pid === undefined || others.length > 0) return null;
  return { pid, isHalted: isHalted(pid) };
}

/** Null where there is none. A socket that is named by itself lies in the state directory, or tells nothing of it. */
function lockPath(flags: LocationFlags, env: Environment): string | null {
  const { stateDir, socket } = locate(flags, env);
  const used = clientSocket(flags, env);
  const isOwn =
    used === socket && used === locate({ ...flags, socket: undefined }, withoutSocket(env)).socket;
  try {
    return realpathSync(join(isOwn ? stateDir : dirname(used), 'lock.db'));
  } catch {
    return null;
  }
}

function withoutSocket(env: Environment): Environment {
  return { ...env, CODEKEEP_SOCKET: undefined };
}

function pids(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/u.test(name))
    .map(Number);
}

function hasOpen(pid: number, path: string): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => targetOf(pid, fd) === path);
  } catch {
    // It is gone, or another user's.
    return false;
  }
}

function targetOf(pid: number, fd: string): string | null {
  try {
    return readlinkSync(`/proc/${pid}/fd/${fd}`);
  } catch {
    // Closed while it was looked at.
    return null;
  }
}

/** Whether a signal has stopped it: the state of proc_pid_stat(5), behind the name, which may contain anything. */
function isHalted(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).startsWith('T');
  } catch {
    return false;
  }
}
