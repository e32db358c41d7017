import { type Command, InvalidArgumentError } from 'commander';
import { workerType as workerTypeField, type WorkerType } from '../contract/fields.js';
import type { Result } from '../contract/index.js';
import { type LogType, logTypes } from '../contract/logs.js';
import { type Common, type CommonFlags, parseNumber, withClient } from './client-command.js';
import { print, table } from './output.js';

export function addWorkerCommands(program: Command, common: Common): void {
  const worker = program.command('worker').description('Start, stop and look at workers');
  common(worker.command('start').argument('<type>', 'file_watcher, vectorization or repair', parseWorkerType))
    .option('--batch-size <n>', 'repair: rows looked at in one step', parseNumber)
    .option('--poll-interval <seconds>', 'repair: pause between two rounds', parseNumber)
    .action(async (type: WorkerType, flags: CommonFlags & { batchSize?: number; pollInterval?: number }) => {
      const params = { worker_type: type, batch_size: flags.batchSize, poll_interval: flags.pollInterval };
      await withClient(
        flags,
        (client) => client.call('start_worker', params),
        ({ message }) => print(message),
      );
    });
  common(worker.command('stop').argument('<type>', 'file_watcher, vectorization or repair', parseWorkerType))
    .option('--timeout <seconds>', 'between SIGTERM and SIGKILL', parseNumber, 10)
    .option('--force', 'SIGKILL at once')
    .action(async (type: WorkerType, flags: CommonFlags & { timeout: number; force?: boolean }) => {
      const params = { worker_type: type, timeout: flags.timeout, force: flags.force ?? false };
      await withClient(
        flags,
        (client) => client.call('stop_worker', params),
        ({ message }) => print(message),
      );
    });
  common(worker.command('status').argument('[type]', 'all without it', parseWorkerType)).action(
    async (type: WorkerType | undefined, flags: CommonFlags) => {
      await withClient(
        flags,
        (client) => client.call('get_worker_status', type === undefined ? {} : { worker_type: type }),
        (result) => printWorkers('workers' in result ? result.workers : [result]),
      );
    },
  );
}

type WorkerRows = Extract<Result<'get_worker_status'>, { workers: unknown }>['workers'];

function printWorkers(workers: WorkerRows): void {
  const rows = workers.map(({ worker_type, state, processes, restarts, current_operation, progress }) => {
    const [first] = processes;
    const usage =
      first === undefined ? '' : `pid ${first.pid}, ${first.cpu_percent} % CPU, ${first.memory_mb} MB`;
    const doing =
      current_operation === null ? '' : `${current_operation} ${progress?.done ?? 0}/${progress?.total ?? 0}`;
    return [worker_type, state, usage, restarts === 0 ? '' : `${restarts} restarts`, doing];
  });
  print(table(rows));
}

type LogLevel = Result<'view_worker_logs'>['entries'][number]['level'];

export function addLogs(program: Command, common: Common): void {
  common(program.command('logs').description("Show a worker's log"))
    .addArgument(program.createArgument('<type>', logTypes.join(', ')).choices(logTypes))
    .option('--tail <n>', 'the last so many entries', parseNumber, 50)
    .option('--level <levels...>', 'error, warn, info or debug')
    .option('--grep <pattern>', 'regular expression')
    .action(
      async (type: LogType, flags: CommonFlags & { tail: number; level?: LogLevel[]; grep?: string }) => {
        const params = {
          worker_type: type,
          tail: flags.tail,
          log_levels: flags.level,
          search_pattern: flags.grep,
        };
        await withClient(
          flags,
          (client) => client.call('view_worker_logs', params),
          ({ entries }) =>
            entries.forEach(({ timestamp, level, message }) => print(`${timestamp} ${level} ${message}`)),
        );
      },
    );
}

function parseWorkerType(text: string): WorkerType {
  const parsed = workerTypeField.safeParse(text);
  if (!parsed.success) throw new InvalidArgumentError(`Give one of ${workerTypeField.options.join(', ')}.`);
  return parsed.data;
}
