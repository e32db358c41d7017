import { listProjects, versionDirs } from '../store/projects.js';
import { IgnoreRules } from './ignore-rules.js';
import type { IndexingContext } from './index-paths.js';
import type { ProjectGit } from './project-git.js';

/** Folders of the program's own: nothing in them is content, whatever leads to it. */
export function ownFolders({ index, stateDir }: Pick<IndexingContext, 'index' | 'stateDir'>): string[] {
  return [stateDir, ...versionDirs(index)];
}

/** The rules of a project as they are now; what lies below the root of another project is that project's. */
export function rulesOf(
  context: Pick<IndexingContext, 'index' | 'project' | 'stateDir'>,
  git: ProjectGit,
): IgnoreRules {
  const { index, project } = context;
  const others = listProjects(index).filter(({ id }) => id !== project.id);
  const projects = others.map(({ rootDir }) => rootDir);
  return new IgnoreRules(project.rootDir, ownFolders(context), { git, projects });
}
