import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { Result } from '../contract/index.js';
import { type CommonFlags, withClient } from './client-command.js';
import { print, printTable } from './output.js';
import { parseFolder, shownPath } from './paths.js';

const bytesPerMb = 1024 * 1024;

export function addForget(program: Command): void {
  program
    .command('forget')
    .description('Let go now what is not kept any more of what files were; it is done once an hour by itself')
    .argument('[dir]', "a project's root folder; without it all projects", parseFolder)
    .option('--dry-run', 'only say what would go')
    .action(async (dir: string | undefined, flags: CommonFlags & { dryRun?: boolean }) => {
      const root_dir = dir === undefined ? undefined : resolve(dir);
      await withClient(
        flags,
        (client) => client.call('forget', { root_dir, dry_run: flags.dryRun ?? false }),
        printForgotten,
      );
    });
}

function printForgotten({ dry_run, projects, ...total }: Result<'forget'>): void {
  printTable(
    projects.map(({ root_dir, versions, deleted_files, oldest }) => [
      shownPath(root_dir),
      `${versions} states`,
      `${deleted_files} deleted files`,
      oldest === null ? 'not compared with the disk yet' : `back to ${oldest}`,
    ]),
  );
  const { versions, deleted_files, contents, bytes } = total;
  const what = `${versions} states, ${deleted_files} deleted files and ${contents} contents (${(bytes / bytesPerMb).toFixed(1)} MB)`;
  print`${dry_run ? 'dry run, nothing was changed: would let go' : 'let go'} ${what}`;
}
