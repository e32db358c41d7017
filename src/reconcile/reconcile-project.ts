import { isEmptyFolder } from '../base/empty-folder.js';
import type { Reconciled } from '../base/ipc.js';
import { splitPath } from '../base/paths.js';
import { isUnknown, TreePresence } from '../base/presence.js';
import { PinnedFolder } from '../base/pinned-folder.js';
import { putBackLeftOver } from '../base/taken-file.js';
import { sleep } from '../base/waiting.js';
import { type ComparedRow, comparedRows } from '../store/compared-rows.js';
import { devicesOf } from '../store/devices.js';
import {
  activeFilesBelow,
  blameGit,
  type Cause,
  countFiles,
  type DeletedRow,
  deletedSince,
  fileById,
  fileByPath,
  type FileRow,
  setTracked,
} from '../store/files.js';
import { changedFolders, putFolders } from '../store/folders.js';
import { owedFiles } from '../store/journal.js';
import { requireProject, setRoot, setVerified } from '../store/projects.js';
import { headMarks, type HeadMarks, replaceHeads } from '../store/repositories.js';
import { replaceUnprotected } from '../store/unprotected.js';
import { rulesOf } from './bounds.js';
import { compareWalk, type Standards } from './compare-walk.js';
import { type MissingTally, retireMissing, retryCopies } from './deletion.js';
import { type IsLeftByGit, leftByGit } from './git-left.js';
import { type IgnoreRules, isRuling } from './ignore-rules.js';
import { tooLarge } from './index-file.js';
import { type IndexingContext, indexPaths, type IndexProgress, type IndexTally } from './index-paths.js';
import {
  gitProblemOf,
  hasHeadMoved,
  headsOf,
  isKnownAt,
  nestedIn,
  type ProjectGit,
  readGitBelow,
  readProjectGit,
} from './project-git.js';
import { inspectRoot, isStillRoot, judgeRoot, type RootState, rootUnavailable } from './project-root.js';
import { type WalkResult, walkTree } from './walk.js';

/**
 * A file that was written so shortly before it was indexed (ms) may have changed once more within the same
 * time stamp; it is read again to be sure. Kernel time stamps advance in steps of 4 to 10 ms.
 */
const doubtMs = 50;

export interface ReconcileOutcome extends Reconciled {
  /** What could not be read or parsed, for the log. */
  problems: string[];
  /** Set when the brake stopped the reconcile: why nothing was marked. */
  halted: string | null;
  /** Why some missing files prove nothing; the rest was reconciled. */
  doubt: string | null;
  /** Why it is not known what git tracks. */
  gitProblem: string | null;
}

function nothing(): ReconcileOutcome {
  return {
    added: 0,
    changed: 0,
    deleted: 0,
    unchanged: 0,
    skipped: 0,
    unsettled: [],
    owed: 0,
    problems: [],
    halted: null,
    doubt: null,
    gitProblem: null,
    allIgnored: null,
  };
}

/** What retiring a file needs is read for few of them. */
function wholeRows({ index }: IndexingContext, rows: readonly ComparedRow[]): FileRow[] {
  return rows.map(({ id }) => fileById(index, id)).filter((row) => row !== undefined);
}

/**
 * Makes the index follow the whole tree: walk, compare, index what differs, retire what is gone.
 * @param cause of what went since the last comparison: whether somebody has watched since then
 * @throws CodekeepError ROOT_UNAVAILABLE
 */
export async function reconcileProject(
  context: IndexingContext,
  cause: 'seen' | 'unseen',
  progress?: IndexProgress,
): Promise<ReconcileOutcome> {
  const { index, signal, now } = context;
  const project = requireProject(index, { project_id: context.project.id });
  const root = inspectRoot(project);
  if (root.kind === 'unavailable') throw rootUnavailable(root.reason);
  const heads = headMarks(index, project.id);
  const { git, rules, walk } = await lookAtTree(context, heads);
  if (!isStillRoot(root, project)) return await reconcileProject(context, cause, progress);
  context.cover?.retain(new Set(walk.folders.map(({ path }) => path)));
  const rows = await comparedRows(index, project.id, { doubtMs, tooLarge, folder: '' }, signal);
  const compared = compareWalk(walk.files, rows, standardsOf(context));
  const seenGone = hasHeadMoved(heads, git) ? seenSince(context, project.lastVerifiedAt) : [];
  // Where nothing is gone, as when a project is indexed for the first time, git need not be asked.
  const isAsked = compared.missing.length + seenGone.length > 0;
  const isLeft = isAsked ? await leftByGit(project.rootDir, heads, git, signal) : () => false;
  const halted = haltReason(root, rows, compared.missing, { rules, isLeft });
  if (halted !== null) return { ...nothing(), halted };
  await acceptRoot(context, root);
  const tally = await indexSettling(context, git, compared.toIndex, progress);
  const { gone, owed } = withoutOwed(context, wholeRows(context, compared.missing));
  const causeOf = (row: FileRow): Cause => (isLeft(row) ? 'git' : cause);
  const retired = await retireMissing(context, gone, { rules, causeOf });
  await retryCopies(context);
  const skipped = [...walk.skipped, ...tally.unreadable];
  const skippedCount = walk.skippedCount + tally.unreadable.length;
  const summary = summaryOf(context, tally, retired);
  const folders = changedFolders(index, project.id, walk.folders);
  await index.write(() => {
    putFolders(index, project.id, folders);
    replaceUnprotected(index, project.id, skipped);
    blameGit(index, seenGone.filter(isLeft));
    for (const { id, path, tracked } of compared.retracked)
      if (isKnownAt(git, path)) setTracked(index, id, tracked);
    replaceHeads(index, project.id, headsOf(git, heads, summary.doubt === null));
    setVerified(index, project.id, skippedCount, now());
  }, signal);
  // What only its stamp made suspicious, and what was doubtful, turned out to be unchanged.
  const unchanged =
    walk.files.length - tally.added - tally.changed - tally.unreadable.length - tally.unsettled.length;
  return {
    ...summary,
    unchanged,
    skipped: skippedCount,
    owed,
    gitProblem: gitProblemOf(git),
    problems: [...skipped.map(({ path, reason }) => `${path}: ${reason}`), ...retired.problems],
    allIgnored: walk.files.length === 0 ? describeIgnored(walk.ignored) : null,
  };
}

interface SeenTree {
  git: ProjectGit;
  rules: IgnoreRules;
  walk: WalkResult;
}

/** Looks once more where repositories turn up that git was not asked about: what they track is content. */
async function lookAtTree(context: IndexingContext, heads: HeadMarks): Promise<SeenTree> {
  const look = async (folders: readonly string[]): Promise<SeenTree> => {
    context.cover?.coverHeads(folders);
    const git = await readGitBelow(context.project.rootDir, folders, context.signal);
    const rules = rulesOf(context, git);
    return { git, rules, walk: await walkWhole(context, rules) };
  };
  const first = await look(nestedIn(heads));
  const { repositories } = first.walk;
  return repositories.some((folder) => !heads.has(folder)) ? await look(repositories) : first;
}

/** What a process that died had taken aside is put back first. */
async function walkWhole(context: IndexingContext, rules: IgnoreRules): Promise<WalkResult> {
  const { project, signal, now } = context;
  const walk = async (): Promise<WalkResult> =>
    await walkTree(project.rootDir, '', rules, signal, coverFolder(context));
  const first = await walk();
  if (first.withTaken.length === 0) return first;
  const root = await PinnedFolder.open(project.rootDir);
  try {
    for (const folder of new Set(first.withTaken)) await putBackLeftOver(root, folder, now());
  } finally {
    await root.close();
  }
  return await walk();
}

function coverFolder({ cover }: IndexingContext, isNew = false): (folder: string) => void {
  return (folder) => cover?.cover(folder, isNew);
}

function summaryOf(
  { index, project }: IndexingContext,
  tally: IndexTally,
  retired: MissingTally,
): ReconcileOutcome {
  const unread = tally.unreadable.filter(({ path }) => fileByPath(index, project.id, path)?.deleted === 0);
  return {
    ...nothing(),
    added: tally.added,
    changed: tally.changed,
    deleted: retired.deleted,
    skipped: tally.unreadable.length,
    unsettled: tally.unsettled,
    problems: retired.problems,
    doubt: doubtOf(retired, unread),
  };
}

/** Why the index may say what is not so: of some rows it is not known how their files are. Null where there are none. */
function doubtOf({ doubtful, unseen }: MissingTally, unread: IndexTally['unreadable']): string | null {
  const doubts: string[] = [];
  if (doubtful.reason !== null)
    doubts.push(`${doubtful.count} files are missing, and nothing is concluded: ${doubtful.reason}`);
  const first = unseen.reason ?? unread.map(({ path, reason }) => `${path} (${reason})`)[0];
  if (first !== undefined)
    doubts.push(
      `${unseen.count + unread.length} files cannot be looked at and may be other ones by now: ${first}`,
    );
  return doubts.length === 0 ? null : doubts.join('; ');
}

function standardsOf({ index, project, maxFileBytes }: IndexingContext): Standards {
  const deviceIds = new Map(devicesOf(index, project.id).map(({ identity, id }) => [identity, id]));
  return { deviceIds, maxFileBytes };
}

/**
 * Null where what is missing is missing. What git took away is no reason for suspicion. In another folder than was
 * registered, what was ignored is one where the rules that said so are missing, too.
 */
function haltReason(
  root: RootState,
  rows: ReadonlyMap<string, ComparedRow>,
  missing: readonly ComparedRow[],
  { rules, isLeft }: { rules: IgnoreRules; isLeft: IsLeftByGit },
): string | null {
  const isContent = ({ path, ignored }: ComparedRow): boolean =>
    ignored === 0 || (root.kind === 'replaced' && !rules.ignoresPath(path, false));
  let active = 0;
  for (const row of rows.values()) if (row.deleted === 0 && isContent(row)) active += 1;
  const lost = missing.filter((row) => isContent(row) && !isLeft(row)).length;
  const judgement = judgeRoot(root, lost, active);
  return judgement.kind === 'sound' ? null : judgement.reason;
}

/** What a watcher saw go since the last comparison: it may have been git's doing, as HEAD says by now. */
function seenSince({ index, project }: IndexingContext, since: number | null): DeletedRow[] {
  return deletedSince(index, project.id, since ?? 0, Number.MAX_SAFE_INTEGER).filter(
    ({ cause }) => cause === 'seen',
  );
}

/** A project without files looks like a mistake of codekeep's; mostly a rule of the project's own says so. */
function describeIgnored(ignored: ReadonlyMap<string, number>): string | null {
  if (ignored.size === 0) return null;
  const parts = [...ignored].map(
    ([source, count]) => `${count} ${count === 1 ? 'entry' : 'entries'} by ${source}`,
  );
  return `nothing is left to index: ignored are ${parts.join(', ')}`;
}

/** What a repair has still to bring back is missing, and is no deletion. */
function withoutOwed(
  { index, project }: IndexingContext,
  missing: readonly FileRow[],
): { gone: FileRow[]; owed: number } {
  const owed = missing.length > 0 ? owedFiles(index, project.id) : new Set<number>();
  const gone = missing.filter(({ id }) => !owed.has(id));
  return { gone, owed: missing.length - gone.length };
}

/** A file that changes while it is read is looked at again so often, with a pause in between (ms). */
const settleTries = 4;
const settlePauseMs = 100;

/** Indexes paths, and those that change meanwhile once more, as long as they may still come to rest. */
async function indexSettling(
  context: IndexingContext,
  git: ProjectGit,
  paths: readonly string[],
  progress?: IndexProgress,
): Promise<IndexTally> {
  const total = await indexPaths(context, git, paths, progress);
  for (let tries = 1; tries < settleTries && total.unsettled.length > 0; tries += 1) {
    await sleep(settlePauseMs, context.signal);
    const again = await indexPaths(context, git, total.unsettled);
    total.added += again.added;
    total.changed += again.changed;
    total.unreadable.push(...again.unreadable);
    total.isLinkedAnew ||= again.isLinkedAnew;
    total.unsettled = again.unsettled;
  }
  return total;
}

/** A root with another identity whose files are all where they were is the same project on another mount. */
async function acceptRoot({ index, project, signal }: IndexingContext, root: RootState): Promise<void> {
  if (root.kind === 'unavailable') return;
  const isKnown = root.kind === 'verified' && project.rootIdentity === root.mark.rootIdentity;
  if (isKnown && project.rootDev === root.mark.rootDev) return;
  await index.write(() => setRoot(index, project.id, root.mark), signal);
  Object.assign(project, root.mark);
}

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
  const project = requireProject(index, { project_id: context.project.id });
  if (paths.some(isRuling)) return { ...nothing(), needsReconcile: true };
  const root = inspectRoot(project);
  if (root.kind === 'unavailable') throw rootUnavailable(root.reason);
  const git = await readProjectGit(index, project, signal);
  if (root.kind === 'replaced') return { ...nothing(), needsReconcile: true };
  const found: Found = { present: new Set(), missing: new Map(), repositories: new Set() };
  const rules = rulesOf(context, git);
  const observed = new TreePresence(project.rootDir);
  for (const path of paths) await sortPath(context, rules, observed, path, found);
  // Whether they are git's doing is seen when all is looked at.
  const isGits = found.missing.size > 0 && hasHeadMoved(headMarks(index, project.id), git);
  const isNew = [...found.repositories].some((folder) => !git.nested.has(folder));
  if (isGits || isNew) return { ...nothing(), needsReconcile: true };
  if (found.missing.size > 0) {
    const judgement = judgeRoot(root, found.missing.size, countFiles(index, project.id).active);
    if (judgement.kind !== 'sound') return { ...nothing(), needsReconcile: false, halted: judgement.reason };
  }
  const tally = await indexSettling(context, git, [...found.present]);
  const { gone, owed } = withoutOwed(context, [...found.missing.values()]);
  const retired = await retireMissing(context, gone, { rules, causeOf: () => 'seen' });
  const problems = [...tally.unreadable.map(({ path, reason }) => `${path}: ${reason}`), ...retired.problems];
  // A file that got another name is to be looked at under its first one, too, which no event has told of.
  const summary = summaryOf(context, tally, retired);
  const needsReconcile = owed > 0 || summary.doubt !== null || tally.isLinkedAnew;
  return { ...summary, problems, owed, needsReconcile };
}

/** What there is to do for some paths. */
interface Found {
  present: Set<string>;
  missing: Map<string, FileRow>;
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
  if (isUnknown(presence) || rules.ignoresPath(path, isDirectory)) return;
  if (!isDirectory) context.cover?.uncover(path);
  if (presence === 'file' || presence === 'symlink') {
    found.present.add(path);
    // What was a folder here is none any more.
    for (const lost of activeFilesBelow(index, project.id, path)) found.missing.set(lost.path, lost);
    return;
  }
  const row = fileByPath(index, project.id, path);
  if (row?.deleted === 0 && !(isDirectory && row.kind === 'folder')) found.missing.set(row.path, row);
  if (!isDirectory) {
    for (const lost of activeFilesBelow(index, project.id, path)) found.missing.set(lost.path, lost);
    noteEmptied(rules, observed, path, found);
    return;
  }
  const walk = await walkTree(project.rootDir, path, rules, signal, coverFolder(context, true));
  const rows = await comparedRows(index, project.id, { doubtMs, tooLarge, folder: path }, signal);
  const { toIndex, missing } = compareWalk(walk.files, rows, standardsOf(context));
  for (const changed of toIndex) found.present.add(changed);
  for (const folder of walk.repositories) found.repositories.add(folder);
  for (const gone of wholeRows(context, missing)) if (gone.ignored === 0) found.missing.set(gone.path, gone);
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
