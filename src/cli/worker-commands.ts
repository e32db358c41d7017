import { type Command, InvalidArgumentError } from 'commander';
import { workerType as workerTypeField, type WorkerType } from '../contract/fields.js';
import type { Result } from '../contract/index.js';
import { type CommonFlags, parseNumber, withClient } from './client-command.js';
import { print, printTable } from './output.js';

export function addWorkerCommands(program: Command): void {
  const worker = program.command('worker').description('Start, stop and look at workers');
  worker
    .command('start')
    .description('Start a worker and wait until it is ready')
    .argument('<type>', 'file_watcher, vectorization or repair', parseWorkerType)
    .option('--batch-size <n>', 'repair: rows looked at in one step', parseNumber)
    .option('--poll-interval <seconds>', 'repair: pause between two rounds', parseNumber)
    .action(async (type: WorkerType, flags: CommonFlags & { batchSize?: number; pollInterval?: number }) => {
      const params = { worker_type: type, batch_size: flags.batchSize, poll_interval: flags.pollInterval };
      await withClient(
        flags,
        (client) => client.call('start_worker', params),
        ({ message }) => print`${message}`,
      );
    });
  worker
    .command('stop')
    .description('Stop a worker and everything that it started')
    .argument('<type>', 'file_watcher, vectorization or repair', parseWorkerType)
    .option('--timeout <seconds>', 'between SIGTERM and SIGKILL', parseNumber, 10)
    .option('--force', 'SIGKILL at once')
    .action(async (type: WorkerType, flags: CommonFlags & { timeout: number; force?: boolean }) => {
      const params = { worker_type: type, timeout: flags.timeout, force: flags.force ?? false };
      await withClient(
        flags,
        (client) => client.call('stop_worker', params),
        ({ message }) => print`${message}`,
      );
    });
  worker
    .command('status')
    .description('Show state, processes and progress')
    .argument('[type]', 'all without it', parseWorkerType)
    .action(async (type: WorkerType | undefined, flags: CommonFlags) => {
      await withClient(
        flags,
        (client) => client.call('get_worker_status', type === undefined ? {} : { worker_type: type }),
        (result) => printWorkers('workers' in result ? result.workers : [result]),
      );
    });
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
  printTable(rows);
}

function parseWorkerType(text: string): WorkerType {
  const parsed = workerTypeField.safeParse(text);
  if (!parsed.success) throw new InvalidArgumentError(`Give one of ${workerTypeField.options.join(', ')}.`);
  return parsed.data;
}
