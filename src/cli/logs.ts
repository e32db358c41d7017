import type { Command } from 'commander';
import type { Result } from '../contract/index.js';
import { type LogType, logTypes } from '../contract/logs.js';
import { type CommonFlags, parseNumber, withClient } from './client-command.js';
import { exitStatus, print, printText } from './output.js';

type LogLevel = Result<'view_worker_logs'>['entries'][number]['level'];

interface LogFlags extends CommonFlags {
  tail: number;
  level?: LogLevel[];
  grep?: string;
}

export function addLogs(program: Command): void {
  program
    .command('logs')
    .description("Show a worker's log")
    .addArgument(program.createArgument('<type>', logTypes.join(', ')).choices(logTypes))
    .option('--tail <n>', 'the last so many entries', parseNumber, 50)
    .option('--level <levels...>', 'error, warn, info or debug')
    .option('--grep <pattern>', 'regular expression')
    .action(async (type: LogType, flags: LogFlags) => {
      const { tail, level, grep } = flags;
      const params = { worker_type: type, tail, log_levels: level, search_pattern: grep };
      await withClient(
        flags,
        (client) => client.call('view_worker_logs', params),
        ({ entries }) => entries.forEach(printEntry),
        // As grep: only who looked for something can have found nothing.
        ({ entries }) => (grep !== undefined && entries.length === 0 ? exitStatus.notFound : exitStatus.done),
      );
    });
}

/** What follows the first line of a message is indented, so that it cannot pass for an entry of its own. */
function printEntry({ timestamp, level, message }: Result<'view_worker_logs'>['entries'][number]): void {
  const [first = '', ...more] = message.split('\n');
  print`${timestamp} ${level} ${first}`;
  if (more.length > 0) printText(more.join('\n'), '    ');
}
