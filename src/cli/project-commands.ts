import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { Result } from '../contract/index.js';
import { type CommonFlags, withClient } from './client-command.js';
import { print, printTable } from './output.js';
import { parseFolder, projectRoot, shownPath } from './paths.js';
import { callWithProgress } from './progress.js';

export function addProjectCommands(program: Command): void {
  program
    .command('add')
    .description('Register a folder as a project')
    .argument('[dir]', "the project's root folder", parseFolder, '.')
    .option(
      '--version-dir <dir>',
      'where deleted files go, relative to the project (in the state directory by default)',
    )
    .option('--name <name>', "for people; the folder's name by default")
    .action(async (dir: string, flags: CommonFlags & { versionDir?: string; name?: string }) => {
      const params = { root_dir: resolve(dir), version_dir: flags.versionDir, name: flags.name };
      await withClient(
        flags,
        (client) => client.call('add_project', params),
        ({ created, root_dir, project_id, adopted }) => {
          print`${created ? 'added' : 'known already'}: ${root_dir} (${project_id})`;
          if (adopted > 0)
            print`${adopted} deleted files were found in its versions: "codekeep deleted" lists them`;
        },
      );
    });
  program
    .command('move')
    .description('Say where a project is that was moved: what is known of it and its versions are kept')
    .argument('<dir>', 'the root folder that it had', parseFolder)
    .argument('<new-dir>', 'the one that it has now', parseFolder)
    .action(async (dir: string, newDir: string, flags: CommonFlags) => {
      const params = { root_dir: resolve(dir), new_root_dir: resolve(newDir) };
      await withClient(
        flags,
        (client) => client.call('move_project', params),
        ({ root_dir, project_id }) => print`moved: ${project_id} is at ${root_dir} now`,
      );
    });
  program
    .command('remove')
    .description('Forget a project; every file and every version stays on disk')
    .argument('[dir]', "the project's root folder", parseFolder, '.')
    .action(async (dir: string, flags: CommonFlags) => {
      await withClient(
        flags,
        (client) => client.call('remove_project', { root_dir: resolve(dir) }),
        ({ project_id }) =>
          print`removed: ${resolve(dir)} (${project_id}); its files and versions stay where they are`,
      );
    });
  program
    .command('accept')
    .description('Say that what is missing in a project is right so: it is marked deleted')
    .argument(
      '[dir]',
      "the project's root folder; without it the project around the working directory",
      parseFolder,
    )
    .option('--dry-run', 'only say what would be done')
    .action(async (dir: string | undefined, flags: CommonFlags & { dryRun?: boolean }) => {
      let root_dir = '';
      await withClient(
        flags,
        async (client) => {
          root_dir = await projectRoot(client, dir);
          return await client.call('accept_deletions', { root_dir, dry_run: flags.dryRun ?? false });
        },
        ({ accepted, count, dry_run }) => {
          for (const { path } of accepted) print`${shownPath(root_dir, path)}`;
          print`${count} ${dry_run ? 'to be marked deleted' : 'marked deleted'}`;
        },
      );
    });
  program
    .command('unprotected')
    .description('List what could not be brought back, and why')
    .argument(
      '[dir]',
      "the project's root folder; without it the project around the working directory",
      parseFolder,
    )
    .action(async (dir: string | undefined, flags: CommonFlags) => {
      let status: Result<'get_project_status'> | null = null;
      await withClient(
        flags,
        async (client) => {
          const root_dir = await projectRoot(client, dir);
          // First, so that what it says of the time is not newer than the list.
          status = await client.call('get_project_status', { root_dir });
          return await client.call('list_unprotected', { root_dir, limit: 1000 });
        },
        (list) => {
          if (status !== null) printUnprotected(list, status);
        },
      );
    });
  program
    .command('update')
    .description('Reconcile a project with its index now; registers it if it is new')
    .argument(
      '[dir]',
      "the project's root folder; without it the project around the working directory",
      parseFolder,
    )
    .action(async (dir: string | undefined, flags: CommonFlags) => {
      await withClient(
        flags,
        async (client) =>
          await callWithProgress(client, 'update_indexes', { root_dir: await projectRoot(client, dir) }),
        (result) => {
          const { files_added, files_changed, files_deleted, files_unchanged, files_skipped } = result;
          print`${files_added} added, ${files_changed} changed, ${files_deleted} deleted, ${files_unchanged} unchanged, ${files_skipped} skipped in ${result.duration_ms} ms`;
          if (result.reason !== null) print`${result.reason}`;
        },
      );
    });
}

function printUnprotected(
  { entries, next_cursor }: Result<'list_unprotected'>,
  status: Result<'get_project_status'>,
): void {
  const { root_dir, freshness, last_verified_at } = status;
  printTable(entries.map(({ path, reason }) => [shownPath(root_dir, path), reason]));
  if (next_cursor !== null) print`... and more`;
  if (freshness === 'fresh') {
    if (entries.length === 0) print`everything can be brought back`;
    return;
  }
  // What was made or changed since then is not in the index, and is lost with its file.
  if (last_verified_at === null)
    print`never compared with the disk yet: what can be brought back is not known`;
  else if (entries.length === 0)
    print`everything that was there at the last comparison, ${last_verified_at}, can be brought back`;
  else print`as of the last comparison, ${last_verified_at}`;
  print`the index is ${freshness} now${status.reason === null ? '' : `: ${status.reason}`}`;
}
