import { listProjects, versionDirs } from '../store/projects.js';
import type { GitState } from './git-state.js';
import { IgnoreRules } from './ignore-rules.js';
import type { IndexingContext } from './index-paths.js';

/** The rules of a project as they are now; what lies below the root of another project is that project's. */
export function rulesOf({ index, project, stateDir }: IndexingContext, git: GitState): IgnoreRules {
  const others = listProjects(index).filter(({ id }) => id !== project.id);
  const projects = others.map(({ rootDir }) => rootDir);
  return new IgnoreRules(project.rootDir, [stateDir, ...versionDirs(index)], { git, projects });
}
