import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { CodekeepError, errnoOf, messageOf } from '../base/errors.js';
import { Serial } from '../base/serial.js';
import type { Result } from '../contract/index.js';
import { connect, UnreachableError } from '../rpc/client/client.js';

/**
 * Tells systemd how the daemon is, by sd_notify(3). Node has no datagram Unix sockets, so the program systemd-notify
 * sends, for which the unit says NotifyAccess=all. Its waiting form is used, which ends when systemd has taken the
 * message: with --no-block the sender may be gone by then, and systemd drops what it cannot tell whose it is. Of 101
 * messages of an unprivileged user (systemd 252) 32 were lost that way and none with the waiting form, at 8 and 9 ms
 * each.
 */

const program = 'systemd-notify';
/** systemd-notify itself waits 5 s for systemd. */
const sendMaxMs = 8_000;
/** health answers within 10 ms; a supervisor that takes so long is stuck. */
const answerMaxMs = 5_000;
/** How often the status line is looked at where no watchdog asks for more. */
const statusEveryMs = 10_000;
/** systemd recommends half of WATCHDOG_USEC; a third leaves room for one ping that is late. */
const pingsPerWatchdog = 3;

/** With these nobody listens at the path; a supervisor that is stuck gives EAGAIN or does not answer. */
const absentErrnos: ReadonlySet<string> = new Set(['ENOENT', 'ECONNREFUSED', 'ENOTDIR', 'EACCES', 'EPERM']);

type Health = Result<'health'>;

export interface NotifyOptions {
  env: NodeJS.ProcessEnv;
  /** Where the supervisor's own health is asked for. */
  socket: string;
  log: (level: 'error' | 'warn', message: string) => void;
}

/** The notices of a service that systemd started, or null where nobody wants to be told. */
export function serviceNotify(options: NotifyOptions): ServiceNotify | null {
  return options.env['NOTIFY_SOCKET'] === undefined ? null : new ServiceNotify(options);
}

export class ServiceNotify {
  readonly #options: NotifyOptions;
  readonly #watchdogMs: number | null;
  readonly #sending = new Serial();
  #timer: NodeJS.Timeout | null = null;
  /** The look under way. */
  #looking: Promise<void> | null = null;
  /** READY=1 has to go out, and is tried again until systemd has taken it. */
  #isReadyDue = false;
  #isStopping = false;
  /** When the start or the stop under way has taken too long to be anything but stuck; by performance.now(). */
  #stuckAt = Number.POSITIVE_INFINITY;
  #lastStatus = '';
  #isUnheard = false;
  #hasWarned = false;

  constructor(options: NotifyOptions) {
    this.#options = options;
    this.#watchdogMs = watchdogMsOf(options.env);
  }

  /** The start has begun and takes `boundMs` milliseconds at most. */
  starting(boundMs: number): void {
    this.#enter(boundMs, 'starting');
    const everyMs = this.#watchdogMs === null ? statusEveryMs : this.#watchdogMs / pingsPerWatchdog;
    this.#timer = setInterval(() => void this.look(), everyMs);
  }

  /** The daemon is of use; an unfinished repair may still run. */
  ready(): void {
    if (this.#isStopping) return;
    this.#stuckAt = Number.POSITIVE_INFINITY;
    this.#isReadyDue = true;
    // A look that is under way may be past the point where it would have seen it.
    const underWay = this.#looking;
    void (underWay === null ? this.look() : underWay.then(() => this.look()));
  }

  /** The stop has begun and takes `boundMs` milliseconds at most. */
  stopping(boundMs: number): void {
    this.#isStopping = true;
    this.#isReadyDue = false;
    this.#enter(boundMs, 'stopping', 'STOPPING=1');
  }

  /** Resolves when everything that was to be said has been taken. */
  async end(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#looking;
    await this.#sending.run(() => Promise.resolve());
  }

  /**
   * Asks the supervisor for its health over its own socket, and tells systemd. The ping goes out only after an answer, and
   * only while neither start nor stop outlasts its bound: a supervisor that is stuck is killed and started again.
   */
  async look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = null;
    });
    await this.#looking;
  }

  async #look(): Promise<void> {
    if (this.#isUnheard) return;
    const health = await this.#ask();
    if (health === 'silent' || performance.now() > this.#stuckAt) return;
    const notices = this.#watchdogMs === null ? [] : ['WATCHDOG=1'];
    const isReady = this.#isReadyDue;
    if (isReady) notices.push('READY=1');
    const status = this.#isStopping ? 'stopping' : health === 'elsewhere' ? 'running' : statusLine(health);
    if (status !== this.#lastStatus) notices.push(`STATUS=${status}`);
    if (notices.length === 0 || !(await this.#send(notices))) return;
    this.#lastStatus = status;
    if (isReady) this.#isReadyDue = false;
  }

  #enter(boundMs: number, status: string, ...notices: string[]): void {
    this.#stuckAt = performance.now() + boundMs;
    this.#lastStatus = status;
    // Configured timeouts of workers may be longer than what the unit allows; it never gets shorter by this.
    const extension = `EXTEND_TIMEOUT_USEC=${Math.round(boundMs * 1_000)}`;
    void this.#send([...notices, extension, `STATUS=${status}`]);
  }

  /** elsewhere: nobody can connect, which is no sign of being stuck and which no restart would mend. */
  async #ask(): Promise<Health | 'silent' | 'elsewhere'> {
    const { socket } = this.#options;
    try {
      const client = await connect({ socket, timeoutMs: answerMaxMs });
      try {
        return await client.call('health', {}, { timeoutMs: answerMaxMs });
      } finally {
        client.close();
      }
    } catch (error) {
      if (error instanceof UnreachableError && absentErrnos.has(error.errno)) {
        this.#warnOnce(
          `Nobody can reach this supervisor at ${socket}: the socket's file was removed, or the socket unit listens elsewhere ` +
            'than --socket says. Restart the socket unit.',
        );
        return 'elsewhere';
      }
      // All connections are in use, and somebody said so.
      if (error instanceof CodekeepError && error.code === 'LIMIT_EXCEEDED') return 'elsewhere';
      return 'silent';
    }
  }

  /** Whether systemd has taken it. */
  async #send(notices: readonly string[]): Promise<boolean> {
    return await this.#sending.run(async () => {
      if (this.#isUnheard) return false;
      const { NOTIFY_SOCKET, PATH } = this.#options.env;
      try {
        await promisify(execFile)(program, [...notices], {
          env: { NOTIFY_SOCKET, PATH },
          timeout: sendMaxMs,
          killSignal: 'SIGKILL',
        });
        return true;
      } catch (error) {
        this.#onFailure(error);
        return false;
      }
    });
  }

  #onFailure(error: unknown): void {
    if (errnoOf(error) !== 'ENOENT') {
      this.#warnOnce(`systemd could not be told: ${messageOf(error).trim()}`);
      return;
    }
    this.#isUnheard = true;
    this.#log(
      'error',
      `The program ${program} is missing, so systemd is not told that the daemon is ready and would end it: install it, ` +
        'or set Type=exec and WatchdogSec=0 in the unit.',
    );
  }

  #warnOnce(message: string): void {
    if (!this.#hasWarned) this.#log('warn', message);
    this.#hasWarned = true;
  }

  #log(level: 'error' | 'warn', message: string): void {
    // A daemon that stops closes its log.
    if (!this.#isStopping) this.#options.log(level, message);
  }
}

/** The watchdog's period (ms), unless it is not this process that is watched; sd_watchdog_enabled(3). */
function watchdogMsOf(env: NodeJS.ProcessEnv): number | null {
  const { WATCHDOG_PID, WATCHDOG_USEC } = env;
  if (WATCHDOG_PID !== undefined && WATCHDOG_PID !== String(process.pid)) return null;
  const microseconds = Number(WATCHDOG_USEC ?? '0');
  return Number.isFinite(microseconds) && microseconds > 0 ? microseconds / 1_000 : null;
}

/** What `systemctl status` shows. */
export function statusLine({
  status,
  workers,
  repair,
}: Pick<Health, 'status' | 'workers' | 'repair'>): string {
  if (repair !== null) return `repairing: ${repair.phase}, ${repair.done} of ${repair.total}`;
  const entries = Object.entries(workers);
  const troubled = entries.filter(([, state]) => state === 'failed' || state === 'backoff');
  if (status === 'degraded' && troubled.length > 0)
    return `degraded: ${troubled.map(([type, state]) => `${type} ${state}`).join(', ')}`;
  const ready = entries.filter(([, state]) => state === 'ready').map(([type]) => type);
  return ready.length === 0 ? 'no worker runs' : `ready: ${ready.join(', ')}`;
}
