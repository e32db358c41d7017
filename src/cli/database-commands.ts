import { resolve } from 'node:path';
import type { Command } from 'commander';
import { type CommonFlags, withClient } from './client-command.js';
import { exitStatus, print } from './output.js';

const bytesPerMb = 1024 * 1024;

export function addDatabaseCommands(program: Command): void {
  program
    .command('check')
    .description('Check the index for damage')
    .option('--deep', 'render and hash every stored content, too')
    .action(async (flags: CommonFlags & { deep?: boolean }) => {
      await withClient(
        flags,
        (client) => client.call('check_database', { deep: flags.deep ?? false }),
        ({ ok, problems, contents_checked, duration_ms }) => {
          for (const problem of problems) print`${problem}`;
          const contents = flags.deep === true ? `, ${contents_checked} contents checked` : '';
          print`${ok ? 'the index is whole' : `${problems.length} problems`}${contents}, in ${Math.round(duration_ms)} ms`;
        },
        ({ ok }) => (ok ? exitStatus.done : exitStatus.left),
      );
    });
  program
    .command('backup')
    .description('Write a copy of the index, and check it')
    .argument('[file]', "one that does not exist yet; without it one in the state directory's backups")
    .action(async (file: string | undefined, flags: CommonFlags) => {
      await withClient(
        flags,
        (client) => client.call('backup_database', { path: file === undefined ? undefined : resolve(file) }),
        ({ path, bytes, problems }) => {
          for (const problem of problems) print`damaged: ${problem}`;
          print`${path} (${(bytes / bytesPerMb).toFixed(1)} MB)`;
        },
        ({ problems }) => (problems.length === 0 ? exitStatus.done : exitStatus.left),
      );
    });
}
