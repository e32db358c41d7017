import treeKill from 'tree-kill';
import { sleep, within } from '../../base/waiting.js';
import { familyOf, hasPs, isAlive, type ProcessIdentity, signalProcess } from './process-table.js';
import { describeExit, type WorkerExit, type WorkerProcess } from './worker-process.js';

/** How a worker ended. */
export interface StopOutcome {
  pid: number;
  /** False when it took SIGKILL, for it or for a process that it had started, or when it crashed meanwhile. */
  graceful: boolean;
  /** How it ended, for people. */
  how: string;
  durationMs: number;
  /** Set when a process is still there after SIGKILL, which only the kernel can cause. */
  error: string | null;
}

/** After SIGKILL a process is gone as soon as it leaves the kernel; longer than this means it hangs in there (ms). */
const killPatienceMs = 3_000;
const pollMs = 10;

/**
 * Stops one worker: IPC stop and SIGTERM → wait for its exit → SIGKILL for its whole family → verify in the
 * process table that every one of them is gone. Nothing that the worker did not start is signalled.
 */
export async function stopWorkerProcess(
  worker: WorkerProcess,
  timeoutMs: number,
  force: boolean,
): Promise<StopOutcome> {
  const startedAt = performance.now();
  const { identity } = worker;
  if (identity === null) return { pid: 0, graceful: true, how: 'never ran', durationMs: 0, error: null };
  // Taken before anything dies: a child whose parent exits first is no descendant any more.
  const known = familyOf(identity, worker.mark);
  let exit: WorkerExit | null = null;
  if (!force) {
    worker.send({ type: 'stop' });
    signalProcess(identity, 'SIGTERM');
    exit = await within(timeoutMs, worker.exited);
  }
  if (exit === null) await killTree(identity);
  const left = await killFamily(worker, identity, await known);
  const durationMs = Math.round(performance.now() - startedAt);
  const pids = left.remaining.map(({ pid }) => pid).join(', ');
  return {
    pid: identity.pid,
    graceful: exit !== null && isInOrder(exit) && left.killed === 0,
    how: describeStop(exit, left.killed),
    durationMs,
    error: left.remaining.length === 0 ? null : `still alive after SIGKILL: ${pids}`,
  };
}

/** One that was told to stop before it could listen has nothing to end yet: the signal itself ends it. */
function isInOrder({ code, signal }: WorkerExit): boolean {
  return code === 0 || signal === 'SIGTERM';
}

function describeStop(exit: WorkerExit | null, killed: number): string {
  if (exit === null) return 'was killed';
  const itself = isInOrder(exit) ? 'ended in order' : describeExit(exit);
  return killed === 0 ? itself : `${itself}, and ${killed} of its processes had to be killed`;
}

/** tree-kill calls back after signalling; whether the processes died is found out afterwards. */
async function killTree(identity: ProcessIdentity): Promise<void> {
  if (!isAlive(identity)) return;
  if (await hasPs()) await new Promise<void>((resolve) => treeKill(identity.pid, 'SIGKILL', () => resolve()));
  signalProcess(identity, 'SIGKILL');
}

async function killFamily(
  worker: WorkerProcess,
  identity: ProcessIdentity,
  known: readonly ProcessIdentity[],
): Promise<{ killed: number; remaining: ProcessIdentity[] }> {
  const giveUpAt = performance.now() + killPatienceMs;
  const family = new Map(known.map((member) => [member.pid, member]));
  const killed = new Set<number>();
  for (;;) {
    for (const member of await familyOf(identity, worker.mark)) family.set(member.pid, member);
    const alive = [identity, ...family.values()].filter(isAlive);
    if (alive.length === 0) return { killed: killed.size, remaining: [] };
    if (performance.now() > giveUpAt) return { killed: killed.size, remaining: alive };
    for (const member of alive) if (signalProcess(member, 'SIGKILL')) killed.add(member.pid);
    await sleep(pollMs);
  }
}
