import type { RewindReport, RewindRequest, RewindScope } from '../../base/ipc.js';
import type { Rewound } from '../../contract/history.js';
import { repairListMax } from '../../contract/list-limits.js';
import type { RunOutcome } from '../../reconcile/repair/batches.js';
import { keptRewind } from '../../reconcile/repair/kept-plan.js';
import { recoverRuns } from '../../reconcile/repair/recover.js';
import {
  executeRewind,
  mayNeedRewind,
  type PlannedRewind,
  planRewind,
  type RewindRun,
} from '../../reconcile/repair/rewind.js';
import type { Proven } from '../../reconcile/repair/rewind-observe.js';
import type { RewoundAction } from '../../reconcile/repair/rewind-batch.js';
import { type RewindVerdict } from '../../reconcile/repair/rewind-plan.js';
import { IndexDatabase } from '../../store/index-database.js';
import { noteRun } from '../../store/journal.js';
import { requireProject } from '../../store/projects.js';
import type { RequestCall } from '../host.js';
import { assertSamePlan } from './same-plan.js';

/** The dry run of a rewind, over a connection that cannot write. */
export async function planRewindOf(
  databasePath: string,
  scope: RewindScope,
  call: RequestCall,
): Promise<RewindReport> {
  const index = IndexDatabase.openReadOnly(databasePath);
  try {
    const planned = await planFor(index, scope, call, 'all');
    return { plan: keptRewind(planned.project.id, planned.actions), rewound: rewoundOf(planned, null) };
  } finally {
    index.close();
  }
}

/** Whether there may be anything to do: the first path that tells so ends it. */
export async function needsRewind(
  index: IndexDatabase,
  { project_id, to, paths, prefix }: RewindScope,
  call: RequestCall,
): Promise<boolean> {
  return await mayNeedRewind(index, requireProject(index, { project_id }), to, { paths, prefix }, call);
}

/** rewind in its own process, after the supervisor has stopped the workers. */
export async function rewindProject(
  index: IndexDatabase,
  request: RewindRequest,
  call: RequestCall,
): Promise<RewindReport> {
  const context = { index, now: Date.now, signal: call.signal, progress: call.progress };
  await recoverRuns(context);
  // What is there is proven before it goes; a plan that somebody holds against this one has to be whole.
  const planned = await planFor(index, request, call, request.expected === undefined ? 'wanted' : 'all');
  return { rewound: rewoundOf(planned, await executeRewind(context, runOf(request), planned)) };
}

/** A rewind that had nothing to do is known by its id, as every run is; no worker is stopped for it. */
export async function noteRewind(
  index: IndexDatabase,
  request: Pick<RewindRequest, 'run_id' | 'project_id' | 'to'>,
): Promise<void> {
  const { rootDir, versionDir } = requireProject(index, { project_id: request.project_id });
  const run = { ...runOf(request), rewindTo: request.to, rootDir, versionDir };
  await index.write(() => noteRun(index, run, '0 rewound', Date.now()));
}

function runOf({ run_id, project_id }: Pick<RewindRequest, 'run_id' | 'project_id'>): RewindRun {
  return { runId: run_id, projectId: project_id, origin: 'command', undoes: null };
}

/** @throws CodekeepError PLAN_STALE where it is not what a dry run said */
async function planFor(
  index: IndexDatabase,
  { project_id, to, paths, prefix, expected }: RewindScope,
  call: RequestCall,
  proven: Proven,
): Promise<PlannedRewind> {
  const project = requireProject(index, { project_id });
  const planned = await planRewind(index, project, to, { paths, prefix }, call, proven);
  if (expected !== undefined) assertSamePlan('rewind', [expected], [keptRewind(project.id, planned.actions)]);
  return planned;
}

const partOf = { restore: 'restored', revert: 'reverted', remove: 'removed' } as const;

/** What was planned (outcome null), or what was done of it. */
function rewoundOf(
  { project, to, plan, actions }: PlannedRewind,
  outcome: RunOutcome<RewoundAction> | null,
): Rewound {
  const acted = outcome?.done ?? actions;
  const withVerdict = (verdict: RewindVerdict): { path: string }[] =>
    acted.filter((action) => action.verdict === verdict).map(({ path }) => ({ path }));
  const lists = {
    restored: withVerdict('restore'),
    reverted: withVerdict('revert'),
    removed: withVerdict('remove'),
    conflicts: [
      ...plan.conflicts,
      ...(outcome?.conflicts ?? []).map(({ path, reason }) => ({ path, reason })),
    ],
    untouched: plan.untouched,
    unrestorable: plan.unrestorable,
    unknown: plan.unknown,
  };
  const { checked, ok } = plan.totals;
  const errors = outcome?.errors ?? [];
  const totals = {
    checked,
    ok,
    ...Object.fromEntries(Object.entries(lists).map(([name, list]) => [name, list.length])),
    failed: errors.length,
  };
  return {
    project_id: project.id,
    root_dir: project.rootDir,
    to: new Date(to).toISOString(),
    restored: cut(lists.restored),
    reverted: cut(lists.reverted),
    removed: cut(lists.removed),
    conflicts: cut(lists.conflicts),
    untouched: cut(lists.untouched),
    unrestorable: cut(lists.unrestorable),
    unknown: cut(lists.unknown),
    errors: cut(errors),
    totals,
    message: messageFor(totals, outcome === null),
  };
}

function cut<T>(list: readonly T[]): T[] {
  return list.slice(0, repairListMax);
}

/** One sentence for people. */
function messageFor(totals: Readonly<Record<string, number>>, isPlan: boolean): string {
  const parts: string[] = [];
  for (const part of Object.values(partOf))
    if ((totals[part] ?? 0) > 0) parts.push(`${totals[part]} ${isPlan ? 'to be ' : ''}${part}`);
  const more = {
    untouched: 'untouched',
    unrestorable: 'not restorable',
    conflicts: 'in conflict',
    unknown: 'unknown',
    failed: 'failed',
  };
  for (const [name, text] of Object.entries(more))
    if ((totals[name] ?? 0) > 0) parts.push(`${totals[name]} ${text}`);
  return parts.length === 0 ? 'Nothing to do: it is as it was then.' : `${parts.join(', ')}.`;
}
