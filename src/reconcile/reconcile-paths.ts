import { isEmptyFolder } from '../base/empty-folder.js';
import { splitPath } from '../base/paths.js';
import { isUnknown, TreePresence } from '../base/presence.js';
import { isTakenName } from '../base/temporary-names.js';
import { Slicer } from '../base/waiting.js';
import { activeFilesBelow, countFiles, fileByPath, type FileRow, isThere } from '../store/files.js';
import { headMarks } from '../store/repositories.js';
import { isUnprotected } from '../store/unprotected.js';
import { rulesOf } from './bounds.js';
import { compareFolder, wholeRows } from './compare-walk.js';
import { retireMissing } from './deletion.js';
import { type IgnoreRules, isRuling } from './ignore-rules.js';
import { type IndexingContext, indexSettling } from './index-paths.js';
import { Aside } from './left-overs.js';
import { hasOddName, mayBeOdd } from './listing.js';
import { hasHeadMoved, nestedIn, readGitBelow } from './project-git.js';
import { inspectRootOf, judgeRoot, projectAtItsPlace, rootUnavailable } from './project-root.js';
import { nothing, type ReconcileOutcome, summaryOf, withoutOwed } from './reconcile-outcome.js';
import { type FolderIdentity, TreeWalk } from './walk.js';

/** What a batch of changed paths came to; `needsReconcile` asks for a reconcile of the whole project instead. */
export interface PathsOutcome extends ReconcileOutcome {
  needsReconcile: boolean;
}

/**
 * Makes the index follow some paths that may have changed. Hints may be wrong, late or about folders: only
 * what lstat says now counts.
 */
export async function reconcilePaths(
  context: IndexingContext,
  paths: readonly string[],
): Promise<PathsOutcome> {
  const { index, signal } = context;
  const project = projectAtItsPlace(context);
  if (paths.some(isRuling)) return { ...nothing(), needsReconcile: true };
  const root = inspectRootOf(index, project);
  if (root.kind === 'unavailable') throw rootUnavailable(root.reason);
  const heads = headMarks(index, project.id);
  const git = await readGitBelow(project.rootDir, nestedIn(heads), signal);
  if (root.kind === 'replaced') return { ...nothing(), needsReconcile: true };
  const found: Found = {
    present: new Set(),
    missing: new Map(),
    withTaken: new Set(),
    repositories: new Set(),
    needsWalk: false,
  };
  const rules = rulesOf(context, git);
  const observed = new TreePresence(project.rootDir);
  const slicer = new Slicer(signal);
  for (const path of paths) {
    await sortPath(context, rules, observed, path, found);
    if (slicer.isDue()) await slicer.breathe();
  }
  // Whether they are git's doing is seen when all is looked at.
  const isGits = found.missing.size > 0 && hasHeadMoved(heads, git);
  const isNew = [...found.repositories].some((folder) => !git.nested.has(folder));
  if (isGits || isNew || found.needsWalk) return { ...nothing(), needsReconcile: true };
  const folders = [...found.missing.keys()].map((path) => splitPath(path).folder);
  const aside = await Aside.settle(context, [...found.withTaken, ...folders]);
  const missing = aside.judge([...found.missing.values()]);
  if (missing.length > 0) {
    const judgement = judgeRoot(root, missing.length, countFiles(index, project.id).active);
    if (judgement.kind !== 'sound') return { ...nothing(), needsReconcile: false, halted: judgement.reason };
  }
  const tally = await indexSettling(context, git, [...found.present]);
  const { gone, owed } = withoutOwed(context, missing);
  const retired = await retireMissing(context, gone, { rules, causeOf: () => 'seen' });
  const problems = [...tally.unreadable.map(({ path, reason }) => `${path}: ${reason}`), ...retired.problems];
  // A file that got another name is to be looked at under its first one, too, which no event has told of.
  const summary = summaryOf(context, tally, retired, aside);
  const needsReconcile = owed > 0 || summary.doubt !== null || tally.isLinkedAnew;
  return { ...summary, problems, owed, needsReconcile };
}

/** Whether a path is that of a known file that is there: it may have been saved, and nothing else. */
export function isSavedFile({ index, project }: IndexingContext, path: string): boolean {
  const row = fileByPath(index, project.id, path);
  if (row?.deleted !== 0 || row.ignored === 1 || row.kind !== 'file') return false;
  return new TreePresence(project.rootDir).at(path) === 'file';
}

/** What there is to do for some paths. */
interface Found {
  present: Set<string>;
  missing: Map<string, FileRow>;
  /** Folders in which a process has taken something aside. */
  withTaken: Set<string>;
  /** Only a walk of the whole tree makes it known: what is left over in a folder that appeared, a name that is not UTF-8. */
  needsWalk: boolean;
  /** Folders that a repository begins with. */
  repositories: Set<string>;
}

async function sortPath(
  context: IndexingContext,
  rules: IgnoreRules,
  observed: TreePresence,
  path: string,
  found: Found,
): Promise<void> {
  const { index, project, signal } = context;
  const presence = observed.at(path);
  const isDirectory = presence === 'directory';
  if (isUnknown(presence)) return;
  const { folder: parent, name } = splitPath(path);
  if (isDirectory && isTakenName(name)) found.withTaken.add(parent);
  if (rules.ignoresPath(path, isDirectory)) {
    // It counts all the same for whether its folder is empty.
    if (presence === 'absent') noteEmptied(rules, observed, path, found);
    else noteFilled(context, path, found);
    return;
  }
  if (!isDirectory) context.cover?.uncover(path);
  if (presence === 'file' || presence === 'symlink') {
    found.present.add(path);
    // What was a folder here is none any more.
    for (const lost of activeFilesBelow(index, project.id, path)) found.missing.set(lost.path, lost);
    return;
  }
  if (presence === 'absent' && isOddChange(context, observed, path)) found.needsWalk = true;
  const row = fileByPath(index, project.id, path);
  if (row !== undefined && (isDirectory ? row.deleted === 0 && row.kind !== 'folder' : isThere(row)))
    found.missing.set(row.path, row);
  if (!isDirectory) {
    for (const lost of activeFilesBelow(index, project.id, path)) found.missing.set(lost.path, lost);
    noteEmptied(rules, observed, path, found);
    return;
  }
  const onFolder = (folder: string, identity: FolderIdentity): void =>
    context.cover?.cover(folder, identity, true);
  const walk = new TreeWalk(project.rootDir, rules, { signal, onFolder });
  const { toIndex, missing } = await compareFolder(context, path, walk);
  const { unborn, repositories, withLeftOvers } = walk.findings;
  if (withLeftOvers.length > 0) found.needsWalk = true;
  for (const changed of toIndex) found.present.add(changed.path);
  context.cover?.coverUnborn(unborn);
  for (const folder of repositories) found.repositories.add(folder);
  for (const gone of wholeRows(context, missing)) if (gone.ignored === 0) found.missing.set(gone.path, gone);
}

/** A name that is not UTF-8 came or went: an event gives it in characters, by which nothing can be looked at. */
function isOddChange({ index, project }: IndexingContext, observed: TreePresence, path: string): boolean {
  const { folder, name } = splitPath(path);
  if (!mayBeOdd(name)) return false;
  try {
    return hasOddName(observed.pathOf(folder), name) !== isUnprotected(index, project.id, path);
  } catch {
    // Its folder went, too, or cannot be read: events of its own tell.
    return false;
  }
}

/** A folder that was empty has no row of its own any more. */
function noteFilled({ index, project }: IndexingContext, path: string, found: Found): void {
  const row = fileByPath(index, project.id, splitPath(path).folder);
  const isFolder = row !== undefined && (row.kind === 'folder' || row.folderMode !== null);
  if (isFolder && isThere(row)) found.missing.set(row.path, row);
}

/** The folder of what is gone may hold nothing any more, and is an entry of its own then. */
function noteEmptied(rules: IgnoreRules, observed: TreePresence, path: string, found: Found): void {
  const { folder } = splitPath(path);
  if (folder === '' || observed.at(folder) !== 'directory' || rules.ignoresPath(folder, true)) return;
  try {
    if (isEmptyFolder(observed.pathOf(folder))) found.present.add(folder);
  } catch {
    // It went, too, or cannot be read: events of its own tell.
  }
}
