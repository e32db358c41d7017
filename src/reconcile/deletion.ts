import { type FilePlacer, placementsAtOnce } from '../base/file-placer.js';
import { reasonOf } from '../base/errors.js';
import { relativePathProblem } from '../base/paths.js';
import { errnoIn, isUnknown, type Presence, TreePresence } from '../base/presence.js';
import { forEachLimited, Slicer } from '../base/waiting.js';
import { forgetFolder, markDeleted, markIgnored, upsertFile } from '../store/file-states.js';
import { type Cause, fileById, type FileRow, rowsWithoutCopy, setCopyProblem } from '../store/files.js';
import { DeviceDoubts } from './devices.js';
import type { IgnoreRules } from './ignore-rules.js';
import { imageOf } from './image.js';
import { planFile } from './index-file.js';
import type { IndexingContext } from './index-paths.js';
import { inspectRootOf } from './project-root.js';
import { readWhole } from './read-entry.js';
import { VersionStore } from './version-store.js';

/** What became of rows whose files a walk did not find. */
export interface MissingTally {
  deleted: number;
  /** Rows that are left as they are, because their file system is not there; with the first one's reason. */
  doubtful: { count: number; reason: string | null };
  /** Rows that cannot be looked at, with the first one's reason. */
  unseen: { count: number; reason: string | null };
  /** What could not be kept in versions; the index has it. */
  problems: string[];
}

export interface Retirement {
  /** Null: somebody said that what is missing is deleted, whatever file system is there. */
  rules: IgnoreRules | null;
  causeOf: (row: FileRow) => Cause;
}

/** Rows dealt with in one transaction. */
const batchRows = 50;

const presenceOfKind = { file: 'file', symlink: 'symlink', folder: 'directory' } as const;

/**
 * Deals with active rows that no walk found, below a verified root and past the brake: what is proven to be
 * gone is kept in versions (from the index) and marked; nothing else is touched.
 */
export async function retireMissing(
  context: IndexingContext,
  rows: readonly FileRow[],
  retirement: Retirement,
): Promise<MissingTally> {
  const { index, project, signal, now } = context;
  const { rules } = retirement;
  const tally: MissingTally = {
    deleted: 0,
    doubtful: { count: 0, reason: null },
    unseen: { count: 0, reason: null },
    problems: [],
  };
  const observed = new TreePresence(project.rootDir);
  const devices = new DeviceDoubts(index, project);
  const sorted: Sorted = { gone: [], ignored: [], outgrown: [] };
  const slicer = new Slicer(signal);
  for (const row of rows) {
    // A path that is not canonical is never handed to the file system.
    const presence = relativePathProblem(row.path) === null ? observed.at(row.path) : 'unknown:path';
    const doubt = rules === null || !isGone(row, presence) ? null : devices.doubtOf(row);
    if (isUnknown(presence) && row.ignored === 0) {
      tally.unseen.count += 1;
      tally.unseen.reason ??= `${row.path} (${errnoIn(presence)})`;
    } else if (doubt === null) sort(row, presence, rules, sorted);
    // Whatever became of it, it is no content, and nobody has to be told.
    else if (rules?.ignoresPath(row.path, false) === true) {
      if (row.ignored === 0) sorted.ignored.push(row);
    } else {
      tally.doubtful.count += 1;
      tally.doubtful.reason ??= doubt;
    }
    await slicer.breathe();
  }
  await index.write(() => {
    for (const { id } of sorted.ignored) markIgnored(index, id, now());
    for (const { id } of sorted.outgrown) forgetFolder(index, id, now());
  }, signal);
  for (let start = 0; start < sorted.gone.length; start += batchRows) {
    const batch = sorted.gone.slice(start, start + batchRows);
    tally.deleted += await retireBatch(context, batch, retirement, tally.problems);
  }
  return tally;
}

interface Sorted {
  gone: FileRow[];
  ignored: FileRow[];
  /** Folders that were empty and hold something now; those in the place of what was deleted may be gone, too. */
  outgrown: FileRow[];
}

function sort(row: FileRow, presence: Presence, rules: IgnoreRules | null, into: Sorted): void {
  const isFolder = row.kind === 'folder' && presence === 'directory';
  if (isFolder || row.folderMode !== null) into.outgrown.push(row);
  else if (isGone(row, presence)) into.gone.push(row);
  // There after all, but ignored by now.
  else if (!isUnknown(presence) && row.ignored === 0 && rules?.ignoresPath(row.path, false) === true)
    into.ignored.push(row);
}

async function retireBatch(
  context: IndexingContext,
  rows: readonly FileRow[],
  retirement: Retirement,
  problems: string[],
): Promise<number> {
  const { index, project } = context;
  const copyProblems = await keepAll(context, rows);
  const causes = new Map<FileRow, Cause>();
  const slicer = new Slicer(context.signal);
  for (const row of rows) {
    causes.set(row, retirement.causeOf(row));
    await slicer.breathe();
  }
  for (const [row, problem] of copyProblems) problems.push(`${row.path}: it is not in versions: ${problem}`);
  return await index.write(() => {
    const root = inspectRootOf(index, project).kind;
    if (root === 'unavailable' || (root === 'replaced' && retirement.rules !== null)) return 0;
    const observed = new TreePresence(project.rootDir);
    // What delete_file has marked meanwhile was asked for, and not seen.
    const stillGone = [...causes].filter(
      ([row]) => fileById(index, row.id)?.deleted === 0 && isGone(row, observed.at(row.path)),
    );
    for (const [row, cause] of stillGone) {
      markDeleted(index, row.id, cause, context.now(), copyProblems.get(row) ?? null);
      if (observed.at(row.path) === 'directory') noteFolder(context, retirement, row.path);
    }
    return stillGone.length;
  }, context.signal);
}

/** Takes an empty folder for what the path is from now on. */
function noteFolder(context: IndexingContext, { rules }: Retirement, path: string): void {
  const { index, project, now } = context;
  const reading = readWhole(`${project.rootDir}/${path}`, 0);
  if (reading.kind !== 'content' || reading.entry !== 'folder' || rules?.ignoresPath(path, true) === true)
    return;
  const { file } = planFile(context, null, { path, deviceId: null, tracked: 0 }, reading);
  upsertFile(index, project.id, file, now());
}

/** Something else in its place counts, too; what cannot be looked at does not. */
export function isGone(row: FileRow, presence: Presence): boolean {
  return presence !== presenceOfKind[row.kind] && !isUnknown(presence);
}

/**
 * Puts the contents of rows into versions, and says of which rows not and why: versions are the second copy, so what is in
 * the way there holds up nothing.
 */
async function keepAll(context: IndexingContext, rows: readonly FileRow[]): Promise<Map<FileRow, string>> {
  const { index, project, now, signal } = context;
  const versions = new VersionStore(index, project);
  const problems = new Map<FileRow, string>();
  const slicer = new Slicer(signal);
  let placer: FilePlacer;
  try {
    placer = await versions.openPlacer();
  } catch (error) {
    return new Map(rows.map((row) => [row, reasonOf(error)]));
  }
  try {
    await forEachLimited(rows, placementsAtOnce, async (row) => {
      try {
        const image = imageOf(index, row);
        if (!('problem' in image)) await versions.keep(placer, row.path, image, now());
      } catch (error) {
        problems.set(row, reasonOf(error));
      }
      await slicer.breathe();
    });
  } finally {
    await placer.finish();
  }
  return problems;
}

/** Copies tried again in one reconcile. */
const retriedMax = 1_000;

/** Tries once more what could not be put into versions when it was deleted. */
export async function retryCopies(context: IndexingContext): Promise<void> {
  const { index, project, signal } = context;
  const rows = rowsWithoutCopy(index, project.id, retriedMax);
  if (rows.length === 0) return;
  const problems = await keepAll(context, rows);
  await index.write(() => {
    for (const row of rows) {
      const problem = problems.get(row) ?? null;
      if (problem !== row.copyProblem) setCopyProblem(index, row.id, problem);
    }
  }, signal);
}
