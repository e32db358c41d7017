import { join } from 'node:path';
import { CodekeepError } from '../../base/errors.js';
import type { PurgeScope } from '../../base/ipc.js';
import { assertRelativePath } from '../../base/paths.js';
import { presenceAt, TreePresence } from '../../base/presence.js';
import type { Work } from '../../base/progress.js';
import { Slicer } from '../../base/waiting.js';
import { olderCopies } from '../../store/backups.js';
import { DerivedDamageError } from '../../store/derived/damage.js';
import { DerivedReaders } from '../../store/derived/derived-databases.js';
import { vectorsOfContents } from '../../store/derived/vectors.js';
import { fileById, fileByPath } from '../../store/files.js';
import { isSomething, statesOf, versionId, versionNamed } from '../../store/history.js';
import type { IndexDatabase } from '../../store/index-database.js';
import { lastMaintenance } from '../../store/maintenance.js';
import { listProjects, type Project, projectById } from '../../store/projects.js';
import { lookInto } from '../../store/purge-copies.js';
import { type ContentRow, keyOf, type PurgePlan, purgePlanOf } from '../../store/purge-plan.js';
import { ContentRows, type Purge, type PurgeChoice, rowsToPurge } from '../../store/purging.js';
import { causeInWords } from '../../store/sqlite-errors.js';
import { assertKnown } from '../repair/rewind.js';
import { type CopiesInVersions, findInVersions, type Kept } from './versions.js';

/** An older copy of the index: a backup, or one that another one took the place of. */
export interface OlderCopy {
  /** Absolute. */
  path: string;
  /** It has something that is to go; null: it cannot be read. */
  isHeld: boolean | null;
  problem: string | null;
}

/** All that a purge does; data only, nothing was touched. */
export interface PlannedPurge {
  project: Project;
  purge: Purge;
  /** Rows of the index whose content goes. */
  going: ContentRow[];
  /** Contents that the index has, and that go. */
  contents: number;
  copies: OlderCopy[];
  versions: CopiesInVersions[];
  /** Why copies cannot be looked at that there may be: then nothing is to be purged, since nobody would find them later. */
  versionsProblem: string | null;
  /** Projects of which what search knows is thrown away, and how many vectors of the contents that go are in it. */
  derived: string[];
  vectors: number;
  kept: Kept[];
}

/**
 * Finds all that is to go, wherever it is: in the index, in its older copies, in versions. Changes nothing.
 * @throws CodekeepError NOT_FOUND, FILE_NOT_FOUND, PATH_OUTSIDE_ROOT for what is not known
 */
export async function planPurge(
  index: IndexDatabase,
  project: Project,
  scope: PurgeScope,
  { signal, progress }: Work,
): Promise<PlannedPurge> {
  const choice = choiceOf(index, project, scope);
  progress('observe', 0, 0);
  const rows = new ContentRows(index.db);
  const plan = index.read(() => planOfIndex(rows, project, choice));
  const present = new Set(plan.present.map(placeOf));
  const isInProject = (row: ContentRow): boolean => row.isPresent && present.has(placeOf(row));
  const chosen = { projectId: project.id, choice, isInProject };
  const chosenInCopies = await lookThrough(index, chosen, signal);
  if ('paths' in choice && chosenInCopies.length === 0)
    for (const path of choice.paths) assertKnown(index, project, path);
  const gone = contentsToGo(rows, choice, plan, chosenInCopies);
  const purge: Purge = { ...chosen, gone: new Set(gone.keys()) };
  const copies = await judgeCopies(index, purge, signal);
  const isChosen = (path: string): boolean =>
    'paths' in choice && choice.paths.some((one) => path === one || path.startsWith(`${one}/`));
  // A deleted file that was not chosen has the same, and its copy.
  const isOwn = ({ table, projectId }: ContentRow): boolean => table === 'files' && projectId === project.id;
  const stays = new Set(plan.sharing.filter(isOwn).map(placeOf));
  const atPath = plan.going.filter((row) => !stays.has(placeOf(row)));
  const versions = await findInVersions(index, project, { gone, atPath, isChosen }, signal);
  return {
    project,
    purge,
    going: plan.going,
    contents: rows.sizesOf(gone.keys()).size,
    copies,
    versions: versions.found,
    versionsProblem: versions.problem,
    ...searchedOf(index, project, purge.gone),
    kept: [
      ...(await keptRows(index, project, plan, signal)),
      ...ignoredThere(project, plan),
      ...versions.kept,
      ...(await keptElsewhere(index, purge)),
    ],
  };
}

/** Contents that nobody has any more then, each with its size; what only an older copy has of what was chosen is one of them. */
function contentsToGo(
  rows: ContentRows,
  choice: PurgeChoice,
  { going, present, sharing, contents }: PurgePlan,
  chosenInCopies: readonly ContentRow[],
): Map<string, number> {
  const gone = new Map<string, number>();
  for (const { sha256, size } of going) if (contents.has(sha256)) gone.set(sha256, size);
  if ('sha256' in choice && ![...present, ...sharing].some(({ sha256 }) => sha256 === choice.sha256))
    gone.set(choice.sha256, rows.sizesOf([choice.sha256]).get(choice.sha256) ?? 0);
  const goes = new Set(going.map(keyOf));
  const inIndex = rows.withContents(new Set(chosenInCopies.map(({ sha256 }) => sha256)));
  const held = new Set(inIndex.filter((row) => !goes.has(keyOf(row))).map(({ sha256 }) => sha256));
  for (const { sha256, size } of chosenInCopies) if (!held.has(sha256)) gone.set(sha256, size);
  return gone;
}

async function keptRows(
  index: IndexDatabase,
  project: Project,
  { present, sharing }: PurgePlan,
  signal: AbortSignal,
): Promise<Kept[]> {
  const slicer = new Slicer(signal);
  const kept: Kept[] = [];
  for (const row of present) {
    kept.push(keptRow(index, project, row, stillThere));
    await slicer.breathe();
  }
  for (const row of sharing) {
    kept.push(keptRow(index, project, row, sharedReason(index, project, row)));
    await slicer.breathe();
  }
  return kept;
}

/** What rules ignore is not followed: nothing of it is kept any more, and the file is where it was. */
function ignoredThere({ rootDir }: Project, { going }: PurgePlan): Kept[] {
  const tree = new TreePresence(rootDir);
  return going
    .filter(({ table, path }) => table === 'files' && ['file', 'symlink'].includes(tree.at(path)))
    .map(({ path }) => ({ path, versionId: null, reason: ignored }));
}

const ignored = 'rules ignore it, and it stands in the project: only what was kept of it goes';

const stillThere = 'it is still in the project: delete it, or take it out of the file, and purge again';

function sharedReason(index: IndexDatabase, project: Project, row: ContentRow): string {
  if (row.projectId === project.id) return 'it has the same content, and was not chosen';
  const { rootDir = row.projectId } = projectById(index, row.projectId) ?? {};
  return `it has the same content, and is of another project: ${rootDir}`;
}

function keptRow(index: IndexDatabase, project: Project, row: ContentRow, reason: string): Kept {
  const isOwn = row.projectId === project.id;
  const path = isOwn ? row.path : join(projectById(index, row.projectId)?.rootDir ?? '/', row.path);
  return { path, versionId: isOwn ? versionOf(index, row) : null, reason };
}

/** As list_file_versions names it; null where it does not. */
export function versionOf(index: IndexDatabase, { projectId, path, seenAt }: ContentRow): string | null {
  const file = fileByPath(index, projectId, path);
  return file === undefined ? null : versionId(file.id, seenAt);
}

function placeOf({ path, sha256 }: ContentRow): string {
  return `${path}\0${sha256}`;
}

function planOfIndex(rows: ContentRows, project: Project, choice: PurgeChoice): PurgePlan {
  const chosen = rows.chosen(project.id, choice);
  const isChosen = new Set(chosen.map(keyOf));
  // A content may be had by rows that were not chosen, although none that was has it.
  const hashes = new Set('sha256' in choice ? [choice.sha256] : chosen.map(({ sha256 }) => sha256));
  const others = rows.withContents(hashes).filter((row) => !isChosen.has(keyOf(row)));
  return purgePlanOf({ chosen, others, isInProject: ({ isPresent }) => isPresent });
}

/** @throws CodekeepError NOT_FOUND, PATH_OUTSIDE_ROOT */
function choiceOf(index: IndexDatabase, project: Project, scope: PurgeScope): PurgeChoice {
  const { paths, version_ids: ids, sha256 } = scope;
  for (const path of paths ?? []) assertRelativePath(path);
  if (paths !== null) return { paths };
  if (ids !== null) return { versions: ids.map((id) => stateNamed(index, project, id)) };
  return { sha256: sha256 ?? '' };
}

function stateNamed(
  index: IndexDatabase,
  { id: projectId }: Project,
  id: string,
): { path: string; seenAt: number } {
  const named = versionNamed(id);
  const path = named === null ? undefined : fileById(index, named.fileId)?.path;
  if (named !== null && path !== undefined && fileByPath(index, projectId, path)?.id === named.fileId) {
    const [state] = statesOf(index, projectId, path, named.seenAt + 1, 1);
    const isKnown = state !== undefined && (isSomething(state) || state.state === 'purged');
    if (isKnown && state.seenAt === named.seenAt) return { path, seenAt: named.seenAt };
  }
  throw new CodekeepError(
    'NOT_FOUND',
    `The project has no version ${id}.`,
    'Call list_file_versions to see those that are kept of a file.',
  );
}

/** Rows of older copies that are chosen and not in the project. */
async function lookThrough(
  index: IndexDatabase,
  chosen: Omit<Purge, 'gone'>,
  signal: AbortSignal,
): Promise<ContentRow[]> {
  const found: ContentRow[] = [];
  const slicer = new Slicer(signal);
  for (const path of olderCopies(index.path)) {
    await slicer.breathe();
    const rows = await lookInto(path, (inCopy) => rowsToPurge(inCopy, { ...chosen, gone: new Set() })).catch(
      () => [],
    );
    found.push(...rows);
  }
  return found;
}

async function judgeCopies(index: IndexDatabase, purge: Purge, signal: AbortSignal): Promise<OlderCopy[]> {
  const copies: OlderCopy[] = [];
  const slicer = new Slicer(signal);
  for (const path of olderCopies(index.path)) {
    await slicer.breathe();
    copies.push(await judgeCopy(path, purge));
  }
  return copies;
}

async function judgeCopy(path: string, purge: Purge): Promise<OlderCopy> {
  const holds = (rows: ContentRows): boolean =>
    rowsToPurge(rows, purge).length > 0 || rows.sizesOf(purge.gone).size > 0;
  try {
    return { path, isHeld: await lookInto(path, holds), problem: null };
  } catch (error) {
    return { path, isHeld: null, problem: causeInWords(error) };
  }
}

/** The last backup, where it was made at a place that somebody gave: what is there is not ours to rewrite. */
async function keptElsewhere(index: IndexDatabase, purge: Purge): Promise<Kept[]> {
  const path = lastMaintenance(index, 'backup')?.outcome;
  if (path === undefined || olderCopies(index.path).includes(path) || presenceAt(path) !== 'file') return [];
  const { isHeld } = await judgeCopy(path, purge);
  return isHeld === false ? [] : [{ path, versionId: null, reason: backupElsewhere }];
}

const backupElsewhere =
  'a backup that was asked for at this place has it: make another one, and remove this one';

/** What search has made of contents that go; what a model has learned of them is in that of their project, whatever it has of them now. */
function searchedOf(
  index: IndexDatabase,
  project: Project,
  gone: ReadonlySet<string>,
): Pick<PlannedPurge, 'derived' | 'vectors'> {
  const found = { derived: gone.size === 0 ? [] : [project.id], vectors: 0 };
  const readers = new DerivedReaders(index.path);
  try {
    for (const { id } of listProjects(index)) {
      const vectors = vectorsIn(readers, id, gone);
      if (vectors === null) continue;
      found.vectors += vectors;
      if (id !== project.id) found.derived.push(id);
    }
  } finally {
    readers.close();
  }
  return found;
}

function vectorsIn(readers: DerivedReaders, projectId: string, gone: ReadonlySet<string>): number | null {
  try {
    return readers.look(projectId, (derived) => derived.read(() => vectorsOfContents(derived, gone)));
  } catch (error) {
    // It is thrown away and made again anyway.
    if (error instanceof DerivedDamageError) return 0;
    throw error;
  }
}
