import { statSync } from 'node:fs';
import { readdir, rename, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type winston from 'winston';
import { Change } from '../../base/change.js';
import { ignoreErrno, messageOf } from '../../base/errors.js';
import { isJournal, journalLines } from '../../base/journald.js';
import { makeFolders } from '../../base/make-folders.js';
import type { LogLevel } from '../../base/ipc.js';
import { type LogType, logTypes } from '../../contract/logs.js';
import { Serial } from '../../base/serial.js';
import { within } from '../../base/waiting.js';

/** A file that has become so large (bytes) is numbered on, with so many files before it. */
const fileBytesMax = 10 * 1024 * 1024;
const backupsMax = 4;
/** A longer entry is cut: a defect must not fill the disk with one line. */
const entryCharsMax = 16_384;
/** Time, level and punctuation of an entry. */
const entryOverheadChars = 70;
/** How long the end of the daemon waits for the last entries to be written (ms). */
const closePatienceMs = 2_000;

/** From the most to the least important. */
const levels: readonly LogLevel[] = ['error', 'warn', 'info', 'debug'];

export interface LogActivity {
  /** Milliseconds since 1970. */
  lastEntryAt: number | null;
  errors: number;
  warnings: number;
}

/** A file that is being written. */
interface OpenLog {
  logger: winston.Logger;
  transport: winston.transports.FileTransportInstance;
  /** Size of the file, with what is on its way to it (bytes; characters of the entries). */
  size: number;
  /** Entries that winston was given and has not passed on to the file. */
  unwritten: number;
  change: Change;
}

export interface LogFile {
  path: string;
  type: LogType;
  size: number;
  /** Milliseconds since 1970. */
  modified: number;
}

/**
 * The log files of the daemon and its workers, one entry a line, as JSON. Only the supervisor writes them:
 * several processes on one rotated file lose lines. `TYPE.log` is the newest, `TYPE1.log` the one before.
 * Under systemd the journal gets what an administrator looks for there: warnings, errors, and the daemon's own words.
 */
export class LogFiles {
  readonly folder: string;
  readonly #level: LogLevel;
  readonly #fileBytesMax: number;
  readonly #loggers = new Map<LogType, OpenLog>();
  readonly #activity = new Map<LogType, LogActivity>();
  readonly #rotations = new Serial();
  readonly #isJournaled = isJournal(process.env, 2);
  #winston: typeof winston | null = null;
  /** Entries of logs that are not to be written just now: before `open`, and while their files are numbered on. */
  readonly #held = new Map<LogType, winston.LogEntry[]>();

  /** @param fileBytes the size at which a file is numbered on; lower in tests */
  constructor(folder: string, level: LogLevel, fileBytes = fileBytesMax) {
    this.folder = folder;
    this.#level = level;
    this.#fileBytesMax = fileBytes;
    makeFolders(folder, 'The logs need it: see that it can be made.');
    for (const type of logTypes) this.#held.set(type, []);
  }

  write(type: LogType, level: LogLevel, message: string): void {
    const activity = this.activityOf(type);
    activity.lastEntryAt = Date.now();
    if (level === 'error') activity.errors += 1;
    if (level === 'warn') activity.warnings += 1;
    if (!isAtLeast(level, this.#level)) return;
    const cut = message.length > entryCharsMax ? `${message.slice(0, entryCharsMax)}… (cut)` : message;
    const entry = { level, message: cut, timestamp: new Date().toISOString() };
    const held = this.#held.get(type);
    if (held !== undefined || this.#winston === null) held?.push(entry);
    else this.#log(type, this.#winston, entry);
    if (this.#isJournaled && isAtLeast(level, type === 'supervisor' ? 'info' : 'warn'))
      process.stderr.write(journalLines(level, `${type}: ${cut}`));
  }

  /**
   * Loads what writes the files; entries are kept until then. Apart from the constructor, because loading takes
   * longer than the rest of the daemon's start, and nobody waits for a log.
   */
  async open(): Promise<void> {
    const { default: loaded } = await import('winston');
    this.#winston = loaded;
    for (const type of logTypes) this.#release(type);
  }

  /** Writes what was held back, and from now on what comes. */
  #release(type: LogType): void {
    const held = this.#held.get(type) ?? [];
    this.#held.delete(type);
    if (this.#winston === null) return;
    for (const entry of held) this.#log(type, this.#winston, entry);
  }

  activityOf(type: LogType): LogActivity {
    let activity = this.#activity.get(type);
    if (activity === undefined) {
      activity = { lastEntryAt: null, errors: 0, warnings: 0 };
      this.#activity.set(type, activity);
    }
    return activity;
  }

  /** The files that exist, newest first. */
  async list(type: LogType | undefined): Promise<LogFile[]> {
    const files: LogFile[] = [];
    for (const name of await readdir(this.folder)) {
      const owner = typeOf(name);
      if (owner === null || (type !== undefined && owner !== type)) continue;
      const path = join(this.folder, name);
      const stats = await stat(path).catch(() => null);
      if (stats !== null) files.push({ path, type: owner, size: stats.size, modified: stats.mtimeMs });
    }
    // The kernel's clock for files has steps of some milliseconds.
    return files.sort((a, b) => b.modified - a.modified || numberOf(a.path) - numberOf(b.path));
  }

  /**
   * Begins a new file and numbers the old ones on; more than `backups` of them are removed. What is written
   * meanwhile is held until the name is free: a file that is open for writing would take it along.
   * @returns the files that were numbered on; none where nothing was written since the last time
   */
  async rotate(type: LogType, backups: number): Promise<string[]> {
    return await this.#rotations.run(async () => {
      if (this.#winston === null) await this.open();
      this.#held.set(type, []);
      try {
        await this.#closeLogger(type);
        return await this.#numberOn(type, backups);
      } finally {
        this.#release(type);
      }
    });
  }

  async #numberOn(type: LogType, backups: number): Promise<string[]> {
    const names = (number: number): string => join(this.folder, `${type}${number === 0 ? '' : number}.log`);
    const newest = await stat(names(0)).catch(ignoreErrno('ENOENT'));
    if (newest === undefined || newest.size === 0) return [];
    await this.#removeBeyond(type, backups - 1);
    const moved: string[] = [];
    for (let number = backups - 1; number >= 0; number -= 1) {
      const isMoved = await rename(names(number), names(number + 1)).then(() => true, ignoreErrno('ENOENT'));
      if (isMoved === true) moved.unshift(names(number + 1));
    }
    return moved;
  }

  async #removeBeyond(type: LogType, highest: number): Promise<void> {
    for (const file of await this.list(type)) {
      if (numberOf(file.path) > highest) await unlink(file.path).catch(ignoreErrno('ENOENT'));
    }
  }

  /** Waits until everything is on disk; write nothing afterwards. */
  async close(): Promise<void> {
    const isSomethingHeld = [...this.#held.values()].some((entries) => entries.length > 0);
    if (this.#winston === null && isSomethingHeld) await this.open();
    // A rotation that is under way writes what it holds when it has ended.
    await this.#rotations.run(async () => undefined);
    await Promise.all([...this.#loggers.keys()].map((type) => this.#closeLogger(type)));
  }

  #log(type: LogType, loaded: typeof winston, entry: winston.LogEntry): void {
    let log = this.#loggers.get(type);
    if (log === undefined) {
      log = this.#openLog(type, loaded);
      this.#loggers.set(type, log);
    }
    log.unwritten += 1;
    log.size += entry.message.length + entryOverheadChars;
    log.logger.log(entry);
    if (log.size < this.#fileBytesMax) return;
    // Once for this file. Winston's own rotation by size loses what is on its way.
    log.size = 0;
    void this.#rotateBySize(type);
  }

  async #rotateBySize(type: LogType): Promise<void> {
    await this.rotate(type, backupsMax).catch((error: unknown) => sayOnStderr(error));
  }

  #openLog(type: LogType, loaded: typeof winston): OpenLog {
    const filename = join(this.folder, `${type}.log`);
    const transport = new loaded.transports.File({ filename });
    const logger = loaded.createLogger({
      level: this.#level,
      format: loaded.format.json(),
      transports: [transport],
    });
    // A full disk must not take the daemon down; what cannot be logged is said where systemd can hear it.
    logger.on('error', sayOnStderr);
    const size = statSync(filename, { throwIfNoEntry: false })?.size ?? 0;
    const log: OpenLog = { logger, transport, size, unwritten: 0, change: new Change() };
    transport.on('logged', () => {
      log.unwritten -= 1;
      log.change.notify();
    });
    return log;
  }

  async #closeLogger(type: LogType): Promise<void> {
    const log = this.#loggers.get(type);
    this.#loggers.delete(type);
    // On a full disk the end never comes.
    if (log !== undefined) await within(closePatienceMs, endOf(log));
  }
}

/** What is ended with entries still on their way inside of winston loses them ("write after end"). */
async function endOf(log: OpenLog): Promise<void> {
  const giveUpAt = performance.now() + closePatienceMs;
  while (log.unwritten > 0 && performance.now() < giveUpAt) await log.change.next(closePatienceMs);
  await new Promise<void>((resolve) => {
    log.transport.once('finish', () => resolve());
    log.logger.end();
  });
}

function sayOnStderr(error: unknown): void {
  process.stderr.write(`the log cannot be written: ${messageOf(error)}\n`);
}

function isAtLeast(level: LogLevel, least: LogLevel): boolean {
  return levels.indexOf(level) <= levels.indexOf(least);
}

/** 0 for the file that is written, 1 for the one before, and so on. */
function numberOf(path: string): number {
  return Number(/(\d+)\.log$/.exec(path)?.[1] ?? '0');
}

function typeOf(name: string): LogType | null {
  const stem = /^([a-z_]+?)\d*\.log$/.exec(name)?.[1];
  return logTypes.find((type) => type === stem) ?? null;
}
