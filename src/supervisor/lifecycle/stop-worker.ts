import treeKill from 'tree-kill';
import { messageOf } from '../../base/errors.js';
import type { ToWorker } from '../../base/ipc.js';
import { sleep, unlessAborted } from '../../base/waiting.js';
import { isAlive, type ProcessIdentity } from '../../base/process-identity.js';
import { familyOf, hasPs, signalProcess } from './process-table.js';
import { describeExit, isInOrder, type WorkerExit } from './worker-exit.js';

/** What a stop needs of a worker. */
interface Stoppable {
  readonly identity: ProcessIdentity | null;
  readonly mark: string;
  readonly exited: Promise<WorkerExit>;
  send(message: ToWorker): void;
}

/** How a worker ended. */
export interface StopOutcome {
  pid: number;
  /** False when it took SIGKILL, for it or for a process that it had started, or when it crashed meanwhile. */
  graceful: boolean;
  /** How it ended, for people. */
  how: string;
  durationMs: number;
  /** What is still there after SIGKILL: only the kernel, or a right that is missing, can cause it. */
  remaining: readonly ProcessIdentity[];
  /** `remaining` for people, or why nobody can tell; null when everything is gone. */
  error: string | null;
}

/** After SIGKILL a process is gone as soon as it leaves the kernel; longer than this means it hangs in there (ms). */
const killPatienceMs = 3_000;
const pollMs = 10;

/**
 * The stop of one worker: IPC stop and SIGTERM → wait for its exit → SIGKILL for its whole family at the deadline →
 * verify in the process table that every one of them is gone. Nothing that the worker did not start is signalled.
 *
 * Invariant: there is one deadline, and whoever asks later can only bring it nearer.
 */
export class WorkerStop {
  readonly outcome: Promise<StopOutcome>;
  readonly #deadline = new AbortController();
  #deadlineAt = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;

  /** @param timeoutMs until SIGKILL; 0 sends nothing else */
  constructor(worker: Stoppable, timeoutMs: number) {
    this.shorten(timeoutMs);
    this.outcome = stop(worker, this.#deadline.signal).finally(() => clearTimeout(this.#timer));
  }

  /** @param timeoutMs from now */
  shorten(timeoutMs: number): void {
    const at = performance.now() + timeoutMs;
    if (at >= this.#deadlineAt) return;
    this.#deadlineAt = at;
    clearTimeout(this.#timer);
    if (timeoutMs <= 0) this.#deadline.abort();
    else this.#timer = setTimeout(() => this.#deadline.abort(), timeoutMs);
  }
}

async function stop(worker: Stoppable, deadline: AbortSignal): Promise<StopOutcome> {
  const startedAt = performance.now();
  const { identity } = worker;
  if (identity === null) {
    await worker.exited;
    return { pid: 0, graceful: true, how: 'never ran', durationMs: 0, remaining: [], error: null };
  }
  // Taken before anything dies: a child whose parent exits first is no descendant any more.
  const known = familyOf(identity, worker.mark).catch(() => []);
  let exit: WorkerExit | null = null;
  if (!deadline.aborted) {
    worker.send({ type: 'stop' });
    signalProcess(identity, 'SIGTERM');
    exit = await unlessAborted(worker.exited, deadline).catch(() => null);
  }
  if (exit === null) await killTree(identity);
  const { killed, remaining, unseen } = await killFamily(worker, identity, await known);
  return {
    pid: identity.pid,
    graceful: exit !== null && isInOrder(exit) && killed === 0,
    how: describeStop(exit, killed),
    durationMs: Math.round(performance.now() - startedAt),
    remaining,
    error:
      remaining.length === 0
        ? unseen
        : `still alive after SIGKILL: ${remaining.map(({ pid }) => pid).join(', ')}`,
  };
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
  worker: Stoppable,
  identity: ProcessIdentity,
  known: readonly ProcessIdentity[],
): Promise<{ killed: number; remaining: ProcessIdentity[]; unseen: string | null }> {
  const giveUpAt = performance.now() + killPatienceMs;
  const family = new Map(known.map((member) => [member.pid, member]));
  const killed = new Set<number>();
  for (;;) {
    let unseen: string | null = null;
    try {
      for (const member of await familyOf(identity, worker.mark)) family.set(member.pid, member);
    } catch (error) {
      unseen = `what it had started could not be looked for: ${messageOf(error)}`;
    }
    const alive = [identity, ...family.values()].filter(isAlive);
    const isOver = (alive.length === 0 && unseen === null) || performance.now() > giveUpAt;
    if (isOver) return { killed: killed.size, remaining: alive, unseen };
    for (const member of alive) if (signalProcess(member, 'SIGKILL')) killed.add(member.pid);
    await sleep(pollMs);
  }
}
