import type { Command } from 'commander';
import type { Result } from '../contract/index.js';
import type { Client } from '../rpc/client/client.js';
import { type CommonFlags, parseNumber, withClient, withConnection } from './client-command.js';
import { assertCanAsk, print, printJson, printTable, shownMax } from './output.js';
import { parseFolder, projectRoot, shownPath } from './paths.js';
import { isToBeDone } from './planned.js';
import { causeText } from './text.js';

type Cleanup = Result<'cleanup_deleted_files'>;

interface DeletedFlags extends CommonFlags {
  prefix?: string;
  olderThan?: number;
  remove?: boolean;
  yes?: boolean;
}

export function addDeleted(program: Command): void {
  program
    .command('deleted')
    .description('List files marked deleted, or let them go for good')
    .argument(
      '[dir]',
      "the project's root folder; without it the project around the working directory",
      parseFolder,
    )
    .option('--prefix <path>', 'only paths in the project that start with this')
    .option('--older-than <days>', 'what was deleted longer ago, and could be let go', parseNumber)
    .option(
      '--remove',
      'let that go, with what it was and its copies: nothing brings it back; without --older-than what is older than all that is kept',
    )
    .option('--yes', 'do it without asking')
    .action(async (dir: string | undefined, flags: DeletedFlags) => {
      if (flags.remove === true) await removeDeleted(dir, flags);
      else if (flags.olderThan !== undefined) await listOlder(dir, flags);
      else await listDeleted(dir, flags);
    });
}

async function listDeleted(dir: string | undefined, flags: DeletedFlags): Promise<void> {
  let root_dir = '';
  await withClient(
    flags,
    async (client) => {
      root_dir = await projectRoot(client, dir);
      return await client.call('list_deleted_files', { root_dir, path_prefix: flags.prefix, limit: 1000 });
    },
    ({ files, next_cursor }) => {
      // A list, and none is the best it can be: no failure, as an empty folder is none to ls.
      if (files.length === 0) print`no file is marked deleted`;
      printTable(
        files.map(({ deleted_at, cause, restorable, path }) => [
          deleted_at ?? '',
          cause === null ? '' : causeText[cause],
          restorable ? '' : 'not restorable',
          shownPath(root_dir, path),
        ]),
      );
      if (next_cursor !== null) print`... and more; narrow it with --prefix`;
    },
  );
}

async function listOlder(dir: string | undefined, flags: DeletedFlags): Promise<void> {
  let root_dir = '';
  await withClient(
    flags,
    async (client) => {
      root_dir = await projectRoot(client, dir);
      return await cleanUp(client, root_dir, flags, false);
    },
    (plan) => printPlan(root_dir, plan),
  );
}

async function removeDeleted(dir: string | undefined, flags: DeletedFlags): Promise<void> {
  const isJson = flags.json === true;
  if (flags.yes !== true) assertCanAsk(isJson, 'Leave --remove out to see what would go');
  await withConnection(flags, async (client) => {
    const root_dir = await projectRoot(client, dir);
    let shown: Cleanup | undefined;
    if (flags.yes !== true) {
      shown = await cleanUp(client, root_dir, flags, false);
      printPlan(root_dir, shown);
      if (shown.totals.would_remove === 0) return;
      if (!(await isToBeDone(true, 'Let them go for good?'))) return;
    }
    const done = await cleanUp(client, root_dir, flags, true, shown?.deleted_before);
    if (isJson) printJson(done);
    else printDone(root_dir, done);
  });
}

async function cleanUp(
  client: Client,
  root_dir: string,
  { prefix, olderThan }: DeletedFlags,
  hard_delete: boolean,
  deleted_before?: string,
): Promise<Cleanup> {
  return await client.call('cleanup_deleted_files', {
    root_dir,
    path_prefix: prefix,
    ...(deleted_before === undefined ? { older_than_days: olderThan } : { deleted_before }),
    hard_delete,
  });
}

function printPlan(root: string, { would_remove, kept, totals }: Cleanup): void {
  printTable(would_remove.map(({ deleted_at, path }) => [deleted_at ?? '', shownPath(root, path)]));
  if (totals.would_remove > would_remove.length)
    print`... and ${totals.would_remove - would_remove.length} more`;
  printKept(root, kept, totals.kept);
  print`${totals.would_remove} deleted files could be let go, with ${totals.versions} earlier states and ${totals.contents} contents`;
}

function printDone(root: string, { kept, totals }: Cleanup): void {
  printKept(root, kept, totals.kept);
  print`let go: ${totals.removed} deleted files, ${totals.versions} earlier states and ${totals.contents} contents`;
}

function printKept(root: string, kept: Cleanup['kept'], total: number): void {
  if (total > 0) print`kept: ${total}`;
  printTable(kept.slice(0, shownMax).map(({ path, reason }) => [`  ${shownPath(root, path)}`, reason]));
  if (total > shownMax) print`  ... and ${total - shownMax} more`;
}
