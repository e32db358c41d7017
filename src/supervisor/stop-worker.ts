import treeKill from 'tree-kill';
import { sleep, within } from '../base/waiting.js';
import { familyOf, hasPs, isAlive, type ProcessIdentity, signalProcess } from './process-table.js';
import type { WorkerProcess } from './worker-process.js';

/** How a worker ended. */
export interface StopOutcome {
  pid: number;
  /** False when it took SIGKILL, for it or for a process that it had started. */
  graceful: boolean;
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
  if (identity === null) return { pid: 0, graceful: true, durationMs: 0, error: null };
  // Taken before anything dies: a child whose parent exits first is no descendant any more.
  const known = familyOf(identity.pid, worker.mark);
  let graceful = false;
  if (!force) {
    worker.send({ type: 'stop' });
    signalProcess(identity, 'SIGTERM');
    graceful = (await within(timeoutMs, worker.exited)) !== null;
  }
  if (!graceful) await killTree(identity);
  const left = await killFamily(worker, identity, await known);
  const durationMs = Math.round(performance.now() - startedAt);
  if (left.remaining.length === 0)
    return { pid: identity.pid, graceful: graceful && left.killed === 0, durationMs, error: null };
  const pids = left.remaining.map(({ pid }) => pid).join(', ');
  return { pid: identity.pid, graceful: false, durationMs, error: `still alive after SIGKILL: ${pids}` };
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
  let killed = 0;
  for (;;) {
    for (const member of await familyOf(identity.pid, worker.mark)) family.set(member.pid, member);
    const alive = [identity, ...family.values()].filter(isAlive);
    if (alive.length === 0) return { killed, remaining: [] };
    if (performance.now() > giveUpAt) return { killed, remaining: alive };
    for (const member of alive) if (signalProcess(member, 'SIGKILL')) killed += 1;
    await sleep(pollMs);
  }
}
