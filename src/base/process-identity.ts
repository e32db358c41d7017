import { readFileSync } from 'node:fs';
import { errnoOf, ignoreErrno } from './errors.js';

/** A process for good: pids are reused, a pid with its start time is not. */
export interface ProcessIdentity {
  pid: number;
  /** Clock ticks since boot, field 22 of /proc/PID/stat. */
  startTime: string;
}

/** The identity of a process that is alive; null for one that is gone, a zombie included, or cannot be looked at. */
export function identify(pid: number): ProcessIdentity | null {
  try {
    return look(pid);
  } catch {
    return null;
  }
}

/** Whether a signal such as SIGSTOP keeps it from doing anything until SIGCONT. */
export function isHalted(pid: number): boolean {
  try {
    return lookAtStat(pid)?.state === 'T';
  } catch {
    return false;
  }
}

/** @throws where it cannot be looked at, as without a free file descriptor, which does not mean that it is gone */
export function look(pid: number): ProcessIdentity | null {
  return lookAtStat(pid)?.identity ?? null;
}

function lookAtStat(pid: number): Stat | null {
  try {
    return parseStat(pid, readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch (error) {
    return ignoreErrno('ENOENT', 'ESRCH')(error) ?? null;
  }
}

/** What is read of /proc/PID/stat. */
export interface Stat {
  identity: ProcessIdentity;
  /** One letter, see proc_pid_stat(5). */
  state: string;
  parent: number;
  /** The pid of the process that began its session with setsid(2); a child can leave its group, but not this. */
  session: number;
}

/**
 * Null for a zombie. The name in field 2 may contain anything, so fields are counted from its closing parenthesis.
 */
export function parseStat(pid: number, stat: string): Stat | null {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state, parent, , session] = fields;
  const startTime = fields[19];
  if (state === undefined || startTime === undefined || state === 'Z' || state === 'X') return null;
  return { identity: { pid, startTime }, state, parent: Number(parent), session: Number(session) };
}

/** True as well where only its pid is known to be taken: what cannot be looked at is not said to be gone. */
export function isAlive(identity: ProcessIdentity): boolean {
  try {
    return look(identity.pid)?.startTime === identity.startTime;
  } catch {
    return isTaken(identity.pid);
  }
}

/** Needs no file descriptor, and tells nothing of whose the pid is. */
function isTaken(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return errnoOf(error) !== 'ESRCH';
  }
}
