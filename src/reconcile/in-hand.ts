/**
 * Which contents a process has in hand while it parses, in a file that outlives the process: what kills it (memory,
 * a hang) leaves no other trace of which file it was, and the next process would take the same file and die again.
 *
 * `<state directory>/in-hand/<pid>.<start time>.<pid>.<start time>`, one for each process that parses, named by it and by the
 * supervisor that started it, has a slot of 64 bytes for each content
 * that is in hand at once: its SHA-256 in hexadecimal digits, or as many spaces. It is written in place and not synced: it
 * has to survive the process, not the machine.
 *
 * Nothing is blamed for a death together with the supervisor (a kill -9, a power cut, a restart of the machine): no content
 * kills that one.
 *
 * A death may be blamed on the innocent that were in hand together with the guilty one. So whatever a process has died with
 * is parsed alone: the second death is the guilty one's, and the others are forgiven.
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

/** One death may be anybody's fault: somebody's kill -9. A second one with the same content is not by chance. */
const deathsMax = 2;

const slotBytes = 64;
/** Written at the beginning: as many as an ExtractorPool has jobs in flight, on most machines. */
const slotsAtFirst = 64;
const nothing = ' '.repeat(slotBytes);
const slotPattern = /.{64}/gsu;
const hashPattern = /^[0-9a-f]{64}$/u;
const namePattern = /^(?<pid>\d+)\.(?<startTime>\d+)(?:\.(?<parentPid>\d+)\.(?<parentStartTime>\d+))?$/u;

export class InHand {
  readonly #index: IndexDatabase;
  readonly #path: string;
  /** Of what is parsed alone. */
  readonly #serial = new Serial();
  /** Ends when what is parsed alone has ended. */
  #alone: Promise<void> | null = null;
  readonly #held = new Set<Promise<unknown>>();
  /** Slots that are in use, by number. */
  readonly #taken: boolean[] = [];
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
    const inHand = new InHand(index, join(folder, `${nameOf(process.pid)}.${nameOf(process.ppid)}`));
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      for (const name of readdirSync(folder)) {
        const left = leftBy(name);
        if (left !== null) await count(index, join(folder, name), left.isBlamed, now);
      }
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

  /**
   * Parses by `work` while the content is in hand. One that a process has died with waits until nothing else is in hand, and
   * others wait for it; where it gets through in peace it is forgiven.
   */
  async hold<T>(hash: string, work: () => Promise<T>): Promise<T> {
    if (deathsOf(this.#index, hash) > 0) return await this.#serial.run(() => this.#holdAlone(hash, work));
    while (this.#alone !== null) await this.#alone;
    return await this.#during(hash, work);
  }

  async #holdAlone<T>(hash: string, work: () => Promise<T>): Promise<T> {
    const end = new AbortController();
    this.#alone = new Promise((resolve) => end.signal.addEventListener('abort', () => resolve()));
    try {
      await Promise.allSettled(this.#held);
      const result = await this.#during(hash, work);
      await this.#index.write(() => forgive(this.#index, hash));
      return result;
    } finally {
      this.#alone = null;
      end.abort();
    }
  }

  close(): void {
    if (this.#fd === null) return;
    closeSync(this.#fd);
    rmSync(this.#path, { force: true });
    this.#fd = null;
  }

  async #during<T>(hash: string, work: () => Promise<T>): Promise<T> {
    const slot = this.#takeSlot();
    this.#write(hash, slot);
    const held = work();
    this.#held.add(held);
    try {
      return await held;
    } finally {
      this.#held.delete(held);
      this.#write(nothing, slot);
      this.#taken[slot] = false;
    }
  }

  #takeSlot(): number {
    const free = this.#taken.indexOf(false);
    const slot = free === -1 ? this.#taken.length : free;
    this.#taken[slot] = true;
    return slot;
  }

  /** The room is taken here, so that a full disk is not met between two files: what follows is written over it. */
  #begin(): void {
    this.#fd = openSync(this.#path, 'w', 0o600);
    this.#write(nothing.repeat(slotsAtFirst), 0);
  }

  #write(text: string, slot: number): void {
    if (this.#fd !== null) writeSync(this.#fd, text, slot * slotBytes);
  }
}

function nameOf(pid: number): string {
  return `${pid}.${identify(pid)?.startTime ?? '0'}`;
}

/** Null for what belongs to a process that lives, or to none. */
function leftBy(name: string): { isBlamed: boolean } | null {
  const groups = namePattern.exec(name)?.groups;
  if (groups === undefined) return null;
  const { pid, startTime = '', parentPid, parentStartTime = '' } = groups;
  if (isAlive({ pid: Number(pid), startTime })) return null;
  const hasSupervisor = parentPid !== undefined;
  return { isBlamed: hasSupervisor && isAlive({ pid: Number(parentPid), startTime: parentStartTime }) };
}

/** In one transaction, so that of two processes that start together one counts. */
async function count(index: IndexDatabase, path: string, isBlamed: boolean, now: number): Promise<void> {
  await index.write(() => {
    let slots: string;
    try {
      slots = readFileSync(path, 'latin1');
      unlinkSync(path);
    } catch (error) {
      return ignoreErrno('ENOENT')(error);
    }
    for (const hash of new Set(slots.match(slotPattern)))
      if (isBlamed && hashPattern.test(hash)) countDeath(index, hash, now);
    return undefined;
  });
}
