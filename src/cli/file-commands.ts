import { resolve } from 'node:path';
import type { Command } from 'commander';
import { type Common, type CommonFlags, withClient } from './client-command.js';
import { print, table } from './output.js';

export function addFileCommands(program: Command, common: Common): void {
  common(program.command('deleted').description('List files marked deleted'))
    .argument('[dir]', "the project's root folder", '.')
    .option('--prefix <path>', 'only paths that start with this')
    .action(async (dir: string, flags: CommonFlags & { prefix?: string }) => {
      const params = { root_dir: resolve(dir), path_prefix: flags.prefix, limit: 1000 };
      await withClient(
        flags,
        (client) => client.call('list_deleted_files', params),
        ({ files, next_cursor }) => {
          if (files.length === 0) print('no file is marked deleted');
          else
            print(
              table(
                files.map((file) => [
                  file.deleted_at ?? '',
                  file.restorable ? '' : 'not restorable',
                  file.path,
                ]),
              ),
            );
          if (next_cursor !== null) print('... and more; narrow it with --prefix');
        },
      );
    });
  common(program.command('restore').description('Bring deleted files back, all of them or none'))
    .argument('[paths...]', 'relative to the project')
    .option('--project <dir>', "the project's root folder", '.')
    .option('--prefix <path>', 'every deleted path that starts with this')
    .option('--dry-run', 'only say what would be done')
    .action(
      async (
        paths: string[],
        flags: CommonFlags & { project: string; prefix?: string; dryRun?: boolean },
      ) => {
        const params = {
          root_dir: resolve(flags.project),
          paths: paths.length === 0 ? undefined : paths,
          path_prefix: flags.prefix,
          dry_run: flags.dryRun ?? false,
        };
        await withClient(
          flags,
          (client) => client.call('restore_deleted_files', params),
          ({ restored, dry_run }) =>
            print(
              [
                ...restored.map(({ path }) => path),
                `${restored.length} ${dry_run ? 'to be restored' : 'restored'}`,
              ].join('\n'),
            ),
        );
      },
    );
}
