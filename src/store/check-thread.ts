import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { messageOf } from '../base/errors.js';
import { packagePath } from '../base/package.js';
import { unlessAborted } from '../base/waiting.js';
import { IndexDatabase, isCorrupt } from './index-database.js';
import { checkContents, checkStructure } from './maintenance.js';
import type { DamagedContent } from './scrub.js';

/** Checks in a thread of their own, over a connection that cannot write: they read the whole file, and nobody waits. */

interface Task {
  path: string;
  part: 'quick' | 'structure' | 'contents';
}

export interface CheckResult {
  /** Of the structure and of contents, in words. */
  problems: string[];
  /** Contents that cannot be given out; nothing is known of them without a deep check. */
  damaged: DamagedContent[];
  /** The structure is sound, whatever contents are. */
  isSound: boolean;
  /** Contents that were rendered and hashed; 0 where that was not asked for. */
  contentsChecked: number;
}

/**
 * @param isDeep renders and hashes every content, too
 * @throws what keeps it from being looked at (not damage: that is its result), and the signal's reason
 */
export async function checkFile(path: string, isDeep: boolean, signal?: AbortSignal): Promise<CheckResult> {
  if (!isDeep) return await inThread({ path, part: 'quick' }, signal);
  // One compares indexes with their rows, the other renders: neither needs what the other reads.
  const [structure, contents] = await Promise.all([
    inThread({ path, part: 'structure' }, signal),
    inThread({ path, part: 'contents' }, signal),
  ]);
  return {
    problems: [...new Set([...structure.problems, ...contents.problems])],
    damaged: contents.damaged,
    isSound: structure.isSound && contents.isSound,
    contentsChecked: contents.contentsChecked,
  };
}

async function inThread(task: Task, signal?: AbortSignal): Promise<CheckResult> {
  const thread = new Worker(packagePath('dist', 'store', 'check-thread.js'), { workerData: task });
  const result = new Promise<CheckResult>((resolve, reject) => {
    thread.once('message', resolve);
    thread.once('error', reject);
    thread.once('exit', () => reject(new Error('the check ended without a result')));
  });
  try {
    return await (signal === undefined ? result : unlessAborted(result, signal));
  } finally {
    result.catch(() => undefined);
    void thread.terminate();
  }
}

async function check({ path, part }: Task): Promise<CheckResult> {
  try {
    const index = IndexDatabase.openReadOnly(path);
    try {
      if (part !== 'contents') {
        const problems = checkStructure(index, part === 'structure');
        return { problems, damaged: [], isSound: problems.length === 0, contentsChecked: 0 };
      }
      const { problems, damaged, checked } = await checkContents(index);
      return { problems, damaged, isSound: true, contentsChecked: checked };
    } finally {
      index.close();
    }
  } catch (error) {
    if (
      !isCorrupt(error) &&
      !(error instanceof Error && 'code' in error && error.code === 'DATABASE_CORRUPT')
    )
      throw error;
    return { problems: [messageOf(error)], damaged: [], isSound: false, contentsChecked: 0 };
  }
}

if (!isMainThread && (workerData as Partial<Task> | null)?.part !== undefined)
  parentPort?.postMessage(await check(workerData as Task));
