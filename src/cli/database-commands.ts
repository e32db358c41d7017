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
    .description("Write a copy of the index into the state directory's backups")
    .action(async (flags: CommonFlags) => {
      await withClient(
        flags,
        (client) => client.call('backup_database'),
        ({ path, bytes }) => print`${path} (${(bytes / bytesPerMb).toFixed(1)} MB)`,
      );
    });
}
