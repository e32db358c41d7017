import type { Command } from 'commander';
import { identify, isAlive, type ProcessIdentity } from '../base/process-identity.js';
import { sleep } from '../base/waiting.js';
import { type Client, CodekeepError } from '../rpc/client/client.js';
import { type CommonFlags, parseSeconds, withClient } from './client-command.js';
import { CommandError, exitStatus, print } from './output.js';
import { notHeard } from './supervisor-pid.js';

/** The workers' 10 s between SIGTERM and SIGKILL, and the end of a repair's current batch: as systemd waits, too. */
const stopSeconds = 30;
const lookEveryMs = 25;
/** A supervisor that is well answers within 10 ms; it gets so long (ms) also where --timeout says less. */
const answerMinMs = 1_000;

export function addStop(program: Command): void {
  program
    .command('stop')
    .description('Stop the daemon and its workers, and wait until they are gone')
    .option('--timeout <seconds>', 'how long to wait', parseSeconds, stopSeconds)
    .action(async (flags: CommonFlags & { timeout: number }) => {
      await withClient(
        flags,
        (client) => stopDaemon(client, flags, flags.timeout * 1_000),
        ({ stopped, duration_ms }) => print`stopped: ${stopped.length} processes, in ${duration_ms} ms`,
      );
    });
}

interface Watched extends ProcessIdentity {
  name: string;
}

interface StopReport {
  stopped: { name: string; pid: number }[];
  duration_ms: number;
}

/** @throws CommandError with what is left, or who does not answer, when the time is over */
async function stopDaemon(client: Client, flags: CommonFlags, timeoutMs: number): Promise<StopReport> {
  const startedAt = performance.now();
  const { watched, lost } = await askToStop(client, flags, Math.max(timeoutMs, answerMinMs));
  for (;;) {
    const left = watched.filter(isAlive);
    const durationMs = Math.round(performance.now() - startedAt);
    if (left.length === 0 && lost !== undefined)
      throw new CommandError('The daemon stopped, but its index was gone.', lost);
    if (left.length === 0)
      return { stopped: watched.map(({ name, pid }) => ({ name, pid })), duration_ms: durationMs };
    if (durationMs > timeoutMs) throw notStopped(left, timeoutMs);
    await sleep(lookEveryMs);
  }
}

/**
 * The daemon and its workers as the process table had them when they were asked to end, and what it said of a lost index.
 * @throws CommandError where the supervisor does not answer
 */
async function askToStop(
  client: Client,
  flags: CommonFlags,
  timeoutMs: number,
): Promise<{ watched: Watched[]; lost: string | undefined }> {
  const startedAt = performance.now();
  const watched = await processesOf(client, timeoutMs).catch((error: unknown) => {
    throw isTimeout(error) ? notHeard(flags, ', and was not stopped') : error;
  });
  const leftMs = Math.max(timeoutMs - (performance.now() - startedAt), 0);
  try {
    return { watched, lost: (await client.call('shutdown', {}, { timeoutMs: leftMs })).index_lost };
  } catch (error) {
    // It has heard, and answers once nothing has to be saved any more.
    if (isTimeout(error)) return { watched, lost: undefined };
    throw error;
  }
}

function isTimeout(error: unknown): boolean {
  return error instanceof CodekeepError && error.code === 'TIMEOUT';
}

async function processesOf(client: Client, timeoutMs: number): Promise<Watched[]> {
  const [{ pid }, status] = await Promise.all([
    client.call('health', {}, { timeoutMs }),
    client.call('get_worker_status', {}, { timeoutMs }),
  ]);
  const workers = 'workers' in status ? status.workers : [status];
  const named = [
    { name: 'supervisor', pid },
    ...workers.flatMap(({ worker_type, processes }) =>
      processes.map((process) => ({ name: worker_type, pid: process.pid })),
    ),
  ];
  return named.flatMap(({ name, pid: each }) => {
    const identity = identify(each);
    return identity === null ? [] : [{ name, ...identity }];
  });
}

function notStopped(left: readonly Watched[], timeoutMs: number): CommandError {
  const names = left.map(({ name, pid }) => `${name} (pid ${pid})`).join(', ');
  return new CommandError(
    `Still there after ${timeoutMs / 1_000} s: ${names}.`,
    'The stop goes on; wait longer, or look into "codekeep logs supervisor" once it answers again.',
    exitStatus.left,
  );
}
