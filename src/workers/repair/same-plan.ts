import { CodekeepError } from '../../base/errors.js';
import type { KeptPlan } from '../../base/ipc.js';
import { repairListMax } from '../../contract/list-limits.js';
import { changesOf } from '../../reconcile/repair/kept-plan.js';

/**
 * @param method that gave the plan by a dry run
 * @throws CodekeepError PLAN_STALE where there is anything else to do by now
 */
export function assertSamePlan(
  method: 'repair_database' | 'rewind' | 'purge',
  expected: readonly KeptPlan[],
  now: readonly KeptPlan[],
): void {
  const changed = changesOf(expected, now);
  if (changed.length === 0) return;
  throw new CodekeepError(
    'PLAN_STALE',
    `The plan is not what there is to do any more: ${changed.length} actions changed, the first at ${changed[0]?.path ?? ''}.`,
    `Nothing was changed. Call ${method} with dry_run again, and give that plan.`,
    { changed: changed.slice(0, repairListMax), count: changed.length },
  );
}
