import type { Command } from 'commander';
import type { Result } from '../contract/index.js';
import { type CommonFlags, withClient } from './client-command.js';
import { type ExitStatus, exitStatus, print, printTable, shownMax } from './output.js';
import { shownPath } from './paths.js';
import { callWithProgress } from './progress.js';

type UndoResult = Exclude<Result<'undo_repair'>, { job_id: string }>;

export function addUndo(program: Command): void {
  program
    .command('undo')
    .description('Take back what a repair, or an undo, did; what was changed since stays')
    .argument('<run>', 'as the repair printed it; "codekeep call list_repairs" lists them all')
    .option('--dry-run', 'only say what would be done')
    .action(async (run: string, flags: CommonFlags & { dryRun?: boolean }) => {
      const params = { run_id: run, dry_run: flags.dryRun ?? false };
      await withClient(
        flags,
        (client) => callWithProgress(client, 'undo_repair', params),
        printUndone,
        statusOf,
      );
    });
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
