import { readdir, readFile } from 'node:fs/promises';
import psList from 'ps-list';
import { errnoOf } from '../../base/errors.js';
import { identify, look, parseStat, type ProcessIdentity, type Stat } from '../../base/process-identity.js';
import { forEachLimited } from '../../base/waiting.js';

/** Each takes a file descriptor, and there may be few. */
const readsAtOnce = 4;

/** Every process that a worker starts inherits this variable: it marks descendants whose parents are gone. */
export const workerMark = 'CODEKEEP_WORKER';

/** Sends a signal to exactly this process; false when it is gone already, or nobody can tell. */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): boolean {
  if (identify(identity.pid)?.startTime !== identity.startTime) return false;
  try {
    return process.kill(identity.pid, signal);
  } catch {
    return false;
  }
}

/**
 * A worker's whole family as of now, without the worker itself: its descendants by parent, whatever is in the
 * session that it began, and whatever carries its mark although its parents are gone and it began a session of
 * its own. Only what left all three behind on purpose is not found.
 * @throws EMFILE and the like, where the table cannot be read
 * @param mark the value of CODEKEEP_WORKER that the worker was started with
 */
export async function familyOf(worker: ProcessIdentity, mark: string): Promise<ProcessIdentity[]> {
  const [table, marked] = await Promise.all([
    eachProcess(async (pid) => parseStat(pid, await readFile(`/proc/${pid}/stat`, 'latin1'))),
    markedWith(mark),
  ]);
  const relatives = isReused(worker, table)
    ? []
    : [...descendantsOf(worker, table), ...sessionOf(worker, table)];
  const family = new Map([...relatives, ...marked].map((identity) => [identity.pid, identity]));
  family.delete(worker.pid);
  family.delete(process.pid);
  return [...family.values()];
}

/** Once its pid is somebody else's, the pid says nothing. */
function isReused(worker: ProcessIdentity, table: readonly Stat[]): boolean {
  const holder = table.find(({ identity }) => identity.pid === worker.pid);
  return holder !== undefined && holder.identity.startTime !== worker.startTime;
}

function descendantsOf(worker: ProcessIdentity, table: readonly Stat[]): ProcessIdentity[] {
  const found: ProcessIdentity[] = [];
  for (const open = [worker.pid]; open.length > 0;) {
    const parent = open.pop();
    const children = table.filter((stat) => stat.parent === parent).map(({ identity }) => identity);
    found.push(...children);
    open.push(...children.map(({ pid }) => pid));
  }
  return found;
}

/** The kernel gives a pid to nobody else while a session bears it. */
function sessionOf(worker: ProcessIdentity, table: readonly Stat[]): ProcessIdentity[] {
  return table.filter(({ session }) => session === worker.pid).map(({ identity }) => identity);
}

/**
 * What `read` gives for each process; one that ends while it is looked at, or may not be read, gives nothing.
 * Where several descriptors cannot be had, one is enough.
 * @throws EMFILE and the like, where nobody can tell
 */
async function eachProcess<T>(read: (pid: number) => Promise<T | null>): Promise<T[]> {
  try {
    return await eachOfTable(read, readsAtOnce);
  } catch (error) {
    if (!isExhausted(error)) throw error;
    return await eachOfTable(read, 1);
  }
}

async function eachOfTable<T>(read: (pid: number) => Promise<T | null>, atOnce: number): Promise<T[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found: T[] = [];
  await forEachLimited(pids, atOnce, async (pid) => {
    try {
      const one = await read(pid);
      if (one !== null) found.push(one);
    } catch (error) {
      if (isExhausted(error)) throw error;
    }
  });
  return found;
}

function isExhausted(error: unknown): boolean {
  return ['EMFILE', 'ENFILE', 'ENOMEM'].includes(errnoOf(error) ?? '');
}

let psFound: Promise<boolean> | undefined;

/** Whether there is a `ps` program, which ps-list and tree-kill run; the latter throws where nobody can catch. */
export function hasPs(): Promise<boolean> {
  psFound ??= psList().then(
    () => true,
    () => false,
  );
  return psFound;
}

/** Processes whose environment carries the mark; those of other users cannot be read and are not ours. */
export async function markedWith(mark: string): Promise<ProcessIdentity[]> {
  const wanted = `${workerMark}=${mark}`;
  return await eachProcess(async (pid) => {
    const environment = await readFile(`/proc/${pid}/environ`, 'latin1');
    return environment.split('\0').includes(wanted) ? look(pid) : null;
  });
}

/** Processes whose command line has `argument` as one of its words, by ps-list. */
export async function withArgument(argument: string): Promise<ProcessIdentity[]> {
  const processes = await psList().catch(() => []);
  const found = processes.filter(({ cmd }) => cmd?.split(' ').includes(argument) === true);
  return found.map(({ pid }) => identify(pid)).filter((identity) => identity !== null);
}
