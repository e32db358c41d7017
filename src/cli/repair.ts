import { SingleBar } from 'cli-progress';
import { sleep } from '../base/waiting.js';
import type { Input, Result } from '../contract/index.js';
import type { Client } from '../rpc/client.js';
import { print, table } from './output.js';

/** How often the progress is looked at (ms). */
const lookEveryMs = 100;
/** Paths shown of each list; --json and get_repair have all. */
const shownMax = 20;

type RepairReport = Exclude<Result<'repair_database'>, { job_id: string }>;
type ProjectReport = Extract<RepairReport, { project_id: string }>;

/** Calls repair_database and shows its progress on a terminal while it runs. */
export async function repairWithProgress(
  client: Client,
  params: Input<'repair_database'>,
): Promise<RepairReport> {
  const ended = new AbortController();
  const shown = process.stderr.isTTY
    ? showProgress(client, ended.signal).catch(() => undefined)
    : Promise.resolve();
  try {
    const result = await client.call('repair_database', params);
    if ('job_id' in result) throw new Error('repair_database gave a job although it was waited for');
    return result;
  } finally {
    ended.abort();
    await shown;
  }
}

async function showProgress(client: Client, signal: AbortSignal): Promise<void> {
  const bar = new SingleBar({
    format: '{phase} [{bar}] {value}/{total}',
    stream: process.stderr,
    clearOnComplete: true,
  });
  bar.start(0, 0, { phase: 'starting' });
  try {
    while (!signal.aborted) {
      const { jobs } = await client.call('list_jobs');
      const job = jobs.find(({ method, state }) => method === 'repair_database' && state === 'running');
      if (job !== undefined) {
        bar.setTotal(job.progress.total);
        bar.update(job.progress.done, { phase: job.progress.message });
      }
      await sleep(lookEveryMs, signal);
    }
  } finally {
    bar.stop();
  }
}

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
  if (report.backup_path !== null) print(`backup of the index: ${report.backup_path}`);
  print(`${report.dry_run ? 'dry run, nothing was changed: ' : ''}${report.message}`);
}

type Frame = Pick<
  ProjectReport,
  'run_id' | 'dry_run' | 'workers_stopped' | 'workers_resumed' | 'backup_path' | 'message' | 'duration_ms'
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
