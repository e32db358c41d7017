import { randomUUID } from 'node:crypto';
import { realpathSync } from 'node:fs';
import { basename, isAbsolute } from 'node:path';
import { CodekeepError, errnoOf } from '../../base/errors.js';
import { shellWord } from '../../base/shell-word.js';
import type { Result } from '../../contract/index.js';
import { acceptDeletions } from '../../reconcile/accept.js';
import { adoptVersions } from '../../reconcile/adopt-versions.js';
import { isMovedTo, moveProject } from '../../reconcile/move-project.js';
import { canBeProject } from '../../reconcile/own-files.js';
import { inspectRoot, rootMarkOf } from '../../reconcile/project-root.js';
import { abandonedProject, defaultVersionDir, resolveVersionDir } from '../../reconcile/version-dir.js';
import { countFiles } from '../../store/files.js';
import type { IndexDatabase } from '../../store/index-database.js';
import {
  deleteProject,
  insertProject,
  listProjects,
  type NewProject,
  noteVersionDir,
  type Project,
  projectById,
  requireProject,
  versionDirs,
} from '../../store/projects.js';
import { unprotectedAfter } from '../../store/unprotected.js';
import { afterPaths, placeIn } from './cursors.js';
import { chunkCountsOf } from './derived.js';
import { noticesOf } from './notices.js';
import { type IndexContext, indexingContext, type IndexMethods, isoOrNull, type Parsing } from './types.js';

/** Paths that accept_deletions names; it counts all. */
const acceptedShownMax = 1_000;

type ProjectMethods = Pick<
  IndexMethods,
  | 'add_project'
  | 'list_projects'
  | 'remove_project'
  | 'move_project'
  | 'get_project_status'
  | 'accept_deletions'
  | 'list_unprotected'
>;

export function projectMethods(context: IndexContext, parsing: Parsing): ProjectMethods {
  const { index, host } = context;
  return {
    async add_project({ root_dir, version_dir, name }, call) {
      const { stateDir } = host.start;
      const project = inspectNewProject(index, stateDir, root_dir, version_dir, name);
      for (const other of listProjects(index)) {
        const known = { index, project: other, stateDir, signal: call.signal };
        if (await isMovedTo(known, project)) throw wasMoved(other, project);
      }
      const known = await register(index, project);
      if (known !== null && version_dir !== undefined && known.versionDir !== project.versionDir)
        throw otherVersionDir(known);
      if (known === null) host.send({ type: 'projects_changed' });
      const { id } = known ?? project;
      const added = requireProject(index, { project_id: id });
      const adopted =
        known === null ? await adoptVersions(indexingContext(context, parsing, added, call.signal)) : [];
      return { ...wireProject(added), created: known === null, adopted: adopted.length };
    },
    list_projects: () => ({ projects: listProjects(index).map(wireProject) }),
    async remove_project(reference) {
      const { id } = requireProject(index, reference);
      await index.write(() => deleteProject(index, id));
      context.readers.discard(id);
      host.send({ type: 'projects_changed' });
      return { removed: true, project_id: id };
    },
    async move_project({ new_root_dir, ...reference }, call) {
      const project = requireProject(index, reference);
      const { stateDir } = host.start;
      await moveProject({ index, project, stateDir, signal: call.signal }, new_root_dir);
      host.send({ type: 'projects_changed' });
      return wireProject(requireProject(index, { project_id: project.id }));
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
          ignored: files.ignored,
          without_copy: files.withoutCopy,
        },
        chunks: chunkCountsOf(context, project.id),
        last_verified_at: isoOrNull(project.lastVerifiedAt),
        reason,
        notices: noticesOf(index, project, files, freshness, Date.now()),
      };
    },
    async accept_deletions({ dry_run, ...reference }, call) {
      const project = requireProject(index, reference);
      const rows = await acceptDeletions(indexingContext(context, parsing, project, call.signal), dry_run);
      if (!dry_run) host.send({ type: 'projects_changed' });
      const accepted = rows.slice(0, acceptedShownMax).map(({ path }) => ({ path }));
      return { accepted, count: rows.length, dry_run };
    },
    list_unprotected({ limit, cursor, ...reference }) {
      const project = requireProject(index, reference);
      const entries = unprotectedAfter(index, project.id, placeIn('path', cursor) ?? '', limit);
      return { entries, next_cursor: afterPaths(entries, limit) };
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

/** Gives the project that has this root already, whatever path leads to it; null where it was new. */
async function register(index: IndexDatabase, project: NewProject): Promise<Project | null> {
  return await index.write(() => {
    const known = listProjects(index).find((other) => isSameFolder(other, project));
    if (known !== undefined) return known;
    insertProject(index, project, Date.now());
    noteVersionDir(index, project.versionDir);
    return null;
  });
}

/** The same path, or the same folder by another one: a bind mount, other letters where their case does not count. */
function isSameFolder(known: Project, added: NewProject): boolean {
  if (known.rootDir === added.rootDir) return true;
  // Two folders that are looked at together are told by their numbers; one that was written down is of another time.
  const root = inspectRoot(known);
  return (
    root.kind !== 'unavailable' && root.mark.rootDev === added.rootDev && root.mark.rootIno === added.rootIno
  );
}

function inspectNewProject(
  index: IndexDatabase,
  stateDir: string,
  rootDir: string,
  versionDir: string | undefined,
  name: string | undefined,
): NewProject {
  if (!isAbsolute(rootDir)) throw badRoot('is not absolute', 'Give the absolute path of the folder.');
  const real = realPathOf(rootDir);
  const mark = rootMarkOf(real);
  if (mark === null) throw badRoot('is not a folder', 'Give the folder, not a file in it.');
  const ours = [realPathOf(stateDir), ...versionDirs(index)];
  if (!canBeProject(real, ours)) throw badRoot('cannot be a project', 'Give a folder of your own files.');
  const versions =
    versionDir === undefined
      ? defaultVersionDir(stateDir)
      : resolveVersionDir(real, versionDir, stateDir, versionDirs(index));
  return {
    id: abandonedProject(versions, real, (id) => projectById(index, id) !== undefined) ?? randomUUID(),
    rootDir: real,
    versionDir: versions,
    name: name ?? basename(real),
    ...mark,
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

function wasMoved(known: Project, { rootDir }: NewProject): CodekeepError {
  return new CodekeepError(
    'INVALID_PARAMS',
    `${rootDir} is the project that was at ${known.rootDir} (${known.id}).`,
    `move_project takes what is known of it along: "codekeep move ${shellWord(known.rootDir)} ${shellWord(rootDir)}". For a project without a past call remove_project for that one first.`,
    { issues: [{ param: 'root_dir', message: `was at ${known.rootDir}` }], project_id: known.id },
  );
}

/** Copies that were made already would be left behind. */
function otherVersionDir({ rootDir, versionDir }: Project): CodekeepError {
  const problem = `is ${versionDir} for ${rootDir}, which is registered already, and stays so`;
  const issues = [{ param: 'version_dir', message: problem }];
  return new CodekeepError('INVALID_PARAMS', `version_dir ${problem}.`, 'Leave it out.', { issues });
}

function badRoot(problem: string, hint: string): CodekeepError {
  const issues = [{ param: 'root_dir', message: problem }];
  return new CodekeepError('INVALID_PARAMS', `root_dir ${problem}.`, hint, { issues });
}
