import { CodekeepError } from '../base/errors.js';
import type { KeptPlan } from '../base/ipc.js';

/** Plans that are kept at most; and actions in all of them together, some 20 MB. */
const plansMax = 20;
const actionsMax = 100_000;

interface Kept<S> {
  scope: S;
  plan: readonly KeptPlan[];
}

/** The plans of the latest dry runs, by run_id, each with what it was about. In memory: a dry run writes nothing. */
export class KeptPlans<S> {
  readonly #plans = new Map<string, Kept<S>>();
  readonly #method: string;

  /** @param method that gives plans, for who asks for one that is none */
  constructor(method: string) {
    this.#method = method;
  }

  keep(runId: string, scope: S, plan: readonly KeptPlan[]): void {
    this.#plans.set(runId, { scope, plan });
    const isTooMuch = (): boolean => this.#plans.size > plansMax || this.#actions() > actionsMax;
    for (const oldest of this.#plans.keys()) if (isTooMuch()) this.#plans.delete(oldest);
  }

  /**
   * What the plan was about, and the plan itself.
   * @throws CodekeepError NOT_FOUND
   */
  of(planId: string): Kept<S> {
    const kept = this.#plans.get(planId);
    if (kept !== undefined) return kept;
    throw new CodekeepError(
      'NOT_FOUND',
      `There is no plan ${planId} (any more).`,
      `Call ${this.#method} with dry_run, and give its run_id. The latest ${plansMax} plans are kept while the daemon runs, up to ${actionsMax} actions.`,
    );
  }

  #actions(): number {
    const plans = [...this.#plans.values()].flatMap(({ plan }) => plan);
    return plans.reduce((sum, { count }) => sum + count, 0);
  }
}
