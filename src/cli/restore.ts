import { type Command, Option } from 'commander';
import type { Result } from '../contract/index.js';
import type { Client } from '../rpc/client/client.js';
import { type CommonFlags, withClient } from './client-command.js';
import { askForVersion, type Which } from './named-version.js';
import { CommandError, exitStatus, print } from './output.js';
import { parseFolder, pathInProject, placesInProject, projectRoot, shownPath } from './paths.js';
import { type Cause, causeText, localTime } from './text.js';
import { parseWhen } from './when.js';

type Restored = Result<'restore_deleted_files'> | Result<'restore_file_version'>;

interface RestoreFlags extends CommonFlags {
  project?: string;
  prefix?: string;
  deletedAfter?: string;
  cause?: Cause;
  as?: string;
  dryRun?: boolean;
}

export function addRestore(program: Command): void {
  program
    .command('restore')
    .description(
      'Bring deleted files back, all of them or none; or what a file was, if nothing is in its place',
    )
    .argument(
      '[paths...]',
      'deleted files, and folders: all deleted files below them; PATH@WHEN is what that was: a version of "codekeep history", a time, 10m, a checkpoint',
    )
    .option(
      '--project <dir>',
      "the project's root folder; without it the project around the working directory",
      parseFolder,
    )
    .option('--prefix <path>', 'every deleted path in the project that starts with this')
    .option(
      '--deleted-after <time>',
      'what was deleted since then: a time, or a duration such as 10m',
      parseWhen,
    )
    .addOption(
      new Option('--cause <cause>', 'what was marked for this reason').choices(Object.keys(causeText)),
    )
    .option('--as <path>', 'bring the one path back to another place, beside what it is now')
    .option('--dry-run', 'only say what would be done')
    .action(async (paths: string[], flags: RestoreFlags) => {
      const [named] = paths;
      if (flags.as !== undefined && paths.length !== 1)
        throw new CommandError('--as is about one path.', 'Name that path, and no other.', exitStatus.usage);
      let root_dir = '';
      await withClient(
        flags,
        async (client) => {
          root_dir = await projectRoot(client, flags.project, named);
          return named === undefined || paths.length > 1
            ? await restoreDeleted(client, root_dir, paths, flags)
            : await restoreNamed(client, root_dir, named, flags);
        },
        (restored) => printRestored(root_dir, restored),
      );
    });
}

async function restoreDeleted(
  client: Client,
  root_dir: string,
  paths: readonly string[],
  flags: RestoreFlags,
): Promise<Restored> {
  const places = placesInProject(root_dir, paths);
  const isAll = paths.length > 0 && places === undefined;
  return await client.call('restore_deleted_files', {
    root_dir,
    paths: places,
    path_prefix: flags.prefix ?? (isAll ? '' : undefined),
    deleted_after: flags.deletedAfter,
    cause: flags.cause,
    dry_run: flags.dryRun ?? false,
  });
}

/** What is deleted at or below that name, or what a file was. */
async function restoreNamed(
  client: Client,
  root_dir: string,
  named: string,
  flags: RestoreFlags,
): Promise<Restored> {
  const { as: to, dryRun: dry_run = false } = flags;
  const ask = async (path: string, which: Which): Promise<Restored> =>
    await client.call('restore_file_version', {
      root_dir,
      path: pathInProject(root_dir, path),
      as: to === undefined ? undefined : pathInProject(root_dir, to),
      dry_run,
      ...which,
    });
  const askWhole = async (): Promise<Restored> =>
    to === undefined ? await restoreDeleted(client, root_dir, [named], flags) : await ask(named, {});
  return await askForVersion(named, askWhole, ask);
}

function printRestored(root: string, restored: Restored): void {
  const done = restored.dry_run ? 'to be restored' : 'restored';
  if ('restored' in restored) {
    for (const { path } of restored.restored) print`${shownPath(root, path)}`;
    print`${restored.restored.length} ${done}`;
    return;
  }
  const { path, from_path, seen_at } = restored;
  const as = path === from_path ? '' : ` as ${shownPath(root, path)}`;
  print`${shownPath(root, from_path)} of ${localTime(seen_at)} ${done}${as}`;
}
