import type { Command } from 'commander';
import type { Client } from '../rpc/client/client.js';
import { type CommonFlags, withClient } from './client-command.js';
import { CommandError, exitStatus, print, printTable } from './output.js';
import { parseFolder, projectRoot } from './paths.js';
import { localTime } from './text.js';

interface CheckpointFlags extends CommonFlags {
  project?: string;
  list?: boolean;
  remove?: string;
}

export function addCheckpoint(program: Command): void {
  program
    .command('checkpoint')
    .description('Name this moment of a project, to come back to it; prints its id')
    .argument('[label]', 'for people, and for "codekeep rewind"')
    .option('--list', 'list them, the newest first')
    .option('--remove <id>', 'forget one; no file and no version goes with it')
    .option(
      '--project <dir>',
      "the project's root folder; without it the project around the working directory",
      parseFolder,
    )
    .action(async (label: string | undefined, flags: CheckpointFlags) => {
      if ([label, flags.list, flags.remove].filter((one) => one !== undefined).length > 1)
        throw new CommandError(
          'A label, --list and --remove are three different things.',
          'Give one of them.',
          exitStatus.usage,
        );
      const rootOf = async (client: Client): Promise<string> => await projectRoot(client, flags.project);
      const { remove } = flags;
      if (flags.list === true) await list(flags, rootOf);
      else if (remove !== undefined)
        await withClient(
          flags,
          async (client) => {
            const root_dir = await rootOf(client);
            return await client.call('remove_checkpoint', { root_dir, checkpoint_id: remove });
          },
          () => print`removed: ${remove}`,
        );
      else
        await withClient(
          flags,
          async (client) => await client.call('create_checkpoint', { root_dir: await rootOf(client), label }),
          ({ checkpoint_id }) => print`${checkpoint_id}`,
        );
    });
}

async function list(flags: CommonFlags, rootOf: (client: Client) => Promise<string>): Promise<void> {
  await withClient(
    flags,
    async (client) => await client.call('list_checkpoints', { root_dir: await rootOf(client), limit: 1000 }),
    ({ checkpoints, next_cursor }) => {
      if (checkpoints.length === 0) print`no checkpoint`;
      printTable(
        checkpoints.map(({ checkpoint_id, at, label }) => [checkpoint_id, localTime(at), label ?? '']),
      );
      if (next_cursor !== null) print`... and earlier ones`;
    },
  );
}
