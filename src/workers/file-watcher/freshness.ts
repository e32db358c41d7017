import type { ProjectFreshness } from '../../base/ipc.js';

/** What a watcher knows of its own work. */
export interface WatchState {
  /** Why nothing can be concluded, e.g. that the root is away; null while all is well. */
  trouble: string | null;
  /** A comparison of the whole tree has ended at least once. */
  verifiedOnce: boolean;
  /** A comparison of the whole tree runs or is due. */
  comparing: boolean;
  /** Changes that were noticed and are not indexed yet. */
  pending: number;
  /** File events arrive. */
  watched: boolean;
  /** Why the project has no files, where a rule says so; null otherwise. */
  allIgnored: string | null;
}

/**
 * How true the index is: `fresh` only when the last comparison ended, nothing is pending and the watch is
 * alive. Pure; every claim follows from work that was done.
 */
export function judgeFreshness(state: WatchState): Pick<ProjectFreshness, 'freshness' | 'reason'> {
  if (state.trouble !== null) return { freshness: 'unknown', reason: state.trouble };
  if (!state.verifiedOnce) {
    return { freshness: 'rebuilding', reason: 'the first comparison with the disk is under way' };
  }
  if (state.comparing) return { freshness: 'stale', reason: 'being compared with the disk' };
  if (state.pending > 0) return { freshness: 'stale', reason: `${state.pending} changes are being followed` };
  if (!state.watched) return { freshness: 'stale', reason: 'no file events: compared every few seconds' };
  return { freshness: 'fresh', reason: state.allIgnored };
}
