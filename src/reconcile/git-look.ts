import { Slicer } from '../base/waiting.js';
import { activeRows, setTracked } from '../store/files.js';
import { requireProject, setHead } from '../store/projects.js';
import { hasHeadMoved, leftByGit } from './git-left.js';
import { readGitState } from './git-state.js';
import type { IndexingContext } from './index-paths.js';

/**
 * Follows what git tracks and where HEAD is, as after an add or a commit, without a look at the files. Gives true where
 * a whole comparison has to find out what git took away.
 */
export async function lookAtGit(context: IndexingContext): Promise<boolean> {
  const { index, signal } = context;
  const project = requireProject(index, { project_id: context.project.id });
  const git = await readGitState(project.rootDir, signal);
  if (git.problem !== null) return false;
  const isLeft = await leftByGit(project, git, signal);
  const slicer = new Slicer(signal);
  const retracked: { id: number; tracked: 0 | 1 }[] = [];
  for (const { id, path, tracked } of activeRows(index, project.id)) {
    const isTracked = git.isTracked(path) ? 1 : 0;
    if (isLeft({ path, tracked })) return true;
    if (tracked !== isTracked) retracked.push({ id, tracked: isTracked });
    await slicer.breathe();
  }
  await index.write(() => {
    for (const { id, tracked } of retracked) setTracked(index, id, tracked);
    if (hasHeadMoved(project, git)) setHead(index, project.id, git);
  }, signal);
  return false;
}
