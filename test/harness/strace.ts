import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { TestContext } from 'node:test';
import { atEnd, killed } from './folder.js';
import { waitFor } from './waiting.js';

/** What a file system without links says to link(2), which libuv uses where there is one. */
export const withoutLinks = (errno: string): string => `?link,linkat:error=${errno}`;

/** Whether strace is installed. */
export function hasStrace(): boolean {
  return spawnSync('strace', ['-V'], { stdio: 'ignore' }).status === 0;
}

/**
 * Arguments that make strace disturb a process with all its threads, and say nothing of its calls.
 * @param injection `syscalls:what`, as strace's inject= takes it
 */
export function injecting(injection: string): string[] {
  const syscalls = injection.slice(0, injection.indexOf(':'));
  return ['-f', '-o', '/dev/null', '-e', `trace=${syscalls}`, '-e', `inject=${injection}`];
}

/** Runs module source in a Node of its own while strace makes system calls fail, and gives what it prints. */
export function outputUnderStrace(injection: string, source: string, ...parameters: string[]): string {
  const node = [process.execPath, '--input-type=module', '-e', source, '--', ...parameters];
  const { stdout, stderr, signal } = spawnSync('strace', ['-qq', ...injecting(injection), ...node], {
    cwd: import.meta.dirname,
    encoding: 'utf8',
    env: { ...process.env, UV_THREADPOOL_SIZE: '1' },
  });
  return signal === null ? `${stdout}${stderr}` : `killed by ${signal}`;
}

/** Whether strace may attach to a process that it has not started. */
export function canTrace(): boolean {
  const { status } = spawnSync('strace', ['-qq', '-o', '/dev/null', '-e', 'trace=none', 'true']);
  return status === 0 && (process.getuid?.() === 0 || ptraceScope() === 0);
}

function ptraceScope(): number {
  try {
    return Number(readFileSync('/proc/sys/kernel/yama/ptrace_scope', 'utf8'));
  } catch {
    return 0;
  }
}

/**
 * Attaches to a process that is running, which is killed as it enters a system call.
 * @param syscall with the count of that call: `unlink:when=2`
 * @returns resolves when strace is attached, with what resolves when the process is gone or strace is detached
 */
export async function killAt(
  t: Pick<TestContext, 'after'>,
  pid: number,
  syscall: string,
): Promise<{ end: Promise<unknown> }> {
  return { end: once(await signalling(t, pid, 'KILL', syscall), 'exit') };
}

/**
 * Attaches to a process that is running, which is halted (SIGSTOP) when a system call has done its work.
 * @param syscall as of killAt
 * @returns resolves when strace is attached; `detach` leaves the process halted
 */
export async function haltAt(
  t: Pick<TestContext, 'after'>,
  pid: number,
  syscall: string,
): Promise<{ detach: () => Promise<void> }> {
  const strace = await signalling(t, pid, 'STOP', syscall);
  return { detach: async () => await killed(strace) };
}

async function signalling(
  t: Pick<TestContext, 'after'>,
  pid: number,
  signal: string,
  syscall: string,
): Promise<ChildProcess> {
  const [name = '', when = ''] = syscall.split(':');
  const args = [...injecting(`${name}:signal=${signal}:${when}`), '-p', String(pid)];
  const strace = spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  atEnd(t, async () => await killed(strace));
  let said = '';
  strace.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  await waitFor('strace is attached', () => {
    if (strace.exitCode !== null) throw new Error(said);
    return said.includes('attached');
  });
  return strace;
}
