import { dirname } from 'node:path';
import type { ProjectReference } from '../../base/ipc.js';
import { resolveVersionDir } from '../../reconcile/version-dir.js';
import type { IndexDatabase } from '../../store/index-database.js';
import { namedProjects, type Project, versionDirs } from '../../store/projects.js';

/** What a repair, or the repair loop, is about. */
export interface Scope extends ProjectReference {
  version_dir?: string | undefined;
}

/**
 * The projects, each with the versions directory for this time.
 * @throws CodekeepError PROJECT_NOT_FOUND; INVALID_PARAMS for a version_dir that cannot be one
 */
export function projectsInScope(index: IndexDatabase, scope: Scope): Project[] {
  const { version_dir } = scope;
  const projects = namedProjects(index, scope);
  if (version_dir === undefined) return projects;
  const known = versionDirs(index);
  return projects.map((project) => ({
    ...project,
    versionDir: resolveVersionDir(project.rootDir, version_dir, dirname(index.path), known),
  }));
}
