import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** The process table as the kernel tells it; nothing of the product is used to look at it. */
export interface ProcessEntry {
  pid: number;
  ppid: number;
  commandLine: string[];
}

function read(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'latin1');
  } catch {
    // It ended while it was looked at.
    return '';
  }
}

/** False for a process that is gone; a zombie, which only waits to be reaped, is gone too. */
export function isAlive(pid: number): boolean {
  const state = stateOf(pid);
  return state !== '' && state !== 'Z' && state !== 'X';
}

/** The state letter of /proc/PID/stat; '' when there is no such process. */
export function stateOf(pid: number): string {
  const stat = read(pid, 'stat');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[0] ?? '';
}

function entryOf(pid: number): ProcessEntry {
  const stat = read(pid, 'stat');
  const [, ppid] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { pid, ppid: Number(ppid), commandLine: read(pid, 'cmdline').split('\0').slice(0, -1) };
}

function livingPids(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter(isAlive);
}

export function childrenOf(pid: number): ProcessEntry[] {
  return livingPids()
    .map(entryOf)
    .filter(({ ppid }) => ppid === pid);
}

/** The environment that a process was started with, as NAME=VALUE; it says so of its descendants, too. */
export function environmentOf(pid: number): string[] {
  return read(pid, 'environ').split('\0');
}

/** Processes that have NAME=VALUE in the environment they were started with, as all descendants inherit it. */
export function processesWithEnvironment(assignment: string): ProcessEntry[] {
  return livingPids()
    .filter((pid) => environmentOf(pid).includes(assignment))
    .map(entryOf);
}

/** What a process has open: paths, and words such as socket:[12345]. */
export function openFiles(pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`).map((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`);
    } catch {
      // Closed while it was looked at.
      return '';
    }
  });
}

/** How many sockets a process has open. */
export function openSockets(pid: number): number {
  return openFiles(pid).filter((target) => target.startsWith('socket:')).length;
}

/** The niceness of each thread of a process. */
export function nicenessOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).map((thread) => {
    const stat = read(pid, `task/${thread}/stat`);
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]);
  });
}

/** Resident memory of a process. */
export function residentMb(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(read(pid, 'status'));
  return Number(line?.[1] ?? Number.NaN) / 1024;
}
