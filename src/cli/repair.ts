import { resolve } from 'node:path';
import type { Command } from 'commander';
import { repairListMax } from '../contract/list-limits.js';
import { type CommonFlags, withClient } from './client-command.js';
import { type ExitStatus, exitStatus, print, printTable, shownMax } from './output.js';
import { parseFolder, shownPath } from './paths.js';
import { allActions, projectsOf, type RepairReport, ReportFile } from './repair-report.js';
import { causeText } from './text.js';
import { callWithProgress } from './progress.js';
import { printRebuilt } from './rebuild.js';
import { parseWhen } from './when.js';

/** What went by one mistake went within so much (minutes), mostly. */
const sinceMinutesMin = 10;

interface RepairFlags extends CommonFlags {
  dryRun?: boolean;
  force?: boolean;
  resume: boolean;
  versionDir?: string;
  deletedSince?: string;
  plan?: string;
  report?: string;
}

export function addRepair(program: Command): void {
  program
    .command('repair')
    .description('Stop the workers and mend index and project; all projects without DIR')
    .argument('[dir]', "the project's root folder", parseFolder)
    .option('--dry-run', 'only say what would be done')
    .option(
      '--deleted-since <time>',
      'take what a watcher marked deleted since then for lost, such as 10m',
      parseWhen,
    )
    .option('--plan <run>', 'do exactly what this dry run said, or nothing where that changed')
    .option('--report <file>', 'write what was mended, what not, and why; JSON where it ends in .json')
    .option('--force', 'what is missing shall come back, although the root folder is another one')
    .option('--no-resume', 'leave the workers stopped afterwards')
    .option('--version-dir <dir>', "look for versions here instead of the project's own folder")
    .action(async (dir: string | undefined, flags: RepairFlags) => {
      const params = {
        root_dir: dir === undefined ? undefined : resolve(dir),
        version_dir: flags.versionDir,
        deleted_since: flags.deletedSince,
        plan_id: flags.plan,
        dry_run: flags.dryRun ?? false,
        force: flags.force ?? false,
        resume_workers: flags.resume,
      };
      const file = flags.report === undefined ? null : new ReportFile(flags.report);
      await withClient(
        flags,
        async (client) => {
          const report = await callWithProgress(client, 'repair_database', params);
          if (file !== null) file.write(report, await allActions(client, report));
          return report;
        },
        printReport,
        statusOf,
      );
      file?.assertWritten();
    });
}

type ProjectReport = ReturnType<typeof projectsOf>[number];

/** A dry run foresees what would be left. */
function statusOf(report: RepairReport): ExitStatus {
  const left = projectsOf(report).flatMap(({ unrestorable, conflicts, unknown, errors }) => [
    ...unrestorable,
    ...conflicts,
    ...unknown,
    ...errors,
  ]);
  const workers = report.workers_stopped.errors.length + report.workers_not_resumed.length;
  const lost = report.rebuilt?.lost_count ?? 0;
  return left.length + workers + lost > 0 ? exitStatus.left : exitStatus.done;
}

function actionsIn(report: RepairReport): number {
  const verdicts = ['clear_deleted', 'set_deleted', 'restore_from_cst'];
  const counts = projectsOf(report).flatMap(({ totals }) => verdicts.map((verdict) => totals[verdict] ?? 0));
  return counts.reduce((sum, count) => sum + count, 0);
}

/** What a repair did, or would do, for people. */
function printReport(report: RepairReport): void {
  if (report.rebuilt !== null) printRebuilt(report.rebuilt);
  for (const project of projectsOf(report)) printProject(project, report.dry_run);
  for (const { type, pid, how, duration_ms } of report.workers_stopped.stopped_workers)
    print`${type} (pid ${pid}) ${how} in ${duration_ms} ms`;
  for (const { type, pid } of report.workers_resumed) print`started ${type} again (pid ${pid})`;
  for (const { type, error } of report.workers_not_resumed) print`${type} was not started again: ${error}`;
  if (report.backup_path !== null) print`backup of the index: ${report.backup_path}`;
  print`${report.dry_run ? 'dry run, nothing was changed: ' : ''}${report.message}`;
  if (report.dry_run && actionsIn(report) > 0)
    print`"codekeep repair --plan ${report.run_id}" does exactly this`;
  // Before its first action a run makes one.
  if (report.backup_path !== null) print`"codekeep undo ${report.run_id}" takes it back`;
}

function printProject(project: ProjectReport, isDry: boolean): void {
  const { root_dir } = project;
  print`${root_dir}`;
  const will = isDry ? 'to be ' : '';
  const restored = project.files_restored_from_cst.map(({ path, targets }) => ({
    path,
    reason: `into ${targets.join(' and ')}`,
  }));
  const list = (title: string, verdict: string, entries: readonly Entry[]): void =>
    printList(root_dir, title, entries, project.totals[verdict] ?? entries.length);
  list(`${will}unmarked, because present`, 'clear_deleted', project.files_in_project_restored);
  list(
    `${will}marked deleted, because only in versions`,
    'set_deleted',
    project.files_in_versions_marked_deleted,
  );
  list(`${will}restored from the syntax tree`, 'restore_from_cst', restored);
  list('not restorable', 'unrestorable', project.unrestorable);
  list('in conflict', 'conflict', project.conflicts);
  list('unknown', 'unknown', project.unknown);
  for (const error of project.errors) print`  failed: ${error}`;
  printDeleted(project);
}

/** What is gone because somebody deleted it is nothing to mend; people who miss it have to hear how it comes back. */
function printDeleted({ root_dir, recently_deleted }: ProjectReport): void {
  const { length } = recently_deleted;
  if (length === 0) return;
  // Nobody counts what the list leaves out.
  const isCut = length >= repairListMax;
  print`  deleted in the last day, and so not restored: ${isCut ? '1,000 or more, the newest first' : length}`;
  printTable(
    recently_deleted
      .slice(0, shownMax)
      .map(({ path, cause, deleted_at }) => [
        `    ${shownPath(root_dir, path)}`,
        deleted_at,
        cause === null ? '' : causeText[cause],
      ]),
  );
  if (length > shownMax) print`    ... and ${length - shownMax}${isCut ? ' or' : ''} more`;
  print`  "codekeep restore PATH" brings one back`;
  const watched = recently_deleted.filter(({ cause }) => cause === 'seen' || cause === 'unseen');
  if (watched.length > 0)
    print`  "codekeep repair --deleted-since ${sinceLast(watched)}" brings back what a watcher marked since then`;
}

/** Reaches back to the last of them: a command that would bring nothing back is of no use to anybody. */
function sinceLast(deletions: readonly { deleted_at: string }[]): string {
  const last = Math.max(...deletions.map(({ deleted_at }) => Date.parse(deleted_at)));
  return `${Math.max(Math.ceil((Date.now() - last) / 60_000), sinceMinutesMin)}m`;
}

export interface Entry {
  path: string;
  reason?: string;
}

/** @param total how many there are, of which the list may have the first only */
export function printList(root: string, title: string, entries: readonly Entry[], total: number): void {
  if (entries.length === 0) return;
  print`  ${title}: ${total}`;
  printTable(
    entries.slice(0, shownMax).map(({ path, reason }) => [`    ${shownPath(root, path)}`, reason ?? '']),
  );
  const listed = total > entries.length ? `the first ${entries.length}` : 'them';
  if (total > shownMax) print`    ... and ${total - shownMax} more (--json lists ${listed})`;
}
