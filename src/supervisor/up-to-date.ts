import { CodekeepError } from '../base/errors.js';
import type { Reconciled } from '../base/ipc.js';
import type { Work } from '../base/progress.js';
import type { Alone } from './alone.js';
import type { Supervisor } from './supervisor.js';

/**
 * Resolves once what a project is now is in the index: a moment of it that somebody names, or leaves, can be come back to.
 * @throws CodekeepError INDEX_STALE where it cannot be known; what a reconcile ends with
 */
export async function bringUpToDate(
  supervisor: Supervisor,
  alone: Pick<Alone, 'drainWatcher'>,
  projectId: string,
  work: Work,
): Promise<void> {
  // Where a watcher has followed all that it was told of, a comparison would find nothing.
  const isDrained = await alone.drainWatcher(work.signal);
  if (isDrained && supervisor.freshness.isFresh(projectId)) return;
  assertKnown(await supervisor.reconciles.run({ projectId, isNew: false }, work));
}

/** What is only not parsed yet is kept all the same; what is on a disk that is away is what it was last, and nothing touches it. */
function assertKnown({ unsettled, owed, doubt, isAway }: Reconciled): void {
  const [changing] = unsettled;
  const reason =
    (isAway ? null : doubt) ??
    (changing === undefined ? null : `${changing} changes all the time`) ??
    (owed === 0 ? null : `${owed} files are missing that a repair has still to bring back`);
  if (reason === null) return;
  throw new CodekeepError(
    'INDEX_STALE',
    `What the project is now is not known: ${reason}.`,
    'Mend the cause, then call again; get_project_status says more.',
  );
}
