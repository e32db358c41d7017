import { closeSync, fdatasyncSync, openSync } from 'node:fs';
import { constants } from 'node:os';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import Database from 'better-sqlite3';
import { messageOf } from '../base/errors.js';
import { giveWay } from '../base/give-way.js';
import { packagePath } from '../base/package.js';
import { unlessAborted } from '../base/waiting.js';
import { IndexDatabase } from './index-database.js';
import { isCorrupt } from './sqlite-errors.js';
import { checkContents, checkStructure } from './maintenance.js';
import type { DamagedContent } from './scrub.js';

/** Pages (4 KiB) that a copy writes before it makes them durable. */
const copiedPages = 1_000;

/**
 * Checks and copies in a thread of their own, over a connection that cannot write: they read the whole file, and nobody
 * waits.
 */

interface Task {
  path: string;
  part: 'quick' | 'structure' | 'contents';
  /** Checked is a copy that is made of it first. */
  copyTo?: string;
  /** Others are at work, and go first. */
  givesWay: boolean;
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
  if (!isDeep) return await inThread({ path, part: 'quick', givesWay: true }, signal);
  // One compares indexes with their rows, the other renders: neither needs what the other reads.
  const [structure, contents] = await Promise.all([
    inThread({ path, part: 'structure', givesWay: true }, signal),
    inThread({ path, part: 'contents', givesWay: true }, signal),
  ]);
  return {
    problems: [...new Set([...structure.problems, ...contents.problems])],
    damaged: contents.damaged,
    isSound: structure.isSound && contents.isSound,
    contentsChecked: contents.contentsChecked,
  };
}

/**
 * Copies one state of an index page by page, and checks the copy. It needs no log then, so that nothing has to be written
 * beside it to read it.
 * @throws as checkFile
 */
export async function copyAndCheck(
  path: string,
  to: string,
  givesWay: boolean,
  signal?: AbortSignal,
): Promise<CheckResult> {
  return await inThread({ path, part: 'quick', copyTo: to, givesWay }, signal);
}

async function inThread(task: Task, signal?: AbortSignal): Promise<CheckResult> {
  const thread = new Worker(packagePath('dist', 'store', 'check-thread.js'), { workerData: task });
  const result = new Promise<CheckResult>((resolve, reject) => {
    thread.once('message', (said: CheckResult | Failure) =>
      'failed' in said ? reject(errorOf(said)) : resolve(said),
    );
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

async function check({ path, part, copyTo, givesWay }: Task): Promise<CheckResult> {
  if (givesWay) giveWay(constants.priority.PRIORITY_BELOW_NORMAL);
  if (copyTo !== undefined) await copyStill(path, copyTo, givesWay);
  try {
    const index = IndexDatabase.openReadOnly(copyTo ?? path);
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

/** An error loses its class on the way out of a thread, and SQLite's are known by theirs. */
interface Failure {
  failed: string;
  code: string;
}

function failureOf(error: unknown): Failure {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return { failed: messageOf(error), code };
}

function errorOf({ failed, code }: Failure): Error {
  if (code.startsWith('SQLITE_')) return new Database.SqliteError(failed, code);
  return Object.assign(new Error(failed), code === '' ? {} : { code });
}

/** Without a read transaction SQLite begins anew after each commit of another process. */
async function copyStill(from: string, to: string, givesWay: boolean): Promise<void> {
  const source = IndexDatabase.openReadOnly(from);
  try {
    source.db.exec('BEGIN');
    source.sql('SELECT count(*) FROM sqlite_schema').get();
    let startedAt = performance.now();
    await source.db.backup(to, {
      progress: () => {
        syncNow(to);
        // As long again the disk is everybody else's: their commits wait for nothing that is written here.
        if (givesWay) pause(performance.now() - startedAt);
        startedAt = performance.now();
        return copiedPages;
      },
    });
  } finally {
    source.close();
  }
  closeCopy(to);
}

/** This thread has nothing else to do. */
function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** What is written bit by bit keeps no commit of another process waiting for all of it. */
function syncNow(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fdatasyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Read alone it needs no log then. */
export function closeCopy(path: string): void {
  const db = new Database(path);
  try {
    db.pragma('journal_mode = DELETE');
  } catch (error) {
    // A copy of what is damaged stays what it is.
    if (!isCorrupt(error)) throw error;
  } finally {
    db.close();
  }
}

if (!isMainThread && (workerData as Partial<Task> | null)?.part !== undefined)
  parentPort?.postMessage(await check(workerData as Task).catch(failureOf));
