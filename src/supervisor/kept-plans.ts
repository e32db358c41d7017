import { CodekeepError } from '../base/errors.js';
import type { KeptPlan, RepairScope } from '../base/ipc.js';

/** Plans that are kept at most; and actions in all of them together, some 20 MB. */
const plansMax = 20;
const actionsMax = 100_000;

interface Kept {
  scope: RepairScope;
  plan: readonly KeptPlan[];
}

/** The plans of the latest dry runs, by run_id. In memory: a dry run writes nothing. */
export class KeptPlans {
  readonly #plans = new Map<string, Kept>();

  keep(runId: string, scope: RepairScope, plan: readonly KeptPlan[]): void {
    this.#plans.set(runId, { scope, plan });
    const isTooMuch = (): boolean => this.#plans.size > plansMax || this.#actions() > actionsMax;
    for (const oldest of this.#plans.keys()) if (isTooMuch()) this.#plans.delete(oldest);
  }

  /**
   * What the plan was about, with the plan itself.
   * @throws CodekeepError NOT_FOUND
   */
  scopeOf(planId: string): RepairScope {
    const kept = this.#plans.get(planId);
    if (kept !== undefined) return { ...kept.scope, expected: kept.plan };
    throw new CodekeepError(
      'NOT_FOUND',
      `There is no plan ${planId} (any more).`,
      `Call repair_database with dry_run, and give its run_id. The latest ${plansMax} plans are kept while the daemon runs, up to ${actionsMax} actions.`,
    );
  }

  #actions(): number {
    const plans = [...this.#plans.values()].flatMap(({ plan }) => plan);
    return plans.reduce((sum, { count }) => sum + count, 0);
  }
}
