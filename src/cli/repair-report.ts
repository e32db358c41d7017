import { closeSync, openSync, unlinkSync, writeFileSync } from 'node:fs';
import { errnoOf, reasonOf } from '../base/errors.js';
import { repairListMax } from '../contract/list-limits.js';
import type { Result } from '../contract/index.js';
import type { Client } from '../rpc/client/client.js';
import { CommandError } from './output.js';
import { oneLine } from './text.js';

/** repair --report: what was mended, what not, why, and what to do; Markdown, or JSON by the file's name. */

export type RepairReport = Exclude<Result<'repair_database'>, { job_id: string }>;
type ProjectReport = Pick<
  Extract<RepairReport, { project_id: string }>,
  | 'project_id'
  | 'root_dir'
  | 'files_in_project_restored'
  | 'files_in_versions_marked_deleted'
  | 'files_restored_from_cst'
  | 'recently_deleted'
  | 'unrestorable'
  | 'conflicts'
  | 'unknown'
  | 'errors'
  | 'totals'
>;
type RepairAction = Result<'get_repair'>['actions'][number];

export function projectsOf(report: RepairReport): readonly ProjectReport[] {
  return 'projects' in report ? report.projects : [report];
}

/** What a person can do about what is left. */
const advice = {
  unrestorable:
    'Neither the index nor the versions nor a backup of codekeep has its content. Bring it back from where else it may be (git, another machine); a comparison takes it up.',
  conflicts: 'Something else stands in its place, or came there meanwhile: move it away, then repair again.',
  unknown: 'It could not be looked at, and so nothing was concluded: mend the cause, then repair again.',
  errors: 'Mend the cause that is named, then repair again: what is left is done then.',
  lost: 'It was in damaged pages of the index. Bring it back from where else it may be; the damaged index is kept.',
  recently_deleted: 'Nothing to mend: "codekeep restore PATH" brings one back.',
} as const;

/** A file for the report: before the repair begins it is tried whether it can be made, and left to nobody who ends before it. */
export class ReportFile {
  readonly #path: string;
  #failure: string | null = null;

  /** @throws CommandError where something is there already, or it cannot be made */
  constructor(path: string) {
    if (path === '')
      throw new CommandError('--report names no file.', 'Nothing was repaired. Give a file for the report.');
    this.#path = path;
    try {
      closeSync(openSync(path, 'wx'));
      unlinkSync(path);
    } catch (error) {
      const problem =
        errnoOf(error) === 'EEXIST' ? 'is there already' : `cannot be made (${errnoOf(error) ?? ''})`;
      throw new CommandError(
        `${path} ${problem}.`,
        'Nothing was repaired. Give another file for the report.',
      );
    }
  }

  write(report: RepairReport, actions: readonly RepairAction[]): void {
    const isJson = this.#path.endsWith('.json');
    try {
      const content = isJson ? jsonOf(report, actions) : markdownOf(report, actions);
      writeFileSync(this.#path, content, { flag: 'wx' });
    } catch (error) {
      // What was repaired is to be said all the same.
      this.#failure = reasonOf(error);
    }
  }

  /** @throws CommandError */
  assertWritten(): void {
    if (this.#failure !== null)
      throw new CommandError(
        `The report could not be written to ${this.#path}: ${this.#failure}.`,
        'What is above was done; "codekeep call list_repairs" and get_repair have it, too.',
      );
  }
}

/** All that a run did; its result has the first thousand of each kind. */
export async function allActions(client: Client, { run_id, dry_run }: RepairReport): Promise<RepairAction[]> {
  const all: RepairAction[] = [];
  if (dry_run) return all;
  for (let cursor: string | undefined; ;) {
    const page = await client.call('get_repair', { run_id, limit: 1_000, cursor }).catch(() => null);
    // A run that had nothing to do is in no journal.
    if (page === null) return all;
    all.push(...page.actions);
    if (page.next_cursor === null) return all;
    cursor = page.next_cursor;
  }
}

function jsonOf(report: RepairReport, actions: readonly RepairAction[]): string {
  return `${JSON.stringify({ at: new Date().toISOString(), ...report, actions, advice }, null, 2)}\n`;
}

function markdownOf(report: RepairReport, actions: readonly RepairAction[]): string {
  const { run_id, dry_run, backup_path, message, duration_ms, rebuilt } = report;
  const lines = [
    `# ${dry_run ? 'What a repair would do' : 'Repair'}, ${new Date().toISOString()}`,
    '',
    message,
    '',
    `- run: ${code(run_id)}, ${Math.round(duration_ms)} ms`,
    ...(dry_run
      ? [`- nothing was changed; ${code(`codekeep repair --plan ${run_id}`)} does exactly this`]
      : [
          `- backup of the index before it: ${backup_path === null ? 'none, because nothing was to be changed' : code(backup_path)}`,
          ...(backup_path === null ? [] : [`- ${code(`codekeep undo ${run_id}`)} takes it back`]),
        ]),
    ...report.workers_not_resumed.map(({ type, error }) => `- ${type} was not started again: ${text(error)}`),
  ];
  if (rebuilt !== null) lines.push(...rebuiltLines(rebuilt));
  for (const project of projectsOf(report))
    lines.push(
      ...projectLines(
        project,
        actions.filter(({ project_id }) => project_id === project.project_id),
      ),
    );
  return `${lines.join('\n')}\n`;
}

function rebuiltLines({ lost, lost_count, original_path }: NonNullable<RepairReport['rebuilt']>): string[] {
  const kept = original_path === null ? [] : [`The one that was there is kept: ${code(original_path)}`];
  const losses = lost.map(({ root_dir, path, reason }) => ({
    path: root_dir === null ? path : `${root_dir}/${path}`,
    reason,
  }));
  return [
    '',
    '## The index was damaged, and made anew',
    '',
    ...kept,
    ...section('Lost', losses, lost_count, advice.lost),
  ];
}

function projectLines(project: ProjectReport, actions: readonly RepairAction[]): string[] {
  const { totals } = project;
  return [
    '',
    `## ${code(project.root_dir)}`,
    ...mendedLines(project, actions),
    ...section('Not restorable', project.unrestorable, totals['unrestorable'], advice.unrestorable),
    ...section('In conflict', project.conflicts, totals['conflict'], advice.conflicts),
    ...section('Unknown', project.unknown, totals['unknown'], advice.unknown),
    ...section(
      'Failed',
      project.errors.map((reason) => ({ path: '', reason })),
      project.errors.length,
      advice.errors,
    ),
    ...section(
      'Deleted in the last day, and so not restored',
      project.recently_deleted.map(({ path, deleted_at }) => ({ path, reason: deleted_at })),
      project.recently_deleted.length,
      advice.recently_deleted,
    ),
  ];
}

const verdictText: Readonly<Record<string, string>> = {
  clear_deleted: 'is there: no longer marked deleted',
  set_deleted: 'only in versions: marked deleted',
};

function mendedLines(project: ProjectReport, actions: readonly RepairAction[]): string[] {
  const done = actions.filter(({ state }) => state === 'done');
  const listed = [
    ...project.files_in_project_restored.map(({ path }) => ({ path, verdict: 'clear_deleted', targets: [] })),
    ...project.files_in_versions_marked_deleted.map(({ path }) => ({
      path,
      verdict: 'set_deleted',
      targets: [],
    })),
    ...project.files_restored_from_cst.map(({ path, targets }) => ({
      path,
      verdict: 'restore_from_cst',
      targets,
    })),
  ];
  const entries = (done.length > 0 ? done : listed).map(({ path, verdict, targets }) => ({
    path,
    reason: verdictText[verdict] ?? `restored into ${targets.join(' and ')}`,
  }));
  const total = ['clear_deleted', 'set_deleted', 'restore_from_cst'].reduce(
    (sum, verdict) => sum + (project.totals[verdict] ?? 0),
    0,
  );
  return section('Mended', entries, total);
}

function section(
  title: string,
  entries: readonly { path: string; reason: string }[],
  total = entries.length,
  note?: string,
): string[] {
  if (entries.length === 0) return [];
  const lines = ['', `### ${title}: ${total}`, ''];
  if (note !== undefined) lines.push(note, '');
  for (const { path, reason } of entries)
    lines.push(path === '' ? `- ${text(reason)}` : `- ${code(path)}: ${text(reason)}`);
  if (total > entries.length)
    lines.push('', `These are the first ${Math.min(entries.length, repairListMax)}.`);
  return lines;
}

/** A name may hold anything: it ends neither its code nor its line. */
function code(name: string): string {
  const shown = oneLine(name);
  const longest = Math.max(0, ...[...shown.matchAll(/`+/gu)].map(([run]) => run.length));
  const fence = '`'.repeat(longest + 1);
  const pad = longest > 0 ? ' ' : '';
  return `${fence}${pad}${shown}${pad}${fence}`;
}

function text(words: string): string {
  return oneLine(words).replaceAll(/[\\`*_<>[\]|#]/gu, (character) => `\\${character}`);
}
