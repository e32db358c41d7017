import { fstatSync } from 'node:fs';
import type { LogLevel } from './ipc.js';

/** Syslog priorities, as journald reads them from the head of a line; sd-daemon(3). */
const priorities: Record<LogLevel, number> = { error: 3, warn: 4, info: 6, debug: 7 };

/**
 * Whether what is written to a descriptor goes to systemd's journal: JOURNAL_STREAM has the device and inode of
 * the socket that systemd gave. The variable alone says nothing, since every descendant inherits it.
 */
export function isJournal(env: NodeJS.ProcessEnv, fd: number): boolean {
  const stream = env['JOURNAL_STREAM'];
  if (stream === undefined) return false;
  const { dev, ino } = fstatSync(fd);
  return stream === `${dev}:${ino}`;
}

/** Every line of the text with its priority: journald makes an entry of each line. */
export function journalLines(level: LogLevel, text: string): string {
  const lines = text.split('\n').filter((line) => line !== '');
  return lines.map((line) => `<${priorities[level]}>${line}\n`).join('');
}
