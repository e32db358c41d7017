import { CodekeepError } from '../rpc/client/client.js';
import { assertCanAsk, exitStatus, goOnUnread, isAgreed, print } from './output.js';

/** Options of a command that shows its plan, asks, and does exactly that. */
export interface PlannedFlags {
  dryRun?: boolean;
  yes?: boolean;
  json?: boolean;
}

/**
 * Whether somebody is asked before it is done. Call it once there is a plan: what is wrong with what was typed is said first.
 * @throws CommandError where nobody can be asked
 */
export function isAsking({ dryRun, yes, json }: PlannedFlags): boolean {
  // What was printed until then is no more than the plan.
  goOnUnread();
  if (dryRun === true || yes === true) return false;
  assertCanAsk(json === true, 'Add --dry-run to see what it would do');
  return true;
}

/** Asks, where somebody is to be asked; a no is said, and is a failure. */
export async function isToBeDone(asks: boolean, question = 'Do this?'): Promise<boolean> {
  if (!asks || (await isAgreed(question))) return true;
  print`nothing was changed`;
  process.exitCode = exitStatus.failed;
  return false;
}

/** Has a plan carried out that is refused where it is not what there is to do any more. */
export async function exactly<R>(carryOut: () => Promise<R>): Promise<R> {
  try {
    return await carryOut();
  } catch (error) {
    if (!(error instanceof CodekeepError) || error.code !== 'PLAN_STALE') throw error;
    const hint = 'Nothing was changed. The same command says what there is to do by now.';
    throw new CodekeepError(error.code, error.message, hint, error.details);
  }
}
