import { mkdirSync } from 'node:fs';
import { readdir, rename, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type winston from 'winston';
import { ignoreErrno, messageOf } from '../../base/errors.js';
import { isJournal, journalLines } from '../../base/journald.js';
import type { LogLevel } from '../../base/ipc.js';
import { type LogType, logTypes } from '../../contract/logs.js';
import { Serial } from '../../base/serial.js';
import { within } from '../../base/waiting.js';

const fileBytesMax = 10 * 1024 * 1024;
const filesMax = 5;
/** A longer entry is cut: one that is larger than a whole file stalls winston's transport. */
const entryCharsMax = 16_384;
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
  readonly #loggers = new Map<LogType, winston.Logger>();
  readonly #activity = new Map<LogType, LogActivity>();
  readonly #rotations = new Serial();
  readonly #isJournaled = isJournal(process.env, 2);
  #winston: typeof winston | null = null;
  /** Entries from before `open`. */
  #early: { type: LogType; entry: winston.LogEntry }[] = [];

  constructor(folder: string, level: LogLevel) {
    this.folder = folder;
    this.#level = level;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  }

  write(type: LogType, level: LogLevel, message: string): void {
    const activity = this.activityOf(type);
    activity.lastEntryAt = Date.now();
    if (level === 'error') activity.errors += 1;
    if (level === 'warn') activity.warnings += 1;
    const cut = message.length > entryCharsMax ? `${message.slice(0, entryCharsMax)}… (cut)` : message;
    const entry = { level, message: cut, timestamp: new Date().toISOString() };
    if (this.#winston === null) this.#early.push({ type, entry });
    else this.#logger(type, this.#winston).log(entry);
    if (this.#isJournaled && this.#isForJournal(type, level))
      process.stderr.write(journalLines(level, `${type}: ${cut}`));
  }

  #isForJournal(type: LogType, level: LogLevel): boolean {
    const least = type === 'supervisor' ? 'info' : 'warn';
    const rank = levels.indexOf(level);
    return rank <= levels.indexOf(least) && rank <= levels.indexOf(this.#level);
  }

  /**
   * Loads what writes the files; entries are kept until then. Apart from the constructor, because loading takes
   * longer than the rest of the daemon's start, and nobody waits for a log.
   */
  async open(): Promise<void> {
    const { default: loaded } = await import('winston');
    this.#winston = loaded;
    for (const { type, entry } of this.#early) this.#logger(type, loaded).log(entry);
    this.#early = [];
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
    return files.sort((a, b) => b.modified - a.modified || (a.path < b.path ? -1 : 1));
  }

  /** Begins a new file and numbers the old ones on; more than `backups` of them are removed. */
  async rotate(type: LogType, backups: number): Promise<string[]> {
    return await this.#rotations.run(async () => {
      await this.#closeLogger(type);
      const names = (number: number): string => join(this.folder, `${type}${number === 0 ? '' : number}.log`);
      const size = await stat(names(0)).then(
        (stats) => stats.size,
        () => 0,
      );
      if (size === 0) return [];
      await this.#removeBeyond(type, backups - 1);
      const moved: string[] = [];
      for (let number = backups - 1; number >= 0; number -= 1) {
        const isMoved = await rename(names(number), names(number + 1)).then(
          () => true,
          ignoreErrno('ENOENT'),
        );
        if (isMoved === true) moved.unshift(names(number + 1));
      }
      return moved;
    });
  }

  async #removeBeyond(type: LogType, highest: number): Promise<void> {
    for (const file of await this.list(type)) {
      const number = Number(/(\d+)\.log$/.exec(file.path)?.[1] ?? '0');
      if (number > highest) await unlink(file.path).catch(ignoreErrno('ENOENT'));
    }
  }

  /** Waits until everything is on disk; write nothing afterwards. */
  async close(): Promise<void> {
    if (this.#early.length > 0) await this.open();
    await Promise.all([...this.#loggers.keys()].map((type) => this.#closeLogger(type)));
  }

  #logger(type: LogType, loaded: typeof winston): winston.Logger {
    let logger = this.#loggers.get(type);
    if (logger === undefined) {
      logger = this.#openLogger(type, loaded);
      this.#loggers.set(type, logger);
    }
    return logger;
  }

  #openLogger(type: LogType, loaded: typeof winston): winston.Logger {
    const transport = new loaded.transports.File({
      filename: join(this.folder, `${type}.log`),
      maxsize: fileBytesMax,
      maxFiles: filesMax,
      tailable: true,
    });
    const logger = loaded.createLogger({
      level: this.#level,
      format: loaded.format.json(),
      transports: [transport],
    });
    // A full disk must not take the daemon down; what cannot be logged is said where systemd can hear it.
    logger.on('error', (error: unknown) =>
      process.stderr.write(`the log cannot be written: ${messageOf(error)}\n`),
    );
    return logger;
  }

  async #closeLogger(type: LogType): Promise<void> {
    const logger = this.#loggers.get(type);
    this.#loggers.delete(type);
    if (logger === undefined) return;
    const [transport] = logger.transports;
    if (transport === undefined) return;
    const finished = new Promise<void>((resolve) => {
      transport.once('finish', () => resolve());
      logger.end();
    });
    // On a full disk the end never comes.
    await within(closePatienceMs, finished);
  }
}

function typeOf(name: string): LogType | null {
  const stem = /^([a-z_]+?)\d*\.log$/.exec(name)?.[1];
  return logTypes.find((type) => type === stem) ?? null;
}
