import { realpathSync } from 'node:fs';
import { CodekeepError } from '../base/errors.js';
import type { ProjectReference } from '../base/ipc.js';
import type { IndexDatabase } from './index-database.js';

export interface Project {
  id: string;
  rootDir: string;
  versionDir: string;
  name: string;
  /** Identity of the root folder, as decimal text: 64-bit numbers do not fit a JavaScript number. */
  rootDev: string;
  rootIno: string;
  /** Of the root's file system, see base/mounts.ts; null: not yet known. */
  rootIdentity: string | null;
  skipped: number;
  /** Milliseconds since 1970, or null while no reconcile has ended. */
  lastVerifiedAt: number | null;
  /** End of the first whole comparison, in milliseconds since 1970: of before nothing is known. Null: it has not ended. */
  recordedAt: number | null;
  /** Of before, states were let go: only checkpoints can be come back to. Null: none were. */
  forgottenAt: number | null;
}

/** From when on it is known what files were; null: the first comparison has not ended. */
export function knownSince({ recordedAt, forgottenAt }: Project): number | null {
  return recordedAt === null ? null : Math.max(recordedAt, forgottenAt ?? recordedAt);
}

const columns = `id, root_dir AS rootDir, version_dir AS versionDir, name, CAST(root_dev AS TEXT) AS rootDev,
  CAST(root_ino AS TEXT) AS rootIno, root_identity AS rootIdentity, skipped, last_verified_at AS lastVerifiedAt,
  recorded_at AS recordedAt, forgotten_at AS forgottenAt`;

export function listProjects(index: IndexDatabase): Project[] {
  return index.sql<[], Project>(`SELECT ${columns} FROM projects ORDER BY root_dir`).all();
}

export function projectById(index: IndexDatabase, id: string): Project | undefined {
  return index.sql<[string], Project>(`SELECT ${columns} FROM projects WHERE id = ?`).get(id);
}

function projectByRoot(index: IndexDatabase, rootDir: string): Project | undefined {
  return index.sql<[string], Project>(`SELECT ${columns} FROM projects WHERE root_dir = ?`).get(rootDir);
}

/** @throws CodekeepError PROJECT_NOT_FOUND; also when root_dir and project_id name two different projects */
export function requireProject(index: IndexDatabase, reference: ProjectReference): Project {
  const { project_id: id, root_dir: root } = reference;
  const atRoot = root === undefined ? undefined : projectAt(index, withoutTrailingSlash(root));
  const project = id === undefined ? atRoot : projectById(index, id);
  if (project !== undefined && root !== undefined && atRoot?.id !== project.id)
    throw new CodekeepError(
      'PROJECT_NOT_FOUND',
      `Project ${project.id} is at ${project.rootDir}, and not at ${root}.`,
      'Give project_id or root_dir, or the two of one project.',
    );
  if (project !== undefined) return project;
  throw new CodekeepError(
    'PROJECT_NOT_FOUND',
    `No project ${id ?? root ?? ''} is registered.`,
    'Call list_projects to see those that are, or add_project to register one.',
  );
}

/**
 * The project that the reference names, or all where it names none.
 * @throws CodekeepError PROJECT_NOT_FOUND
 */
export function namedProjects(index: IndexDatabase, reference: ProjectReference): Project[] {
  const isNamed = reference.root_dir !== undefined || reference.project_id !== undefined;
  return isNamed ? [requireProject(index, reference)] : listProjects(index);
}

/** By its real path, however the caller got there: people also name a project through a symlink. */
function projectAt(index: IndexDatabase, rootDir: string): Project | undefined {
  const known = projectByRoot(index, rootDir);
  if (known !== undefined) return known;
  try {
    return projectByRoot(index, realpathSync(rootDir));
  } catch {
    return undefined;
  }
}

export function withoutTrailingSlash(path: string): string {
  return path.length > 1 ? path.replace(/\/+$/, '') : path;
}

/** What tells a root folder from another one under its name. */
export type RootMark = Pick<Project, 'rootDev' | 'rootIno' | 'rootIdentity'>;

export type NewProject = Omit<Project, 'skipped' | 'lastVerifiedAt' | 'recordedAt' | 'forgottenAt'>;

export function insertProject(index: IndexDatabase, project: NewProject, now: number): void {
  index
    .sql(
      `INSERT INTO projects (id, root_dir, version_dir, name, root_dev, root_ino, root_identity, added_at)
       VALUES (?, ?, ?, ?, CAST(? AS INTEGER), CAST(? AS INTEGER), ?, ?)`,
    )
    .run(
      project.id,
      project.rootDir,
      project.versionDir,
      project.name,
      project.rootDev,
      project.rootIno,
      project.rootIdentity,
      now,
    );
}

/**
 * Accepts another folder as the project's root, after somebody decided that it is the right one. One that was moved
 * meanwhile is left alone.
 */
export function setRoot(
  index: IndexDatabase,
  { id, rootDir }: Pick<Project, 'id' | 'rootDir'>,
  root: RootMark,
): void {
  index
    .sql(
      `UPDATE projects SET root_dev = CAST(@rootDev AS INTEGER), root_ino = CAST(@rootIno AS INTEGER),
         root_identity = @rootIdentity WHERE id = @id AND root_dir = @rootDir`,
    )
    .run({ ...root, id, rootDir });
}

/** The project is elsewhere by now; what earlier repairs did there can still be undone. */
export function relocateProject(
  index: IndexDatabase,
  { id, versionDir: before }: Pick<Project, 'id' | 'versionDir'>,
  place: RootMark & Pick<Project, 'rootDir' | 'versionDir' | 'name'>,
): void {
  index
    .sql(
      `UPDATE projects SET root_dir = @rootDir, version_dir = @versionDir, name = @name,
         root_dev = CAST(@rootDev AS INTEGER), root_ino = CAST(@rootIno AS INTEGER), root_identity = @rootIdentity
       WHERE id = @id`,
    )
    .run({ ...place, id });
  index
    .sql(
      `UPDATE repair_runs SET root_dir = @rootDir,
         version_dir = CASE version_dir WHEN @before THEN @versionDir ELSE version_dir END WHERE project_id = @id`,
    )
    .run({ rootDir: place.rootDir, versionDir: place.versionDir, before, id });
}

/** Every versions directory that was ever used, absolute: ours, and never content. */
export function versionDirs(index: IndexDatabase): string[] {
  return index
    .sql<[], { path: string }>('SELECT path FROM version_dirs')
    .all()
    .map(({ path }) => path);
}

/** To be written down before the folder is made. */
export function noteVersionDir(index: IndexDatabase, path: string): void {
  index.sql('INSERT INTO version_dirs (path) VALUES (?) ON CONFLICT DO NOTHING').run(path);
}

/** Its marker is there: where it is missing later on, what is at the path is another folder. */
export function noteFurnished(index: IndexDatabase, path: string): void {
  noteVersionDir(index, path);
  index.sql('UPDATE version_dirs SET furnished = 1 WHERE path = ?').run(path);
}

export function isFurnished(index: IndexDatabase, path: string): boolean {
  const row = index
    .sql<[string], { furnished: number }>('SELECT furnished FROM version_dirs WHERE path = ?')
    .get(path);
  return row?.furnished === 1;
}

/** Nothing is known of what is made of contents: each file is looked at again. */
export function relyOnNothing(index: IndexDatabase): void {
  index.sql('UPDATE projects SET derived = NULL').run();
  index.sql("UPDATE files SET extractor = NULL WHERE kind = 'file'").run();
}

export function deleteProject(index: IndexDatabase, id: string): void {
  index.sql('DELETE FROM projects WHERE id = ?').run(id);
}

/** Records the end of a reconcile. */
export function setVerified(index: IndexDatabase, id: string, skipped: number, now: number): void {
  index
    .sql(
      `UPDATE projects SET skipped = @skipped, last_verified_at = @now, recorded_at = coalesce(recorded_at, @now)
       WHERE id = @id`,
    )
    .run({ skipped, now, id });
}

/** What its files were before is not known any more. */
export function setForgotten(index: IndexDatabase, id: string, before: number): void {
  index
    .sql('UPDATE projects SET forgotten_at = max(coalesce(forgotten_at, 0), @before) WHERE id = @id')
    .run({ id, before });
}
