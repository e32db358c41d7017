import type { Result } from '../contract/index.js';
import { print, table } from './output.js';

/** Paths shown of each list; --json and get_repair have all. */
const shownMax = 20;

type RepairReport = Exclude<Result<'repair_database'>, { job_id: string }>;
type ProjectReport = Extract<RepairReport, { project_id: string }>;

/** What a repair did, or would do, for people. */
export function printReport(report: RepairReport): void {
  const projects: readonly Omit<ProjectReport, keyof Frame>[] =
    'projects' in report ? report.projects : [report];
  for (const project of projects) printProject(project, report.dry_run);
  const { stopped_workers } = report.workers_stopped;
  for (const { type, pid, how, duration_ms } of stopped_workers) {
    print(`${type} (pid ${pid}) ${how} in ${duration_ms} ms`);
  }
  for (const { type, pid } of report.workers_resumed) print(`started ${type} again (pid ${pid})`);
  for (const { type, error } of report.workers_not_resumed) print(`${type} was not started again: ${error}`);
  if (report.backup_path !== null) print(`backup of the index: ${report.backup_path}`);
  print(`${report.dry_run ? 'dry run, nothing was changed: ' : ''}${report.message}`);
}

type Frame = Pick<
  ProjectReport,
  | 'run_id'
  | 'dry_run'
  | 'workers_stopped'
  | 'workers_resumed'
  | 'workers_not_resumed'
  | 'backup_path'
  | 'message'
  | 'duration_ms'
>;

function printProject(project: Omit<ProjectReport, keyof Frame>, isDry: boolean): void {
  print(project.root_dir);
  const will = isDry ? 'to be ' : '';
  printList(`${will}unmarked, because present`, project.files_in_project_restored);
  printList(`${will}marked deleted, because only in versions`, project.files_in_versions_marked_deleted);
  printList(
    `${will}restored from the syntax tree`,
    project.files_restored_from_cst.map(({ path, targets }) => ({ path, reason: targets.join(' and ') })),
  );
  printList('not restorable', project.unrestorable);
  printList('in conflict', project.conflicts);
  printList('unknown', project.unknown);
  for (const error of project.errors) print(`  failed: ${error}`);
}

function printList(title: string, entries: readonly { path: string; reason?: string }[]): void {
  if (entries.length === 0) return;
  print(`  ${title}: ${entries.length}`);
  print(table(entries.slice(0, shownMax).map(({ path, reason }) => [`    ${path}`, reason ?? ''])));
  if (entries.length > shownMax) print(`    ... and ${entries.length - shownMax} more (--json lists them)`);
}
