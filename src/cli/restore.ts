import { type Command, Option } from 'commander';
import { type CommonFlags, withClient } from './client-command.js';
import { print } from './output.js';
import { parseFolder, pathInProject, projectRoot, shownPath } from './paths.js';
import { type Cause, causeText } from './text.js';

export function addRestore(program: Command): void {
  program
    .command('restore')
    .description('Bring deleted files back, all of them or none')
    .argument('[paths...]', 'relative to the project, as "deleted --json" has them')
    .option(
      '--project <dir>',
      "the project's root folder; without it the project around the working directory",
      parseFolder,
    )
    .option('--prefix <path>', 'every deleted path in the project that starts with this')
    .option('--deleted-after <time>', 'what was deleted since then: a time, or a duration such as 10m')
    .addOption(
      new Option('--cause <cause>', 'what was marked for this reason').choices(Object.keys(causeText)),
    )
    .option('--dry-run', 'only say what would be done')
    .action(
      async (
        paths: string[],
        flags: CommonFlags & {
          project?: string;
          prefix?: string;
          deletedAfter?: string;
          cause?: Cause;
          dryRun?: boolean;
        },
      ) => {
        let root_dir = '';
        await withClient(
          flags,
          async (client) => {
            root_dir = await projectRoot(client, flags.project, paths[0]);
            return await client.call('restore_deleted_files', {
              root_dir,
              paths: paths.length === 0 ? undefined : paths.map((path) => pathInProject(root_dir, path)),
              path_prefix: flags.prefix,
              deleted_after: flags.deletedAfter,
              cause: flags.cause,
              dry_run: flags.dryRun ?? false,
            });
          },
          ({ restored, dry_run }) => {
            for (const { path } of restored) print`${shownPath(root_dir, path)}`;
            print`${restored.length} ${dry_run ? 'to be restored' : 'restored'}`;
          },
        );
      },
    );
}
