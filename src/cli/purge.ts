import { type Command, Option } from 'commander';
import type { Result } from '../contract/index.js';
import { type CommonFlags, withConnection } from './client-command.js';
import {
  CommandError,
  type ExitStatus,
  exitStatus,
  print,
  printJson,
  printTable,
  shownMax,
} from './output.js';
import { parseFolder, placesInProject, projectRoot, shownPath } from './paths.js';
import { exactly, isAsking, isToBeDone } from './planned.js';
import { callWithProgress } from './progress.js';
import { printList } from './repair.js';
import { localTime } from './text.js';

type Purged = Exclude<Result<'purge'>, { job_id: string }>;
type Backups = 'rewrite' | 'delete' | 'keep';

interface PurgeFlags extends CommonFlags {
  project?: string;
  versionId?: string[];
  sha256?: string;
  backups: Backups;
  dryRun?: boolean;
  yes?: boolean;
}

export function addPurge(program: Command): void {
  program
    .command('purge')
    .description(
      'Remove for good what files were, such as a secret: from the index, versions and backups; what is there now stays',
    )
    .argument('[paths...]', 'all that these files were, and that was in these folders')
    .option('--version-id <id...>', 'these versions, as "codekeep history PATH" has them')
    .option('--sha256 <hash>', 'whatever had this content, also where nothing is known of it any more')
    .addOption(
      new Option('--backups <what>', 'what becomes of backups of the index that have it')
        .choices(['rewrite', 'delete', 'keep'])
        .default('rewrite'),
    )
    .option('--dry-run', 'only say what would go')
    .option('--yes', 'do it without asking')
    .option(
      '--project <dir>',
      "the project's root folder; without it the project around the working directory",
      parseFolder,
    )
    .action(async (paths: string[], flags: PurgeFlags) => {
      assertOneChoice(paths, flags);
      await withConnection(flags, async (client) => {
        const root_dir = await projectRoot(client, flags.project, paths[0]);
        const plan = await callWithProgress(client, 'purge', {
          root_dir,
          paths: chosen(root_dir, paths),
          version_ids: flags.versionId,
          sha256: flags.sha256,
          backups: flags.backups,
          dry_run: true,
        });
        const asks = isAsking(flags);
        if (flags.json !== true) printPlan(plan, flags.dryRun === true);
        const isOver = flags.dryRun === true;
        if (!isOver && !(await isToBeDone(asks))) return;
        const plan_id = plan.plan_id ?? '';
        const result = isOver
          ? plan
          : await exactly(async () => await callWithProgress(client, 'purge', { plan_id }));
        if (flags.json === true) printJson(result);
        else if (!isOver) printDone(result, plan);
        process.exitCode = statusOf(result);
      });
    });
}

/** @throws CommandError for the whole project: what cannot be taken back is named */
function chosen(root: string, paths: readonly string[]): string[] | undefined {
  const places = placesInProject(root, paths);
  if (paths.length === 0 || places !== undefined) return places;
  throw new CommandError(
    `That is all that was ever in ${root}.`,
    'Name the files and folders in it that shall go; "codekeep history" and "codekeep deleted" list what is there no more.',
    exitStatus.usage,
  );
}

function assertOneChoice(paths: readonly string[], { versionId, sha256 }: PurgeFlags): void {
  const given = [paths.length > 0, versionId !== undefined, sha256 !== undefined];
  if (given.filter(Boolean).length === 1) return;
  throw new CommandError(
    'What shall go is not said, or in more than one way.',
    'Give paths, or --version-id, or --sha256.',
    exitStatus.usage,
  );
}

/** A dry run foresees what would be left. */
function statusOf({ totals, workers_not_resumed }: Purged): ExitStatus {
  return totals.kept + workers_not_resumed.length > 0 ? exitStatus.left : exitStatus.done;
}

const fateText = {
  rewritten: 'to be written anew without it',
  deleted: 'to be deleted',
  kept: 'to be kept',
} as const;

function printPlan(plan: Purged, isDry: boolean): void {
  const { root_dir, removed, states, copies, backups, message } = plan;
  print`${root_dir}`;
  if (removed.rows > 0) print`  states to be purged: ${removed.rows}`;
  printTable(
    states
      .slice(0, shownMax)
      .map(({ path, seen_at, size, version_id }) => [
        `    ${shownPath(root_dir, path)}`,
        localTime(seen_at),
        `${size} B`,
        version_id ?? '',
      ]),
  );
  if (removed.rows > shownMax) print`    ... and ${removed.rows - shownMax} more (--json lists them)`;
  printList(
    '/',
    'copies to be removed from versions',
    copies.map((path) => ({ path })),
    removed.versions,
  );
  const held = backups.filter(({ held: isHeld }) => isHeld !== false);
  printList(
    '/',
    'backups that have it',
    held.map(({ path, done }) => ({ path, reason: fateText[done] })),
    held.length,
  );
  printKept(plan);
  print`${isDry ? 'dry run, nothing was changed: ' : ''}${message}`;
  if (isDry) return;
  print`It cannot be taken back. What search knows of the project is made again.`;
}

function printKept({ root_dir, kept, totals }: Purged, before: Purged | null = null): void {
  // What the plan named already is not said twice.
  const isNew = ({ path, reason }: { path: string; reason: string }): boolean =>
    before?.kept.some((one) => one.path === path && one.reason === reason) !== true;
  const entries = kept.filter(isNew);
  const [own, elsewhere] = [
    entries.filter(({ path }) => !path.startsWith('/')),
    entries.filter(({ path }) => path.startsWith('/')),
  ];
  printList(root_dir, 'not gone', own, before === null ? totals.kept - elsewhere.length : own.length);
  printList('/', 'not gone elsewhere', elsewhere, elsewhere.length);
}

function printDone(result: Purged, plan: Purged): void {
  printKept(result, plan);
  for (const { type, error } of result.workers_not_resumed) print`${type} was not started again: ${error}`;
  print`purged: ${result.message}`;
}
