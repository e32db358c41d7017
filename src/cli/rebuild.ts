import type { Command } from 'commander';
import type { Rebuilt } from '../contract/database.js';
import { type CommonFlags, withClient } from './client-command.js';
import { exitStatus, print, printTable, shownMax } from './output.js';
import { shownPath } from './paths.js';
import { callWithProgress } from './progress.js';

export function addRebuild(program: Command): void {
  program
    .command('rebuild')
    .description('Make a new index of all that can be read of a damaged one, of the backups and of the disk')
    .option('--dry-run', 'only say what would be kept and what is lost; the workers are stopped for it, too')
    .action(async (flags: CommonFlags & { dryRun?: boolean }) => {
      await withClient(
        flags,
        (client) => callWithProgress(client, 'rebuild_database', { dry_run: flags.dryRun ?? false }),
        (result) => {
          printRebuilt(result, result.dry_run);
          for (const { root_dir, files_deleted, error } of result.projects) {
            print`${root_dir}: ${error ?? 'compared with what is on disk'}`;
            if (files_deleted > 0)
              print`  ${files_deleted} files were not there any more: "codekeep deleted" names them, "codekeep restore" brings them back`;
          }
          for (const { type, error } of result.workers_not_resumed)
            print`${type} was not started again: ${error}`;
          if (result.dry_run) print`dry run, nothing was changed`;
        },
        ({ lost_count, projects, workers_not_resumed }) =>
          lost_count + workers_not_resumed.length > 0 || projects.some(({ error }) => error !== null)
            ? exitStatus.left
            : exitStatus.done,
      );
    });
}

export function printRebuilt({ kept, lost, lost_count, original_path }: Rebuilt, isDry = false): void {
  const { projects = 0, files = 0, contents = 0 } = kept;
  print`the index ${isDry ? 'would be' : 'was'} made anew: ${projects} projects, ${files} files, ${contents} contents kept`;
  if (original_path !== null) print`the one that was there is kept: ${original_path}`;
  if (lost_count === 0) return print`nothing is lost`;
  print`lost: ${lost_count}`;
  printTable(
    lost
      .slice(0, shownMax)
      .map(({ root_dir, path, reason }) => [
        `  ${root_dir === null || path === '' ? path : shownPath(root_dir, path)}`,
        reason,
      ]),
  );
  if (lost_count > shownMax) print`  ... and ${lost_count - shownMax} more (--json lists ${lost.length})`;
}
