import { repairListMax } from '../../contract/list-limits.js';
import type { RepairReport } from '../../base/ipc.js';
import type { ApplyOutcome } from '../../reconcile/repair/apply.js';
import { deletedSince } from '../../store/files.js';
import type { IndexDatabase } from '../../store/index-database.js';
import type { Action, Plan } from '../../reconcile/repair/plan.js';
import { type PlannedRepair, summaryOf } from '../../reconcile/repair/repair-project.js';

const dayMs = 86_400_000;

type ProjectReport = RepairReport['projects'][number];

/** What was planned (outcome null), or what was done of it. */
export function reportOf(
  index: IndexDatabase,
  { project, plan }: PlannedRepair,
  outcome: ApplyOutcome | null,
  now: number,
): ProjectReport {
  const acted = outcome?.done ?? plan.actions;
  const brief = (verdict: Action['verdict']): { id: number; path: string }[] =>
    acted
      .filter((action) => action.verdict === verdict)
      .slice(0, repairListMax)
      .map(({ id, path }) => ({ id, path }));
  const restored = acted.filter((action) => action.verdict === 'restore_from_cst').slice(0, repairListMax);
  return {
    project_id: project.id,
    root_dir: project.rootDir,
    version_dir: project.versionDir,
    files_in_project_restored: brief('clear_deleted'),
    files_in_versions_marked_deleted: brief('set_deleted'),
    files_restored_from_cst: restored.map(({ id, path, targets, sha256 }) => ({
      id,
      path,
      targets,
      sha256,
    })),
    recently_deleted: recentlyDeleted(
      index,
      project.id,
      now,
      outcome === null ? acted : [],
      plan.unrestorable,
    ),
    unrestorable: plan.unrestorable.slice(0, repairListMax),
    conflicts: [...plan.conflicts, ...(outcome?.conflicts ?? [])].slice(0, repairListMax),
    unknown: plan.unknown.slice(0, repairListMax),
    errors: (outcome?.errors ?? []).slice(0, repairListMax),
    totals: totalsOf(plan, outcome),
    message: summaryOf(plan, outcome),
  };
}

/** What went in the last day, or goes by the plan, and does not come back by it although it could. */
function recentlyDeleted(
  index: IndexDatabase,
  projectId: string,
  now: number,
  planned: readonly Action[],
  lost: readonly { id: number }[],
): ProjectReport['recently_deleted'] {
  const comesBack = planned.filter(
    ({ verdict, targets }) => verdict === 'clear_deleted' || targets.includes('project'),
  );
  const others = new Set([...comesBack, ...lost].map(({ id }) => id));
  const goes = planned
    .filter(({ verdict }) => verdict === 'set_deleted')
    .map(({ path, cause }) => ({ path, cause: cause ?? 'repair', deletedAt: now }));
  const went = deletedSince(index, projectId, now - dayMs, repairListMax + others.size).filter(
    ({ id }) => !others.has(id),
  );
  return [...goes, ...went]
    .slice(0, repairListMax)
    .map(({ path, cause, deletedAt }) => ({ path, cause, deleted_at: new Date(deletedAt).toISOString() }));
}

/** What was planned; after a run, what was done of it, and the rest where it went. */
function totalsOf(plan: Plan, outcome: ApplyOutcome | null): Record<string, number> {
  if (outcome === null) return { ...plan.totals, failed: 0 };
  const totals: Record<string, number> = { ...plan.totals, failed: outcome.errors.length };
  for (const verdict of ['clear_deleted', 'set_deleted', 'restore_from_cst'] as const) {
    totals[verdict] = outcome.done.filter((action) => action.verdict === verdict).length;
  }
  totals['conflict'] = plan.totals.conflict + outcome.conflicts.length;
  return totals;
}
