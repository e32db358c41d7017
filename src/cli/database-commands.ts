import { resolve } from 'node:path';
import type { Command } from 'commander';
import { type CommonFlags, withClient } from './client-command.js';
import { exitStatus, print } from './output.js';
import { callWithProgress } from './progress.js';

const bytesPerMb = 1024 * 1024;

export function addDatabaseCommands(program: Command): void {
  program
    .command('restore-backup')
    .description('Put a backup in the place of the index, which is kept, and index what is newer on disk')
    .argument('<file>', 'as "backup" printed it; a backup a day is in the state directory\'s backups')
    .action(async (file: string, flags: CommonFlags) => {
      await withClient(
        flags,
        (client) => callWithProgress(client, 'restore_backup', { path: resolve(file) }),
        ({ path, original_path, projects, workers_not_resumed }) => {
          print`restored: ${path}`;
          if (original_path !== null) print`what was there is kept: ${original_path}`;
          for (const { root_dir, files_added, files_changed, files_deleted, error } of projects)
            print`${root_dir}: ${error ?? `${files_added} added, ${files_changed} changed, ${files_deleted} deleted since`}`;
          for (const { type, error } of workers_not_resumed) print`${type} was not started again: ${error}`;
        },
        ({ projects, workers_not_resumed }) =>
          workers_not_resumed.length > 0 || projects.some(({ error }) => error !== null)
            ? exitStatus.left
            : exitStatus.done,
      );
    });
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
