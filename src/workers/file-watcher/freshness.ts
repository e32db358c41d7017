import type { ProjectFreshness } from '../../base/ipc.js';
import type { PolledFolders } from './tree-watch.js';

/** What a watcher knows of its own work. */
export interface WatchState {
  /** Why nothing can be concluded, e.g. that the root is away; null while all is well. */
  trouble: string | null;
  /** A reconcile has ended at least once. */
  verifiedOnce: boolean;
  /** A reconcile runs or is due. */
  reconciling: boolean;
  /** Changes that were noticed and are not indexed yet. */
  pending: number;
  /** Files that are missing and that a repair has still to bring back. */
  owed: number;
  /** Why some missing files prove nothing; null where there are none. */
  doubt: string | null;
  /** Why files are kept and not parsed yet; null where there are none. */
  notParsed: string | null;
  /** What no events tell of; null where they tell of all. */
  polled: PolledFolders | null;
  /** Files that can be changed through names that lie elsewhere, and are looked at every few seconds. */
  linked: number;
  /** Why the project has no files, where a rule says so; null otherwise. */
  allIgnored: string | null;
  /** Why it is not known what git tracks. */
  gitProblem: string | null;
}

/**
 * How true the index is: `fresh` only when the last reconcile ended, nothing is pending and events tell of
 * all that happens. Pure; every claim follows from work that was done.
 */
export function judgeFreshness(state: WatchState): Pick<ProjectFreshness, 'freshness' | 'reason'> {
  if (state.trouble !== null) return { freshness: 'unknown', reason: state.trouble };
  if (!state.verifiedOnce) {
    return { freshness: 'rebuilding', reason: 'the first reconcile with the disk is under way' };
  }
  if (state.reconciling) return { freshness: 'stale', reason: 'being reconciled with the disk' };
  if (state.pending > 0) return { freshness: 'stale', reason: `${state.pending} changes are being followed` };
  if (state.owed > 0) {
    return {
      freshness: 'stale',
      reason: `${state.owed} files are missing that a repair did not come to bring back: call repair_database again`,
    };
  }
  if (state.doubt !== null) return { freshness: 'unknown', reason: state.doubt };
  if (state.notParsed !== null) return { freshness: 'stale', reason: state.notParsed };
  if (state.polled !== null) {
    // What happens there is known some time after it has happened.
    const { count, total, reason } = state.polled;
    return { freshness: 'stale', reason: `${count} of ${total} folders are polled: ${reason}` };
  }
  return { freshness: 'fresh', reason: reasonOfFresh(state) };
}

/** What there is to say although all is well. */
function reasonOfFresh({ allIgnored, gitProblem, linked }: WatchState): string | null {
  const git = gitProblem === null ? null : `it is not known what git tracks: ${gitProblem}`;
  const reasons = [allIgnored, git, linkedReason(linked)].filter((reason) => reason !== null);
  return reasons.length === 0 ? null : reasons.join('; ');
}

function linkedReason(linked: number): string | null {
  if (linked === 0) return null;
  return `${linked} files have other names (hard links) and are looked at every 2 s`;
}
