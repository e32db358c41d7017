import type { Command } from 'commander';
import type { Result } from '../contract/index.js';
import type { Client } from '../rpc/client/client.js';
import { type CommonFlags, withConnection } from './client-command.js';
import { type ExitStatus, exitStatus, print, printJson } from './output.js';
import { parseFolder, placesInProject, projectRoot } from './paths.js';
import { exactly, isAsking, isToBeDone } from './planned.js';
import { callWithProgress } from './progress.js';
import { type Entry, printList } from './repair.js';
import { localTime } from './text.js';
import { parseWhen } from './when.js';

type Rewound = Exclude<Result<'rewind'>, { job_id: string }>;

interface RewindFlags extends CommonFlags {
  project?: string;
  dryRun?: boolean;
  yes?: boolean;
}

export function addRewind(program: Command): void {
  program
    .command('rewind')
    .description('Make files what they were; what they are now is kept, and "codekeep undo" brings it back')
    .argument(
      '<when>',
      'a time such as 14:03 or "2026-11-30 14:03", 10m, or a checkpoint or its label',
      parseWhen,
    )
    .argument('[paths...]', 'only these files, and what is in these folders')
    .option('--dry-run', 'only say what would be done')
    .option('--yes', 'do it without asking')
    .option(
      '--project <dir>',
      "the project's root folder; without it the project around the working directory",
      parseFolder,
    )
    .action(async (when: string, paths: string[], flags: RewindFlags) => {
      await withConnection(flags, async (client) => {
        const root_dir = await projectRoot(client, flags.project, paths[0]);
        const asked = { root_dir, to: when, paths: placesInProject(root_dir, paths), dry_run: true };
        const plan = await callWithProgress(client, 'rewind', asked, nothingDone);
        const asks = isAsking(flags);
        if (flags.json !== true) printPlan(plan, flags.dryRun === true);
        const isOver = actionsIn(plan) === 0 || flags.dryRun === true;
        if (!isOver && !(await isToBeDone(asks))) return;
        const result = isOver ? plan : await carryOut(client, plan);
        if (flags.json === true) printJson(result);
        else if (!isOver) printDone(result, plan);
        process.exitCode = statusOf(result);
      });
    });
}

/** Exactly what the plan says. */
async function carryOut(client: Client, { run_id, root_dir }: Rewound): Promise<Rewound> {
  const { runs } = await client.call('list_repairs', { root_dir, limit: 1 });
  const wayBack = async (): Promise<string> => await wayBackFrom(client, root_dir, runs[0]?.run_id);
  return await exactly(async () => await callWithProgress(client, 'rewind', { plan_id: run_id }, wayBack));
}

const unchanged = 'Nothing was changed.';

async function nothingDone(): Promise<string> {
  return await Promise.resolve(unchanged);
}

/** Of one that was cancelled. @param before the run that was the newest before it */
async function wayBackFrom(client: Client, root_dir: string, before: string | undefined): Promise<string> {
  const { runs } = await client.call('list_repairs', { root_dir, limit: 1 });
  const run = runs.find(({ run_id, rewind_to }) => run_id !== before && rewind_to !== null);
  const { actions } =
    run === undefined
      ? { actions: [] }
      : await client.call('get_repair', { run_id: run.run_id, limit: 1000 });
  if (run === undefined || !actions.some(({ state }) => state === 'done')) return unchanged;
  return `"codekeep undo ${run.run_id}" takes back what was done so far; the same command does the rest.`;
}

function actionsIn({ totals }: Rewound): number {
  return (totals['restored'] ?? 0) + (totals['reverted'] ?? 0) + (totals['removed'] ?? 0);
}

/** A dry run foresees what would be left. */
function statusOf({ totals, workers_not_resumed }: Rewound): ExitStatus {
  const left = ['conflicts', 'unrestorable', 'unknown', 'failed'].reduce(
    (sum, name) => sum + (totals[name] ?? 0),
    workers_not_resumed.length,
  );
  return left > 0 ? exitStatus.left : exitStatus.done;
}

function printPlan(plan: Rewound, isDry: boolean): void {
  const { root_dir, to, totals, message } = plan;
  print`${root_dir}, as it was at ${localTime(to)}`;
  const list = (title: string, name: 'restored' | 'reverted' | 'removed'): void =>
    printList(root_dir, title, plan[name], totals[name] ?? 0);
  list('to be brought back', 'restored');
  list('to be given their content and mode of then', 'reverted');
  list('to be moved into versions, since they were not there', 'removed');
  printLeft(plan);
  print`${isDry ? 'dry run, nothing was changed: ' : ''}${message}`;
}

function printLeft(of: Rewound, before: Rewound | null = null): void {
  const list = (title: string, name: 'untouched' | 'conflicts' | 'unrestorable' | 'unknown'): void => {
    // What the plan named already is not said twice.
    const isNew = ({ path }: Entry): boolean => before?.[name].some((one) => one.path === path) !== true;
    const total = (of.totals[name] ?? 0) - (before?.totals[name] ?? 0);
    printList(of.root_dir, title, of[name].filter(isNew), total);
  };
  list('not touched', 'untouched');
  list('in conflict', 'conflicts');
  list('not restorable', 'unrestorable');
  list('unknown', 'unknown');
  for (const error of of.errors) print`  failed: ${error}`;
}

function printDone(result: Rewound, plan: Rewound): void {
  printLeft(result, plan);
  for (const { type, error } of result.workers_not_resumed) print`${type} was not started again: ${error}`;
  print`${result.message}`;
  if (actionsIn(result) > 0) print`"codekeep undo ${result.run_id}" takes it back`;
}
