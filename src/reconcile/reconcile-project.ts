import type { ComparedRow } from '../store/compared-rows.js';
import { blameGit, type Cause, countFiles, type FileRow, setTracked } from '../store/files.js';
import { changedFolders, type FolderRow, knownFolders, putFolders } from '../store/folders.js';
import { setRoot, setVerified } from '../store/projects.js';
import { headMarks, type HeadMarks, replaceHeads } from '../store/repositories.js';
import { replaceUnprotected } from '../store/unprotected.js';
import { ownFolders, rulesOf } from './bounds.js';
import { compareFolder, type Comparison, wholeRows } from './compare-walk.js';
import { retireMissing, retryCopies } from './deletion.js';
import { type IsLeftByGit, leftByGit } from './git-left.js';
import { foundGoneLately, isGits, noteTracked, takenByGit } from './git-look.js';
import { keepGit, recallGit } from './git-memory.js';
import { withStamped } from './git-program.js';
import { type IgnoreRules, rulesOutside } from './ignore-rules.js';
import { mostPreciousFirst } from './index-order.js';
import {
  type IndexingContext,
  type IndexProgress,
  indexSettling,
  type IndexTally,
  newTally,
} from './index-paths.js';
import { Aside } from './left-overs.js';
import { ListThread } from './list-thread.js';
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
import { type FolderIdentity, TreeWalk, type WalkFindings } from './walk.js';

/** Paths that are indexed in one round; their list takes some 30 MB. */
const roundMax = 200_000;

/**
 * Makes the index follow the whole tree: walk, compare, index what differs, retire what is gone. What differs in very many files
 * is indexed in rounds, each with a comparison of its own, so that no list grows with the project.
 * @param cause of what went since the last comparison: whether somebody has watched since then
 * @throws CodekeepError ROOT_UNAVAILABLE
 */
export async function reconcileProject(
  context: IndexingContext,
  cause: 'seen' | 'unseen',
  progress?: IndexProgress,
  indexMax = roundMax,
): Promise<ReconcileOutcome> {
  const { derived, project } = context;
  // Of one that is made anew nothing may be relied on when rows are compared. Without one, contents are kept all the same.
  const unavailable = await derived.of(project.id).then(
    () => null,
    (error: unknown) => ({ error }),
  );
  context.signal.throwIfAborted();
  const timesMade = derived.timesMade(project.id);
  const outcome = await reconcileRounds(context, cause, indexMax, progress);
  if (unavailable !== null) throw unavailable.error;
  // It was found damaged meanwhile, and thrown away: files that nobody touched are to be looked at, too.
  if (derived.timesMade(project.id) === timesMade) return outcome;
  return await reconcileProject(context, cause, progress, indexMax);
}

async function reconcileRounds(
  context: IndexingContext,
  cause: 'seen' | 'unseen',
  indexMax: number,
  progress?: IndexProgress,
): Promise<ReconcileOutcome> {
  for (let round: Round = { indexAfter: null, indexMax, indexed: 0, tally: newTally() }; ;) {
    const next = await reconcileRound(context, cause, round, progress);
    if (!('indexAfter' in next)) return next;
    round = next;
  }
}

/** What the rounds before have done. */
interface Round {
  /** Up to this path what differed is indexed; null at first. */
  indexAfter: string | null;
  indexMax: number;
  /** Paths. */
  indexed: number;
  tally: IndexTally;
}

/** Gives the next round where there has to be one. */
async function reconcileRound(
  context: IndexingContext,
  cause: 'seen' | 'unseen',
  before: Round,
  progress?: IndexProgress,
): Promise<ReconcileOutcome | Round> {
  const { index, signal, now } = context;
  const project = projectAtItsPlace(context);
  const root = inspectRootOf(index, project);
  if (root.kind === 'unavailable') throw rootUnavailable(root.reason);
  const heads = headMarks(index, project.id);
  recallGit(context);
  const { git, rules, found, compared, aside } = await lookAtTree(context, root, heads, before);
  if (!isStillRoot(root, project)) return before;
  context.cover?.retain(new Set(found.folders.map(({ path }) => path)));
  context.cover?.coverUnborn(found.unborn);
  const foundGone = hasHeadMoved(heads, git) ? foundGoneLately(index, project) : [];
  // Where nothing is gone, as when a project is indexed for the first time, git need not be asked.
  const isAsked = compared.missing.length + foundGone.length > 0;
  const isLeft = isAsked ? await leftByGit(project.rootDir, heads, git, signal) : () => false;
  const halted = haltReason(root, compared, rules, isLeft);
  if (halted !== null) return { ...nothing(), halted };
  await acceptRoot(context, root);
  await keepFolders(context, found.folders);
  const round = await indexRound(context, git, before, compared, progress);
  if (compared.differing > compared.toIndex.length) return round;
  const { tally } = round;
  const { gone, owed } = withoutOwed(context, wholeRows(context, compared.missing));
  const causeOf = (row: FileRow): Cause => (isGits(index, row, isLeft) ? 'git' : cause);
  const goneByGit = await takenByGit(context, foundGone, isLeft);
  const retired = await retireMissing(context, gone, { rules, causeOf });
  await retryCopies(context);
  const skipped = [...found.skipped, ...tally.unreadable];
  const skippedCount = found.skippedCount + tally.unreadable.length;
  const summary = summaryOf(context, tally, retired, aside);
  await index.write(() => {
    replaceUnprotected(index, project.id, skipped);
    blameGit(index, goneByGit);
    for (const { id, path, tracked } of compared.retracked)
      if (isKnownAt(git, path)) setTracked(index, id, tracked);
    replaceHeads(
      index,
      project.id,
      headsOf(git, heads, summary.doubt === null && aside.unsettled.length === 0),
    );
    setVerified(index, project.id, skippedCount, now());
  }, signal);
  noteTracked(project.id, git, found.trackedCount);
  keepGit(context, git);
  // What only its stamp made suspicious, and what was doubtful, turned out to be unchanged.
  const unchanged =
    found.fileCount - tally.added - tally.changed - tally.unreadable.length - tally.unsettled.length;
  return {
    ...summary,
    unchanged,
    skipped: skippedCount,
    owed,
    gitProblem: gitProblemOf(git),
    problems: [...skipped.map(({ path, reason }) => `${path}: ${reason}`), ...retired.problems],
    allIgnored: found.fileCount === 0 ? describeIgnored(found.ignored) : null,
  };
}

/** Before what is in them is indexed: the next round's walk goes by them. */
async function keepFolders(
  { index, project, signal }: IndexingContext,
  folders: readonly FolderRow[],
): Promise<void> {
  const changed = await changedFolders(index, project.id, folders, signal);
  if (changed.length > 0) await index.write(() => putFolders(index, project.id, changed), signal);
}

async function indexRound(
  context: IndexingContext,
  git: ProjectGit,
  { tally, indexed, indexAfter, indexMax }: Round,
  { toIndex, differing }: Comparison,
  progress: IndexProgress = () => undefined,
): Promise<Round> {
  const now = await indexSettling(context, git, mostPreciousFirst(toIndex), (done) =>
    progress(indexed + done, indexed + differing),
  );
  return {
    indexAfter: toIndex.at(-1)?.path ?? indexAfter,
    indexMax,
    indexed: indexed + toIndex.length,
    tally: {
      added: tally.added + now.added,
      changed: tally.changed + now.changed,
      unsettled: [...tally.unsettled, ...now.unsettled],
      unreadable: [...tally.unreadable, ...now.unreadable],
      isLinkedAnew: tally.isLinkedAnew || now.isLinkedAnew,
      notLoaded: new Set([...tally.notLoaded, ...now.notLoaded]),
    },
  };
}

interface SeenTree {
  git: ProjectGit;
  rules: IgnoreRules;
  found: WalkFindings;
  /** What is missing where something is aside is no part of it. */
  compared: Comparison;
  aside: Aside;
}

/** From so many rows on a second thread pays, which takes some 40 ms to start and 10 MB. */
const threadMinRows = 30_000;

/** Looks once more where repositories turn up that git was not asked about: what they track is content. */
async function lookAtTree(
  context: IndexingContext,
  root: RootState,
  heads: HeadMarks,
  round: Round,
): Promise<SeenTree> {
  const { index, project, signal } = context;
  const isLarge = countFiles(index, project.id).total >= threadMinRows;
  const thread = isLarge ? new ListThread(ownFolders(context)) : undefined;
  const look = async (folders: readonly string[]): Promise<SeenTree> => {
    context.cover?.coverHeads(folders);
    const git = await readGitBelow(project.rootDir, folders, signal);
    context.cover?.coverRules(withStamped(git.configuration, rulesOutside(project.rootDir, git)));
    const rules = rulesOf(context, git);
    return { git, rules, ...(await compareWhole(context, root, rules, round, thread)) };
  };
  try {
    const first = await look(nestedIn(heads));
    const { repositories } = first.found;
    return repositories.some((folder) => !heads.has(folder)) ? await look(repositories) : first;
  } finally {
    thread?.end();
  }
}

/** What a process that died had taken aside is put back first, and what it had half made goes. */
async function compareWhole(
  context: IndexingContext,
  root: RootState,
  rules: IgnoreRules,
  { indexAfter, indexMax }: Round,
  thread: ListThread | undefined,
): Promise<Omit<SeenTree, 'git' | 'rules'>> {
  const { index, project, signal } = context;
  const onFolder = (folder: string, identity: FolderIdentity): void =>
    context.cover?.cover(folder, identity, false);
  const compare = async (): Promise<Pick<SeenTree, 'found' | 'compared'>> => {
    const ahead = thread === undefined ? undefined : { thread, known: knownFolders(index, project.id) };
    const walk = new TreeWalk(project.rootDir, rules, { signal, onFolder, ahead });
    const isContent = (row: ComparedRow): boolean => isContentAt(root, rules, row);
    const compared = await compareFolder(context, '', walk, { isContent, indexAfter, indexMax });
    return { found: walk.findings, compared };
  };
  const first = await compare();
  const aside = await Aside.settle(context, first.found.withLeftOvers);
  const { found, compared } = first.found.withLeftOvers.length === 0 ? first : await compare();
  return { found, compared: { ...compared, missing: aside.judge(compared.missing) }, aside };
}

/** In another folder than was registered, what was ignored is content where the rules that said so are missing, too. */
function isContentAt(root: RootState, rules: IgnoreRules, { path, ignored }: ComparedRow): boolean {
  return ignored === 0 || (root.kind === 'replaced' && !rules.ignoresPath(path, false));
}

/** Null where what is missing is missing. What git took away is no reason for suspicion. */
function haltReason(
  root: RootState,
  { missing, activeRows }: Comparison,
  rules: IgnoreRules,
  isLeft: IsLeftByGit,
): string | null {
  const lost = missing.filter((row) => isContentAt(root, rules, row) && !isLeft(row)).length;
  const judgement = judgeRoot(root, lost, activeRows);
  return judgement.kind === 'sound' ? null : judgement.reason;
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
