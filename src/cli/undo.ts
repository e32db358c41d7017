import type { Command } from 'commander';
import type { Result } from '../contract/index.js';
import type { Client } from '../rpc/client/client.js';
import { type CommonFlags, withClient } from './client-command.js';
import { CommandError, type ExitStatus, exitStatus, print, printTable, shownMax } from './output.js';
import { parseFolder, projectRoot, shownPath } from './paths.js';
import { callWithProgress } from './progress.js';
import { localTime } from './text.js';

type UndoResult = Exclude<Result<'undo_repair'>, { job_id: string }>;

export function addUndo(program: Command): void {
  program
    .command('undo')
    .description('Take back what a repair, a rewind or an undo did; what was changed since stays')
    .argument('[run]', 'as it was printed; without it the newest repair or rewind of the project')
    .option('--dry-run', 'only say what would be done')
    .option(
      '--project <dir>',
      "the project's root folder; without it the project around the working directory",
      parseFolder,
    )
    .action(async (run: string | undefined, flags: UndoFlags) => {
      await withClient(
        flags,
        async (client) => {
          const run_id = run ?? (await newestRun(client, flags));
          return await callWithProgress(client, 'undo_repair', { run_id, dry_run: flags.dryRun ?? false });
        },
        printUndone,
        statusOf,
      );
    });
}

interface UndoFlags extends CommonFlags {
  project?: string;
  dryRun?: boolean;
}

/** The last repair or rewind that somebody asked for and that is still in effect; it is named on the way. */
async function newestRun(client: Client, flags: UndoFlags): Promise<string> {
  const root_dir = await projectRoot(client, flags.project);
  const { runs } = await client.call('list_repairs', { root_dir, limit: 1000 });
  // One that was cut off is finished first, and then taken back.
  const run = runs.find(
    ({ origin, actions, undone_by }) => origin === 'command' && actions > 0 && undone_by === null,
  );
  if (run === undefined)
    throw new CommandError(
      `${root_dir} has no repair and no rewind that could be taken back.`,
      'An undo is taken back by its id; "codekeep call list_repairs" lists all runs.',
    );
  const { run_id, rewind_to, started_at, message } = run;
  const what = rewind_to === null ? 'the repair' : `the rewind to ${localTime(rewind_to)}`;
  if (flags.json !== true) print`${what}, of ${localTime(started_at)}: ${message ?? 'it was cut off'}`;
  return run_id;
}

function statusOf({ totals, workers_not_resumed }: UndoResult): ExitStatus {
  const left = totals.kept + totals.failed + workers_not_resumed.length;
  return left > 0 ? exitStatus.left : exitStatus.done;
}

const words = {
  clear_deleted: 'not marked deleted any more',
  set_deleted: 'marked deleted again',
  remove: 'out of the project again',
  restore_from_cst: 'in the project again',
  restore: 'in the project again',
  revert: 'what it was before',
} as const;

function printUndone({ undone, kept, errors, totals, dry_run, message, ...rest }: UndoResult): void {
  const roots = new Map(rest.projects.map(({ project_id, root_dir }) => [project_id, root_dir]));
  const placeOf = ({ project_id, path }: { project_id: string; path: string }): string =>
    `  ${shownPath(roots.get(project_id) ?? '', path)}`;
  printTable(undone.slice(0, shownMax).map((entry) => [placeOf(entry), words[entry.verdict]]));
  if (totals.undone > shownMax) print`  ... and ${totals.undone - shownMax} more`;
  if (totals.kept > 0) print`kept: ${totals.kept}`;
  printTable(kept.slice(0, shownMax).map((entry) => [placeOf(entry), entry.reason]));
  if (totals.kept > shownMax) print`  ... and ${totals.kept - shownMax} more`;
  for (const error of errors) print`failed: ${error}`;
  for (const { type, error } of rest.workers_not_resumed) print`${type} was not started again: ${error}`;
  print`${dry_run ? 'dry run, nothing was changed: ' : ''}${message}`;
  if (!dry_run && totals.undone > 0) print`"codekeep undo ${rest.run_id}" brings it all back`;
}
