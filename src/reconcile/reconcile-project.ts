import { PinnedFolder } from '../base/pinned-folder.js';
import { putBackLeftOver } from '../base/taken-file.js';
import type { ComparedRow } from '../store/compared-rows.js';
import {
  blameGit,
  type Cause,
  type DeletedRow,
  deletedSince,
  type FileRow,
  setTracked,
} from '../store/files.js';
import { changedFolders, putFolders } from '../store/folders.js';
import { setRoot, setVerified } from '../store/projects.js';
import { headMarks, type HeadMarks, replaceHeads } from '../store/repositories.js';
import { replaceUnprotected } from '../store/unprotected.js';
import { rulesOf } from './bounds.js';
import { compareFolder, wholeRows } from './compare-walk.js';
import { retireMissing, retryCopies } from './deletion.js';
import { type IsLeftByGit, leftByGit } from './git-left.js';
import type { IgnoreRules } from './ignore-rules.js';
import { mostPreciousFirst } from './index-order.js';
import { type IndexingContext, type IndexProgress, indexSettling } from './index-paths.js';
import {
  gitProblemOf,
  hasHeadMoved,
  headsOf,
  isKnownAt,
  nestedIn,
  type ProjectGit,
  readGitBelow,
} from './project-git.js';
import {
  inspectRootOf,
  isStillRoot,
  judgeRoot,
  projectAtItsPlace,
  type RootState,
  rootUnavailable,
} from './project-root.js';
import { nothing, type ReconcileOutcome, summaryOf, withoutOwed } from './reconcile-outcome.js';
import { type WalkResult, walkTree } from './walk.js';

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
  const project = projectAtItsPlace(context);
  const root = inspectRootOf(index, project);
  if (root.kind === 'unavailable') throw rootUnavailable(root.reason);
  // Of one that is made anew nothing may be relied on when rows are compared.
  await context.derived.of(project.id);
  const heads = headMarks(index, project.id);
  const { git, rules, walk } = await lookAtTree(context, heads);
  if (!isStillRoot(root, project)) return await reconcileProject(context, cause, progress);
  context.cover?.retain(new Set(walk.folders.map(({ path }) => path)));
  context.cover?.coverUnborn(walk.unborn);
  const { rows, ...compared } = await compareFolder(context, '', walk.files);
  const seenGone = hasHeadMoved(heads, git) ? seenSince(context, project.lastVerifiedAt) : [];
  // Where nothing is gone, as when a project is indexed for the first time, git need not be asked.
  const isAsked = compared.missing.length + seenGone.length > 0;
  const isLeft = isAsked ? await leftByGit(project.rootDir, heads, git, signal) : () => false;
  const halted = haltReason(root, rows, compared.missing, { rules, isLeft });
  if (halted !== null) return { ...nothing(), halted };
  await acceptRoot(context, root);
  const toIndex = mostPreciousFirst(compared.toIndex, walk.files);
  const tally = await indexSettling(context, git, toIndex, progress);
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

/** What a process that died had taken aside is put back first, and what it had half made goes. */
async function walkWhole(context: IndexingContext, rules: IgnoreRules): Promise<WalkResult> {
  const { project, signal, now } = context;
  const walk = async (): Promise<WalkResult> =>
    await walkTree(project.rootDir, '', rules, signal, (folder) => context.cover?.cover(folder, false));
  const first = await walk();
  if (first.withLeftOvers.length === 0) return first;
  const root = await PinnedFolder.open(project.rootDir);
  try {
    for (const folder of new Set(first.withLeftOvers)) await putBackLeftOver(root, folder, now());
  } finally {
    await root.close();
  }
  return await walk();
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

/** A root with another identity whose files are all where they were is the same project on another mount. */
async function acceptRoot({ index, project, signal }: IndexingContext, root: RootState): Promise<void> {
  if (root.kind === 'unavailable') return;
  const isKnown = root.kind === 'verified' && project.rootIdentity === root.mark.rootIdentity;
  if (isKnown && project.rootDev === root.mark.rootDev) return;
  await index.write(() => setRoot(index, project, root.mark), signal);
  Object.assign(project, root.mark);
}
