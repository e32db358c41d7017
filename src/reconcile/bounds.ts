import { versionDirs } from '../store/projects.js';
import type { GitState } from './git-state.js';
import { IgnoreRules } from './ignore-rules.js';
import type { IndexingContext } from './index-paths.js';

/** The rules of a project as they are now. */
export function rulesOf({ index, project, stateDir }: IndexingContext, _git: GitState): IgnoreRules {
  return new IgnoreRules(project.rootDir, [stateDir, ...versionDirs(index)]);
}
