import { basename } from 'node:path';
import { presenceAt } from '../../base/presence.js';
import type { Work } from '../../base/progress.js';
import { Slicer } from '../../base/waiting.js';
import { hasContent, putContent, sourceOf } from '../../store/contents.js';
import { fileByPath } from '../../store/files.js';
import type { IndexDatabase } from '../../store/index-database.js';
import {
  insertProject,
  listProjects,
  noteVersionDir,
  type Project,
  projectById,
  relyOnNothing,
  setForgotten,
} from '../../store/projects.js';
import { noteDamaged, placesOfMissing } from '../../store/scrub.js';
import { AttachedBackup } from '../../store/salvage/attached-backup.js';
import type { ProjectTrace, Salvaged } from '../../store/salvage/salvage.js';
import { adoptVersions } from '../adopt-versions.js';
import { unknownFolder } from '../move-project.js';
import { rootMarkOf } from '../project-root.js';
import { defaultVersionDir, notedProjects } from '../version-dir.js';
import { contentHashAt, VersionStore } from '../version-store.js';
import { contentOnDisk } from './sources.js';

/** What nothing could bring back. */
export interface Loss {
  projectId: string | null;
  rootDir: string | null;
  /** Relative to the root; '' for something of the index itself. */
  path: string;
  reason: string;
}

export interface FillOptions extends Work {
  /** The new index, with what could be read of the damaged one. */
  index: IndexDatabase;
  stateDir: string;
  /** What was still open of an index that was removed: as good as the index itself. */
  saved: string | null;
  /** The newest first. */
  backups: readonly string[];
  maxFileBytes: number;
  /** Milliseconds since 1970. */
  now: () => number;
  log: (message: string) => void;
}

/**
 * Brings a new index as near to what the damaged one was as backups, the disk and the versions directories allow. What is
 * derived from contents is made by the next comparison.
 */
export async function fill(options: FillOptions, salvaged: Salvaged): Promise<Loss[]> {
  const { index, stateDir, now } = options;
  const { unreadable, named, namedContents } = salvaged;
  const isIncomplete = Object.keys(unreadable).length + named.length + namedContents.length > 0;
  const { used, earlier } = fromBackups(options, salvaged, isIncomplete);
  const homeless = await index.write(() => {
    for (const trace of salvaged.traces) addTraced(index, trace, stateDir, now());
    for (const { id, rootDir } of notedProjects(defaultVersionDir(stateDir)))
      addTraced(index, { id, rootDir, versionDir: null }, stateDir, now());
    if (isIncomplete && listProjects(index).length === 0) addNoted(options);
    const without = mayLackProjects(salvaged) ? addHomeless(options) : [];
    forgetForeign(index);
    return without;
  });
  await fromDisk(options);
  if (isIncomplete) await fromVersions(options);
  const baseless = isIncomplete ? await dropBaseless(options) : [];
  const checkpoints = await index.write(() => {
    noteLost(index, now());
    // What was saved of an index that was still open has all of it.
    return used !== null && used === options.saved ? 0 : forgetPast(index, salvaged, now());
  });
  return [
    ...homeless,
    ...lostContents(index),
    ...lostRows(index, salvaged),
    ...lostEarlier(index, salvaged.named, [...namedContents, ...baseless]),
    ...perhapsOlder(index, earlier),
    ...(used === null ? lostRecords(salvaged) : []),
    ...lostChanges(salvaged),
    ...lostCheckpoints(checkpoints),
    // What was saved of an index that was still open is all of it.
    ...(used !== null && used === options.saved ? [] : lostUnnamed(salvaged, used)),
    ...perhapsStale(index, salvaged),
  ];
}

async function fromVersions(options: FillOptions): Promise<void> {
  for (const project of listProjects(options.index))
    await adoptVersions({ ...options, project, areRowsOlder: true });
}

/** Where nothing else knows of any project: those whose copies the versions have. */
function addNoted({ index, stateDir, now }: FillOptions): void {
  const versionDir = defaultVersionDir(stateDir);
  for (const { id, rootDir } of notedProjects(versionDir)) {
    if (!isTaken(index, rootDir)) addProject(index, { id, rootDir, versionDir }, now());
  }
}

function isTaken(index: IndexDatabase, rootDir: string): boolean {
  return listProjects(index).some((project) => project.rootDir === rootDir);
}

function addProject(
  index: IndexDatabase,
  project: Pick<Project, 'id' | 'rootDir' | 'versionDir'>,
  now: number,
): void {
  const { rootDir } = project;
  insertProject(index, { ...project, name: basename(rootDir), ...markNow(rootDir) }, now);
}

function mayLackProjects({ unreadable, traces }: Salvaged): boolean {
  return 'projects' in unreadable || '' in unreadable || traces.length > 0;
}

/** Files of which nothing says in which folder they were are kept for who knows it: `move` gives it to them. */
function addHomeless({ index, stateDir, now }: FillOptions): Loss[] {
  const homeless = index
    .sql<[], { id: string; count: number }>(
      `SELECT project_id AS id, count(*) AS count FROM files
       WHERE project_id NOT IN (SELECT id FROM projects) GROUP BY project_id`,
    )
    .all();
  return homeless.map(({ id, count }) => {
    const rootDir = unknownFolder(stateDir, id);
    const versionDir = defaultVersionDir(stateDir);
    addProject(index, { id, rootDir, versionDir }, now());
    const reason = `the row of its project was in a damaged page, and nothing says in which folder it was: its ${count} files are kept, "codekeep move ${rootDir} DIR" gives them their folder`;
    return { projectId: id, rootDir, path: '', reason };
  });
}

interface FromBackups {
  /** The backup of which rows were added; null: of none. */
  used: string | null;
  /** Files whose rows are those of a backup, and which that is. */
  earlier: { projectId: string; path: string; backup: string }[];
}

function fromBackups(
  { index, saved, backups, log, now }: FillOptions,
  salvaged: Salvaged,
  isIncomplete: boolean,
): FromBackups {
  const { namedContents } = salvaged;
  const from: FromBackups = { used: null, earlier: [] };
  const withProjects = mayLackProjects(salvaged);
  for (const path of saved === null ? backups : [saved, ...backups]) {
    const needsRows = isIncomplete && from.used === null;
    if (!needsRows && absent(index, namedContents).length === 0) break;
    const take = (backup: AttachedBackup): true => {
      const added = needsRows ? backup.addRows(withProjects) : [];
      if (path !== saved) from.earlier.push(...added.map((file) => ({ ...file, backup: basename(path) })));
      for (const hash of absent(index, namedContents)) backup.addContent(hash, now());
      return true;
    };
    if (AttachedBackup.tryUse(index, path, take, log) !== null && needsRows) from.used = path;
  }
  return from;
}

/** Contents that a file has, or that were there, and are not. */
function absent(index: IndexDatabase, named: readonly string[]): string[] {
  const wanted = new Set([...named, ...placesOfMissing(index).map(({ sha256 }) => sha256)]);
  return [...wanted].filter((hash) => !hasContent(index, hash));
}

/** What is stored as the difference to a content that nothing has any more is lost with it; gives the hashes. */
async function dropBaseless({ index, signal }: FillOptions): Promise<string[]> {
  const slicer = new Slicer(signal);
  const baseless: string[] = [];
  const packed = index.sql<[], string>('SELECT sha256 FROM contents WHERE base IS NOT NULL').pluck().all();
  for (const hash of packed) {
    if (sourceOf(index, hash) === null) baseless.push(hash);
    await slicer.breathe();
  }
  await index.write(() => {
    for (const hash of baseless) index.sql('DELETE FROM contents WHERE sha256 = ?').run(hash);
  });
  return baseless;
}

/** The rest of what is lost: known from now on not to be restorable. */
function noteLost(index: IndexDatabase, now: number): void {
  const problem = 'it was in a damaged page of the index';
  for (const { sha256 } of placesOfMissing(index)) noteDamaged(index, { sha256, problem }, now);
}

/** A project whose row is lost, and of which the rest of the index tells what it was. */
function addTraced(index: IndexDatabase, trace: ProjectTrace, stateDir: string, now: number): void {
  const { id, rootDir } = trace;
  const hasFiles = index.sql('SELECT 1 FROM files WHERE project_id = ?').get(id) !== undefined;
  if (!hasFiles || isTaken(index, rootDir) || projectById(index, id) !== undefined) return;
  const versionDir = trace.versionDir ?? defaultVersionDir(stateDir);
  addProject(index, { id, rootDir, versionDir }, now);
}

/** Of the folder that is there now: whether that is the right one, the share of files that are missing in it tells. */
function markNow(rootDir: string): Pick<Project, 'rootDev' | 'rootIno' | 'rootIdentity'> {
  const nowhere = { rootDev: '0', rootIno: '0', rootIdentity: null };
  try {
    return rootMarkOf(rootDir) ?? nowhere;
  } catch {
    return nowhere;
  }
}

const ofProjects = [
  'files',
  'devices',
  'folders',
  'unprotected',
  'repositories',
  'revisions',
  'checkpoints',
] as const;

/** Rows of projects that nothing names; what was ours stays known to be ours. */
function forgetForeign(index: IndexDatabase): void {
  for (const table of ofProjects)
    index.sql(`DELETE FROM ${table} WHERE project_id NOT IN (SELECT id FROM projects)`).run();
  index.sql('UPDATE files SET device_id = NULL WHERE device_id NOT IN (SELECT id FROM devices)').run();
  for (const { versionDir } of listProjects(index)) noteVersionDir(index, versionDir);
  // Nothing is derived yet, and nothing compared.
  relyOnNothing(index);
  index.sql('UPDATE projects SET last_verified_at = NULL').run();
  index.sql("DELETE FROM maintenance WHERE kind = 'check'").run();
}

/** What it takes to say what files were at a time. */
const ofHistory = ['revisions', 'files', 'projects', 'checkpoints', ''] as const;

/** Where some of it is lost, of no moment so far it is known what was there; gives how many checkpoints that takes away. */
function forgetPast(index: IndexDatabase, { unreadable, named }: Salvaged, now: number): number {
  if (named.length === 0 && !ofHistory.some((table) => table in unreadable)) return 0;
  for (const { id } of listProjects(index)) setForgotten(index, id, now);
  return index.sql('DELETE FROM checkpoints').run().changes;
}

function lostCheckpoints(count: number): Loss[] {
  const reason = `${count} checkpoints, and what files were at any time before now: rows of the history were in damaged pages; what each file was is listed as far as it is known`;
  return count === 0 ? [] : [{ projectId: null, rootDir: null, path: '', reason }];
}

/** Contents that a file in the project or a copy in versions still has. */
async function fromDisk({ index, signal, progress, now }: FillOptions): Promise<void> {
  const slicer = new Slicer(signal);
  const missing = placesOfMissing(index);
  for (const [position, { sha256: hash, ...place }] of missing.entries()) {
    progress('fill', position + 1, missing.length);
    await slicer.breathe();
    const content = contentOnDisk(index, hash, place);
    if (content !== null) await index.write(() => putContent(index, content, now()));
  }
}

/** What is still in the project is indexed again from there, whatever it is by now. */
function lostContents(index: IndexDatabase): Loss[] {
  return placesOfMissing(index).flatMap(({ projectId, path, kind }) => {
    const rootDir = projectById(index, projectId)?.rootDir ?? null;
    const isThere = rootDir !== null && isAt(rootDir, path);
    const what = kind === 'file' ? 'its content' : `the ${kind}`;
    const reason = `${what} was in a damaged page of the index; neither the disk nor a backup has it`;
    return isThere ? [] : [{ projectId, rootDir, path, reason }];
  });
}

function lostRows(index: IndexDatabase, { named }: Salvaged): Loss[] {
  return named.flatMap(({ projectId, path }) => {
    // File systems are named in an index that looks the same.
    const isKnown = index
      .sql(
        `SELECT 1 FROM files WHERE project_id = @projectId AND path = @path
         UNION SELECT 1 FROM devices WHERE project_id = @projectId AND identity = @path`,
      )
      .get({ projectId, path });
    const rootDir = projectById(index, projectId)?.rootDir ?? null;
    if (isKnown !== undefined || (rootDir !== null && isAt(rootDir, path))) return [];
    const reason = 'its row was in a damaged page of the index; neither the disk nor a backup has the file';
    return [{ projectId, rootDir, path, reason }];
  });
}

/** What is on disk is indexed again from there, and a copy in versions is the last state; of the rest nobody knows. */
function perhapsOlder(index: IndexDatabase, earlier: FromBackups['earlier']): Loss[] {
  return earlier.flatMap(({ projectId, path, backup }) => {
    const project = projectById(index, projectId);
    const rootDir = project?.rootDir ?? null;
    const isCurrent =
      project === undefined || isAt(project.rootDir, path) || isInVersions(index, project, path);
    const reason = `its row was in a damaged page: it is kept as ${backup} has it, and what it became after that is lost`;
    return isCurrent ? [] : [{ projectId, rootDir, path, reason }];
  });
}

/** What files were before they were what they are. */
function lostEarlier(
  index: IndexDatabase,
  named: Salvaged['named'],
  namedContents: readonly string[],
): Loss[] {
  const hasFile = (hash: string): boolean =>
    index.sql('SELECT 1 FROM files WHERE sha256 = ? LIMIT 1').get(hash) !== undefined;
  const missing = namedContents.filter((hash) => !hasContent(index, hash) && !hasFile(hash));
  // A file whose row is lost, too, is indexed again from the disk.
  const onDisk = new Set(missing.length === 0 ? [] : hashesOnDisk(index, named));
  return missing
    .filter((hash) => !onDisk.has(hash))
    .map((hash) => {
      const reason = `an earlier content that no file has any more (${hash}) was in a damaged page`;
      return { projectId: null, rootDir: null, path: '', reason };
    });
}

function hashesOnDisk(index: IndexDatabase, named: Salvaged['named']): string[] {
  return named.flatMap(({ projectId, path }) => {
    const rootDir = projectById(index, projectId)?.rootDir;
    if (rootDir === undefined) return [];
    try {
      const absolute = `${rootDir}/${path}`;
      return contentHashAt(absolute, presenceAt(absolute)) ?? [];
    } catch {
      return [];
    }
  });
}

function isInVersions(index: IndexDatabase, project: Project, path: string): boolean {
  const hash = fileByPath(index, project.id, path)?.sha256;
  const place = new VersionStore(index, project).pathOf(path);
  try {
    return hash !== undefined && contentHashAt(place, presenceAt(place)) === hash;
  } catch {
    return false;
  }
}

function isAt(rootDir: string, path: string): boolean {
  const presence = presenceAt(`${rootDir}/${path}`);
  return presence === 'file' || presence === 'symlink' || presence === 'directory';
}

/** What they were, nobody knows; what came of them on disk and in versions is taken from there. */
function lostChanges({ missingChanges }: Salvaged): Loss[] {
  const reason = `its last ${missingChanges} changes were in its log, which was removed, cut off or overwritten: a file that changed and went in them may be as it was before`;
  return missingChanges === 0 ? [] : [{ projectId: null, rootDir: null, path: '', reason }];
}

/** Pages that may have said what there was cannot be read either. */
function lostUnnamed({ isBlind }: Salvaged, backup: string | null): Loss[] {
  if (!isBlind.contents) return [];
  const after = backup === null ? '' : ` came after ${basename(backup)} and`;
  const reason = isBlind.files
    ? `pages that may have named files cannot be read: what${after} neither the disk nor the versions have may be lost, and cannot be named`
    : 'pages that may have held contents cannot be read: what files were before they are what they are may be lost, and cannot be named';
  return [{ projectId: null, rootDir: null, path: '', reason }];
}

/** A copy in versions is what its file was at last, unless that came back and changed: then a later content has no file now. */
function perhapsStale(index: IndexDatabase, { named }: Salvaged): Loss[] {
  const { latest } = index
    .sql<[], { latest: number | null }>(
      `SELECT max(added_at) AS latest FROM contents
       WHERE sha256 NOT IN (SELECT sha256 FROM files WHERE sha256 IS NOT NULL)`,
    )
    .get() ?? { latest: null };
  return named.flatMap(({ projectId, path }) => {
    const project = projectById(index, projectId);
    const row = fileByPath(index, projectId, path);
    if (project === undefined || row === undefined || isAt(project.rootDir, path)) return [];
    const isLast = latest === null || row.deletedAt === null || row.deletedAt >= latest;
    if (isLast || !isInVersions(index, project, path)) return [];
    const reason =
      'its row was in a damaged page: it is kept as its copy in versions has it, which may not be its last state';
    return [{ projectId, rootDir: project.rootDir, path, reason }];
  });
}

const told: Readonly<Record<string, string>> = {
  repair_runs: 'what earlier repairs did',
  repair_actions: 'what earlier repairs did',
  repair_folders: 'folders that earlier repairs made',
  folders: 'modes and owners of folders, which a comparison reads again',
};

/** What belongs to no file. */
function lostRecords({ unreadable }: Salvaged): Loss[] {
  return Object.entries(unreadable).flatMap(([table, count]) => {
    const what = told[table];
    const reason = `${count} damaged records: ${what ?? ''}`;
    return what === undefined ? [] : [{ projectId: null, rootDir: null, path: '', reason }];
  });
}
