import { randomUUID } from 'node:crypto';
import { lstatSync, realpathSync } from 'node:fs';
import { basename, isAbsolute } from 'node:path';
import { CodekeepError, errnoOf } from '../../base/errors.js';
import { isWithin } from '../../base/paths.js';
import type { Result } from '../../contract/index.js';
import { resolveVersionDir } from '../../reconcile/version-store.js';
import { countChunks } from '../../store/derived.js';
import { countFiles } from '../../store/files.js';
import type { IndexDatabase } from '../../store/index-database.js';
import {
  deleteProject,
  insertProject,
  listProjects,
  type NewProject,
  type Project,
  projectByRoot,
  requireProject,
} from '../../store/projects.js';
import { type IndexContext, type IndexMethods, isoOrNull } from './types.js';

type ProjectMethods = Pick<
  IndexMethods,
  'add_project' | 'list_projects' | 'remove_project' | 'get_project_status'
>;

export function projectMethods({ index, host }: IndexContext): ProjectMethods {
  return {
    async add_project({ root_dir, version_dir, name }) {
      const project = inspectNewProject(root_dir, version_dir, name, host.start.stateDir);
      const created = await register(index, project);
      if (created) host.send({ type: 'projects_changed' });
      return { ...wireProject(requireProject(index, { root_dir: project.rootDir })), created };
    },
    list_projects: () => ({ projects: listProjects(index).map(wireProject) }),
    async remove_project(reference) {
      const { id } = requireProject(index, reference);
      await index.write(() => deleteProject(index, id));
      host.send({ type: 'projects_changed' });
      return { removed: true, project_id: id };
    },
    get_project_status(reference, call) {
      const project = requireProject(index, reference);
      const files = countFiles(index, project.id);
      const { freshness, pending, reason } = call.freshnessOf(project.id);
      return {
        project_id: project.id,
        root_dir: project.rootDir,
        freshness,
        files: {
          total: files.total,
          active: files.active,
          deleted: files.deleted,
          pending,
          skipped: project.skipped,
          not_restorable: files.notRestorable,
        },
        chunks: countChunks(index, project.id),
        last_verified_at: isoOrNull(project.lastVerifiedAt),
        reason,
      };
    },
  };
}

function wireProject(project: Project): Result<'list_projects'>['projects'][number] {
  return {
    project_id: project.id,
    root_dir: project.rootDir,
    version_dir: project.versionDir,
    name: project.name,
  };
}

async function register(index: IndexDatabase, project: NewProject): Promise<boolean> {
  return await index.write(() => {
    if (projectByRoot(index, project.rootDir) !== undefined) return false;
    insertProject(index, project, Date.now());
    return true;
  });
}

function inspectNewProject(
  rootDir: string,
  versionDir: string | undefined,
  name: string | undefined,
  stateDir: string,
): NewProject {
  if (!isAbsolute(rootDir)) throw badRoot('is not absolute', 'Give the absolute path of the folder.');
  const real = realPathOf(rootDir);
  const stats = lstatSync(real, { bigint: true });
  if (!stats.isDirectory()) throw badRoot('is not a folder', 'Give the folder, not a file in it.');
  if (real === '/' || isWithin(stateDir, real))
    throw badRoot('cannot be a project', 'Give a folder of your own files.');
  return {
    id: randomUUID(),
    rootDir: real,
    versionDir: resolveVersionDir(real, versionDir),
    name: name ?? basename(real),
    rootDev: String(stats.dev),
    rootIno: String(stats.ino),
  };
}

function realPathOf(rootDir: string): string {
  try {
    return realpathSync(rootDir);
  } catch (error) {
    throw new CodekeepError(
      'ROOT_UNAVAILABLE',
      `${rootDir} cannot be read (${errnoOf(error) ?? 'error'}).`,
      'Check the path and its permissions, then call again.',
    );
  }
}

function badRoot(problem: string, hint: string): CodekeepError {
  const issues = [{ param: 'root_dir', message: problem }];
  return new CodekeepError('INVALID_PARAMS', `root_dir ${problem}.`, hint, { issues });
}
