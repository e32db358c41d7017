import { type Command, InvalidArgumentError } from 'commander';
import { type ServiceEvent, topic as topicField, type Topic, topics } from '../contract/events.js';
import type { Job } from '../contract/system.js';
import { type CommonFlags, withClient, withConnection } from './client-command.js';
import { CommandError, exitStatus, print, printJson, printTable } from './output.js';

export function addJobCommands(program: Command): void {
  program
    .command('jobs')
    .description('List the long calls that run or ran lately; with ID, show or cancel one')
    .argument('[id]')
    .option('--cancel', 'ask it to stop at its next safe point')
    .action(async (id: string | undefined, flags: CommonFlags & { cancel?: boolean }) => {
      if (id === undefined) {
        if (flags.cancel === true)
          throw new CommandError(
            '--cancel needs the id of a job.',
            '"codekeep jobs" lists them.',
            exitStatus.usage,
          );
        await withClient(
          flags,
          (client) => client.call('list_jobs'),
          ({ jobs }) => printJobs(jobs),
        );
        return;
      }
      const method = flags.cancel === true ? 'cancel_job' : 'get_job';
      await withClient(
        flags,
        (client) => client.call(method, { job_id: id }),
        (job) => printJobs([job]),
      );
    });
  program
    .command('events')
    .description('Follow what happens, one line an event, until Ctrl-C')
    .argument('[topics...]', `${topics.join(', ')}; all without it`, collectTopic)
    .action(async (chosen: Topic[] | undefined, flags: CommonFlags) => {
      await followEvents(chosen === undefined || chosen.length === 0 ? topics : chosen, flags);
    });
}

function printJobs(jobs: readonly Job[]): void {
  if (jobs.length === 0) print`no long call runs or ran lately`;
  printTable(
    jobs.map(({ job_id, method, state, started_at, progress, error }) => [
      job_id,
      started_at,
      method,
      state,
      error?.message ??
        (progress.total === 0 ? '' : `${progress.done}/${progress.total} ${progress.message}`),
    ]),
  );
}

function collectTopic(text: string, previous: Topic[] | undefined): Topic[] {
  const parsed = topicField.safeParse(text);
  if (!parsed.success) throw new InvalidArgumentError(`Give some of ${topics.join(', ')}.`);
  return [...(previous ?? []), parsed.data];
}

/** @throws ConnectionLostError when the daemon ends */
async function followEvents(chosen: readonly Topic[], flags: CommonFlags): Promise<void> {
  await withConnection(flags, async (client) => {
    await client.subscribe(chosen, (event) => {
      if (flags.json === true) printJson(event);
      else printEvent(event);
    });
    throw await client.closed;
  });
}

/** Its fields as they are: an event has none that would need another line. */
function printEvent({ topic, type, ...fields }: ServiceEvent): void {
  const rest = Object.entries(fields)
    .filter(([name]) => name !== 'subscription_id')
    .map(([name, value]) => `${name}=${typeof value === 'object' ? JSON.stringify(value) : String(value)}`);
  print`${new Date().toISOString()} ${topic} ${type} ${rest.join(' ')}`;
}
