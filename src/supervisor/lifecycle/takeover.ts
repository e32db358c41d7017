import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { CodekeepError, messageOf } from '../../base/errors.js';
import { sleep } from '../../base/waiting.js';
import { identify, isAlive, type ProcessIdentity } from '../../base/process-identity.js';
import { markedWith, signalProcess, withArgument } from './process-table.js';

/** What a supervisor writes down of its workers, for one that comes after it was killed. */
interface WorkerRecord extends ProcessIdentity {
  mark: string;
}

interface RecordFile {
  instance: string;
  /** Who wrote it; an older version did not say so. */
  supervisor?: ProcessIdentity | null;
  workers: WorkerRecord[];
}

/** A worker whose supervisor died ends by itself within about a second; then it is ended. */
const orphanPatienceMs = 1_500;
const pollMs = 20;
const killPatienceMs = 3_000;

/**
 * The record of running workers in the state directory. Rewritten whole, by rename. On a full disk the older
 * record stays, which still has the instance that all workers carry: a worker must not fail for want of a note.
 */
export class WorkerRecords {
  readonly #path: string;
  readonly #instance: string;
  readonly #supervisor = identify(process.pid);
  readonly #workers = new Map<number, WorkerRecord>();

  readonly #onProblem: (message: string) => void;

  constructor(path: string, instance: string, onProblem: (message: string) => void) {
    this.#path = path;
    this.#instance = instance;
    this.#onProblem = onProblem;
  }

  add(identity: ProcessIdentity, mark: string): void {
    for (const [pid, known] of this.#workers) if (!isAlive(known)) this.#workers.delete(pid);
    this.#workers.set(identity.pid, { ...identity, mark });
    this.#write();
  }

  /** Every worker has ended, but for these. */
  retain(left: readonly { identity: ProcessIdentity | null; mark: string }[]): void {
    this.#workers.clear();
    for (const { identity, mark } of left)
      if (identity !== null) this.#workers.set(identity.pid, { ...identity, mark });
    this.#write();
  }

  #write(): void {
    const content: RecordFile = {
      instance: this.#instance,
      supervisor: this.#supervisor,
      workers: [...this.#workers.values()],
    };
    try {
      writeFileSync(`${this.#path}.new`, JSON.stringify(content), { mode: 0o600 });
      renameSync(`${this.#path}.new`, this.#path);
    } catch (error) {
      this.#onProblem(`workers.json cannot be written: ${messageOf(error)}`);
    }
  }
}

/**
 * Somebody removed the lock of a supervisor that runs: its workers are not left behind.
 * @throws CodekeepError INDEX_UNAVAILABLE
 */
export function assertNoneRuns(path: string): void {
  const record = readRecord(path);
  const supervisor = record?.workers.length === 0 ? null : (record?.supervisor ?? null);
  if (supervisor === null) return;
  if (supervisor.pid === process.pid || !isAlive(supervisor)) return;
  throw new CodekeepError(
    'INDEX_UNAVAILABLE',
    `${dirname(path)} is used by another codekeep supervisor (pid ${supervisor.pid}), whose lock somebody has removed.`,
    'Use the one that runs, stop it first, or give another --state-dir.',
  );
}

/**
 * Ends what an earlier supervisor of this state directory left behind: its workers (recorded pid and start
 * time, with its instance token in their command line) and whatever carries their marks. Call it while
 * holding the state directory's lock, before the first worker is started.
 * @returns what had to be ended, for the log
 */
export async function endLeftovers(path: string): Promise<ProcessIdentity[]> {
  const record = readRecord(path);
  if (record === null || record.workers.length === 0) return [];
  const giveUpAt = performance.now() + orphanPatienceMs;
  while (record.workers.some(isAlive) && performance.now() < giveUpAt) await sleep(pollMs);
  const left = await leftoversOf(record);
  const killUntil = performance.now() + killPatienceMs;
  for (let alive = left; alive.length > 0; alive = alive.filter(isAlive)) {
    for (const process of alive) signalProcess(process, 'SIGKILL');
    if (performance.now() > killUntil) {
      throw new Error(
        `processes of an earlier supervisor cannot be ended: ${alive.map(({ pid }) => pid).join(', ')}`,
      );
    }
    await sleep(pollMs);
  }
  return left;
}

async function leftoversOf(record: RecordFile): Promise<ProcessIdentity[]> {
  const workers = (await withArgument(`--instance=${record.instance}`)).filter(
    ({ pid }) => pid !== process.pid,
  );
  const families = await Promise.all(record.workers.map(({ mark }) => markedWith(mark)));
  const found = new Map([...workers, ...families.flat()].map((identity) => [identity.pid, identity]));
  return [...found.values()];
}

function readRecord(path: string): RecordFile | null {
  try {
    const record = JSON.parse(readFileSync(path, 'utf8')) as RecordFile;
    return typeof record.instance === 'string' && Array.isArray(record.workers) ? record : null;
  } catch {
    // No earlier supervisor, or one that was cut off while it wrote: its workers end by themselves.
    return null;
  }
}
