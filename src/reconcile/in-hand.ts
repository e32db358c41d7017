/**
 * Which content a process has in hand while it parses, in a file that outlives the process: what kills it (memory,
 * a hang) leaves no other trace of which file it was, and the next process would take the same file and die again.
 *
 * `<state directory>/in-hand/<pid>.<start time>`, one for each process that parses, holds the SHA-256 of the content
 * in hand as 64 hexadecimal digits, or as many spaces. It is written in place and not synced: it has to survive the
 * process, not the machine.
 */
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { ignoreErrno } from '../base/errors.js';
import { identify, isAlive } from '../base/process-identity.js';
import { Serial } from '../base/serial.js';
import { type IndexDatabase } from '../store/index-database.js';
import { isDiskFull } from '../store/sqlite-errors.js';
import { countDeath, deathsOf, forgive } from '../store/suspects.js';

/** One death may be anybody's fault: a kill -9, a power cut. A second one with the same content is not by chance. */
const deathsMax = 2;

const nothing = ' '.repeat(64);
const hashPattern = /^[0-9a-f]{64}$/u;
const namePattern = /^(?<pid>\d+)\.(?<startTime>\d+)$/u;

export class InHand {
  readonly #index: IndexDatabase;
  readonly #path: string;
  readonly #serial = new Serial();
  /** Null where there was no room for the file, and once it is closed. */
  #fd: number | null = null;

  private constructor(index: IndexDatabase, path: string) {
    this.#index = index;
    this.#path = path;
  }

  /**
   * Counts what processes that are gone had in hand, and begins this process's own file. On a full disk it goes
   * without: what is read of the index must not wait for room.
   */
  static async open(index: IndexDatabase, stateDir: string, now: number): Promise<InHand> {
    const folder = join(stateDir, 'in-hand');
    const { startTime } = identify(process.pid) ?? { startTime: '0' };
    const inHand = new InHand(index, join(folder, `${process.pid}.${startTime}`));
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      for (const name of readdirSync(folder)) if (isLeft(name)) await count(index, join(folder, name), now);
      inHand.#begin();
    } catch (error) {
      if (!isDiskFull(error)) throw error;
    }
    return inHand;
  }

  /** True for a content that has killed so often that it is not to be parsed any more. */
  isDeadly(hash: string): boolean {
    return deathsOf(this.#index, hash) >= deathsMax;
  }

  /** Parses by `work`, one at a time; what gets through in peace is forgiven. */
  async hold<T>(hash: string, work: () => Promise<T>): Promise<T> {
    return await this.#serial.run(async () => {
      const result = await this.#during(hash, work);
      if (deathsOf(this.#index, hash) > 0) await this.#index.write(() => forgive(this.#index, hash));
      return result;
    });
  }

  close(): void {
    if (this.#fd === null) return;
    closeSync(this.#fd);
    rmSync(this.#path, { force: true });
    this.#fd = null;
  }

  async #during<T>(hash: string, work: () => Promise<T>): Promise<T> {
    this.#write(hash);
    try {
      return await work();
    } finally {
      this.#write(nothing);
    }
  }

  /** The room is taken here, so that a full disk is not met between two files: what follows is written over it. */
  #begin(): void {
    this.#fd = openSync(this.#path, 'w', 0o600);
    this.#write(nothing);
  }

  #write(text: string): void {
    if (this.#fd !== null) writeSync(this.#fd, text, 0);
  }
}

function isLeft(name: string): boolean {
  const { pid, startTime = '' } = namePattern.exec(name)?.groups ?? {};
  return pid !== undefined && !isAlive({ pid: Number(pid), startTime });
}

/** In one transaction, so that of two processes that start together one counts. */
async function count(index: IndexDatabase, path: string, now: number): Promise<void> {
  await index.write(() => {
    let hash: string;
    try {
      hash = readFileSync(path, 'latin1');
      unlinkSync(path);
    } catch (error) {
      return ignoreErrno('ENOENT')(error);
    }
    if (hashPattern.test(hash)) countDeath(index, hash, now);
    return undefined;
  });
}
