/** Placeholder until the full one comes in. */
export interface GitState {
  head: string | null;
  isTracked: (path: string) => boolean;
  hasTrackedBelow: (folder: string) => boolean;
  excludesFile: string | null;
}

export async function readGitState(_root: string, _signal?: AbortSignal): Promise<GitState> {
  return Promise.resolve({ head: null, isTracked: () => false, hasTrackedBelow: () => false, excludesFile: null });
}

/** git had it, HEAD has moved since the last comparison, and now git does not have it. */
export function isLeftByGit(
  project: { head: string | null },
  git: GitState,
  row: { path: string; tracked: 0 | 1 },
): boolean {
  return row.tracked === 1 && git.head !== project.head && !git.isTracked(row.path);
}

