import { ChildProcess, execFile, fork, type ForkOptions } from 'node:child_process';
import { giveWay } from '../../base/give-way.js';
import type { WorkerKind } from '../../base/ipc.js';
import { packagePath } from '../../base/package.js';
import { workerMark } from './process-table.js';

export const workerProgram = packagePath('dist', 'worker.js');

/** How every worker of one supervisor is started. */
export interface Launcher {
  /** The JavaScript file that Node runs. */
  program: string;
  /** Has the kernel kill a worker with its supervisor; null where there is no such program. */
  parentDeath: ParentDeath | null;
  /** Beyond so much a worker is replaced; its JavaScript heap alone may not grow beyond it, either. */
  memoryMaxBytes: number;
  /** Goes into the command line; tells a later supervisor whose child this was. */
  instance: string;
}

interface ParentDeath {
  command: string;
  args: readonly string[];
}

/**
 * setpriv (util-linux) sets PR_SET_PDEATHSIG and becomes the worker: the kernel kills it in the instant in which the
 * supervisor dies, also while it is stopped or busy in a long synchronous step, which no handler of its own
 * could do.
 */
const setpriv: ParentDeath = { command: 'setpriv', args: ['--pdeathsig', 'SIGKILL', '--'] };

/** Whether this machine has a setpriv that knows --pdeathsig (util-linux 2.33, 2018). */
export async function findParentDeath(): Promise<ParentDeath | null> {
  return await new Promise((resolve) => {
    execFile(setpriv.command, [...setpriv.args, 'true'], (error) => resolve(error === null ? setpriv : null));
  });
}

/** Nobody waits for these: whoever starts, saves a file, indexes or asks goes first. */
const niceness: Partial<Record<WorkerKind, number>> = { vectorization: 10 };

/**
 * One that cannot be started has no pid, and says why in its `error` event.
 * @param mark unique for this process; its descendants inherit it
 */
export function launch(launcher: Launcher, kind: WorkerKind, mark: string): ChildProcess {
  const { program, parentDeath, memoryMaxBytes, instance } = launcher;
  const nodeFlags = [`--max-old-space-size=${Math.ceil(memoryMaxBytes / (1024 * 1024))}`];
  const args = [kind, `--instance=${instance}`];
  const worker = forkOrFail(program, args, {
    // A process group of its own: Ctrl-C reaches the supervisor only, which then stops its workers in order.
    detached: true,
    execPath: parentDeath?.command ?? process.execPath,
    execArgv: parentDeath === null ? nodeFlags : [...parentDeath.args, process.execPath, ...nodeFlags],
    env: workerEnvironment(process.env, mark),
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  const givesWay = niceness[kind];
  // It has one thread yet.
  if (givesWay !== undefined && worker.pid !== undefined) giveWay(givesWay, worker.pid);
  return worker;
}

/** Node tells of EMFILE and EAGAIN by the event, but throws ENOMEM and others. */
function forkOrFail(program: string, args: string[], options: ForkOptions): ChildProcess {
  try {
    return fork(program, args, options);
  } catch (error) {
    const unborn = new ChildProcess();
    process.nextTick(() => unborn.emit('error', error));
    return unborn;
  }
}

/**
 * For glibc's malloc, unless somebody has set it: large blocks are given back when they are freed, and threads share two pools.
 * Otherwise a worker keeps, after a first index, some 70 MB that it does not use.
 */
const mallocLimits = {
  MALLOC_ARENA_MAX: '2',
  MALLOC_MMAP_THRESHOLD_: '262144',
  MALLOC_TRIM_THRESHOLD_: '1048576',
};

/** What systemd handed to the supervisor is not the workers' to use. */
function workerEnvironment(env: NodeJS.ProcessEnv, mark: string): NodeJS.ProcessEnv {
  const scrubbed = Object.entries(env).filter(
    ([name]) => !/^(LISTEN_|WATCHDOG_|NOTIFY_SOCKET$|NODE_OPTIONS$|NODE_CHANNEL)/.test(name),
  );
  return { ...mallocLimits, ...Object.fromEntries(scrubbed), [workerMark]: mark };
}
