import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { sleep } from '../base/waiting.js';
import type { Client } from '../rpc/client/client.js';
import { type CommonFlags, parseNumber, withClient } from './client-command.js';
import { CommandError, exitStatus, print } from './output.js';

/** The workers' 10 s between SIGTERM and SIGKILL, and the end of a repair's current batch: as systemd waits, too. */
const stopSeconds = 30;
const lookEveryMs = 25;

export function addStop(program: Command): void {
  program
    .command('stop')
    .description('Stop the daemon and its workers, and wait until they are gone')
    .option('--timeout <seconds>', 'how long to wait', parseNumber, stopSeconds)
    .action(async (flags: CommonFlags & { timeout: number }) => {
      await withClient(
        flags,
        (client) => stopDaemon(client, flags.timeout * 1_000),
        ({ stopped, duration_ms }) => print`stopped: ${stopped.length} processes, in ${duration_ms} ms`,
      );
    });
}

interface Watched {
  name: string;
  pid: number;
  /** Its start, which tells it from a later process with the same pid. */
  start: string;
}

interface StopReport {
  stopped: { name: string; pid: number }[];
  duration_ms: number;
}

/** @throws CommandError with what is left when the time is over */
async function stopDaemon(client: Client, timeoutMs: number): Promise<StopReport> {
  const startedAt = performance.now();
  const watched = await processesOf(client);
  await client.call('shutdown');
  for (;;) {
    const left = watched.filter(({ pid, start }) => startOf(pid) === start);
    const durationMs = Math.round(performance.now() - startedAt);
    if (left.length === 0)
      return { stopped: watched.map(({ name, pid }) => ({ name, pid })), duration_ms: durationMs };
    if (durationMs > timeoutMs) throw notStopped(left, timeoutMs);
    await sleep(lookEveryMs);
  }
}

/** The daemon and its workers as the process table has them now. */
async function processesOf(client: Client): Promise<Watched[]> {
  const [{ pid }, status] = await Promise.all([client.call('health'), client.call('get_worker_status')]);
  const workers = 'workers' in status ? status.workers : [status];
  const named = [
    { name: 'supervisor', pid },
    ...workers.flatMap(({ worker_type, processes }) =>
      processes.map((process) => ({ name: worker_type, pid: process.pid })),
    ),
  ];
  return named.flatMap((process) => {
    const start = startOf(process.pid);
    return start === null ? [] : [{ ...process, start }];
  });
}

/** When a process was started (clock ticks since boot, proc_pid_stat(5)); null for one that is gone, a zombie included. */
function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name in field 2 may contain anything, so fields are counted from its closing parenthesis.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? null : (fields[19] ?? null);
  } catch {
    return null;
  }
}

function notStopped(left: readonly Watched[], timeoutMs: number): CommandError {
  const names = left.map(({ name, pid }) => `${name} (pid ${pid})`).join(', ');
  return new CommandError(
    `Still there after ${timeoutMs / 1_000} s: ${names}.`,
    'The stop goes on; wait longer, or look into "codekeep logs supervisor" once it answers again.',
    exitStatus.left,
  );
}
