import { spawnSync } from 'node:child_process';

/** What a file system without links says to link(2), which libuv uses where there is one. */
export const withoutLinks = (errno: string): string => `?link,linkat:error=${errno}`;

/** Runs module source in a Node of its own while strace makes system calls fail, and gives what it prints. */
export function outputUnderStrace(injection: string, source: string, ...parameters: string[]): string {
  const syscalls = injection.slice(0, injection.indexOf(':'));
  const strace = ['-f', '-qq', '-o', '/dev/null', '-e', `trace=${syscalls}`, '-e', `inject=${injection}`];
  const node = [process.execPath, '--input-type=module', '-e', source, '--', ...parameters];
  const { stdout, stderr, signal } = spawnSync('strace', [...strace, ...node], {
    cwd: import.meta.dirname,
    encoding: 'utf8',
    env: { ...process.env, UV_THREADPOOL_SIZE: '1' },
  });
  return signal === null ? `${stdout}${stderr}` : `killed by ${signal}`;
}
