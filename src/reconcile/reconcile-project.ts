import type { Reconciled } from '../base/ipc.js';
import { isUnknown, TreePresence } from '../base/presence.js';
import { sleep } from '../base/waiting.js';
import { activeFilesBelow, countFiles, eachFile, fileByPath, type FileRow } from '../store/files.js';
import { owedFiles } from '../store/journal.js';
import { setRootIdentity, setVerified } from '../store/projects.js';
import { retireMissing } from './deletion.js';
import { IgnoreRules, isRuleFile } from './ignore-rules.js';
import { type IndexingContext, indexPaths, type IndexProgress, type IndexTally } from './index-paths.js';
import {
  brakeReason,
  inspectRoot,
  isBraked,
  isDeserted,
  type RootState,
  rootUnavailable,
} from './project-root.js';
import { isSameStamp } from '../base/stamp.js';
import { type WalkedFile, walkTree } from './walk.js';

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
    allIgnored: null,
  };
}

/** What the index has to do to follow a walk; pure. */
export function compareWalk(
  walked: readonly WalkedFile[],
  rows: ReadonlyMap<string, FileRow>,
): { toIndex: string[]; missing: FileRow[]; unchanged: number } {
  const seen = new Set<string>();
  const toIndex: string[] = [];
  for (const file of walked) {
    seen.add(file.path);
    const row = rows.get(file.path);
    if (row === undefined || row.deleted === 1 || !isSameStamp(row, file) || isDoubtful(row))
      toIndex.push(file.path);
  }
  const missing = [...rows.values()].filter((row) => row.deleted === 0 && !seen.has(row.path));
  return { toIndex, missing, unchanged: walked.length - toIndex.length };
}

function isDoubtful(row: FileRow): boolean {
  return Number(row.mtimeNs) / 1e6 > row.updatedAt - doubtMs;
}

/**
 * Makes the index follow the whole tree: walk, compare, index what differs, retire what is gone.
 * @param excluded absolute folders that are never content
 * @throws CodekeepError ROOT_UNAVAILABLE
 */
export async function reconcileProject(
  context: IndexingContext,
  excluded: readonly string[],
  progress?: IndexProgress,
): Promise<ReconcileOutcome> {
  const { index, project, signal } = context;
  const root = inspectRoot(project);
  if (root.kind === 'unavailable') throw rootUnavailable(root.reason);
  const rules = new IgnoreRules(project.rootDir, excluded);
  const walked = new Set<string>();
  const walk = await walkTree(project.rootDir, '', rules, signal, (folder) => {
    walked.add(folder);
    context.cover?.cover(folder, false);
  });
  context.cover?.retain(walked);
  const rows = new Map<string, FileRow>();
  for (const row of eachFile(index, project.id)) rows.set(row.path, row);
  const { toIndex, missing, unchanged } = compareWalk(walk.files, rows);
  const active = [...rows.values()].filter((row) => row.deleted === 0).length;
  if (isBraked(root, missing.length, active) || isDeserted(root, active)) {
    return { ...nothing(), halted: brakeReason(root, missing.length, active) };
  }
  await acceptRoot(context, root);
  const tally = await indexSettling(context, toIndex, progress);
  const { gone, owed } = withoutOwed(context, missing);
  const retired = await retireMissing(context, gone, rules);
  const skipped = walk.skippedCount + tally.skipped;
  await index.write(() => setVerified(index, project.id, skipped, context.now()), signal);
  const problems = [
    ...walk.skipped.map(({ path, reason }) => `${path}: ${reason}`),
    ...tally.problems,
    ...retired.problems,
  ];
  // What only its stamp made suspicious, and what was doubtful, turned out to be unchanged.
  const reallyUnchanged =
    unchanged + toIndex.length - tally.added - tally.changed - tally.skipped - tally.unsettled.length;
  return {
    added: tally.added,
    changed: tally.changed,
    deleted: retired.deleted,
    unchanged: reallyUnchanged,
    skipped,
    unsettled: tally.unsettled,
    owed,
    problems,
    halted: null,
    allIgnored: walk.files.length === 0 ? describeIgnored(walk.ignored) : null,
  };
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
  paths: readonly string[],
  progress?: IndexProgress,
): Promise<IndexTally> {
  const total = await indexPaths(context, paths, progress);
  for (let tries = 1; tries < settleTries && total.unsettled.length > 0; tries += 1) {
    await sleep(settlePauseMs, context.signal);
    const again = await indexPaths(context, total.unsettled);
    total.added += again.added;
    total.changed += again.changed;
    total.skipped += again.skipped;
    total.problems.push(...again.problems);
    total.unsettled = again.unsettled;
  }
  return total;
}

/** A root with another identity whose files are all where they were is the same project on another mount. */
async function acceptRoot(context: IndexingContext, root: RootState): Promise<void> {
  if (root.kind !== 'replaced') return;
  const { index, project, signal } = context;
  await index.write(() => setRootIdentity(index, project.id, root.dev, root.ino), signal);
  project.rootDev = root.dev;
  project.rootIno = root.ino;
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
  excluded: readonly string[],
  paths: readonly string[],
): Promise<PathsOutcome> {
  const { index, project } = context;
  if (paths.some(isRuleFile)) return { ...nothing(), needsReconcile: true };
  const root = inspectRoot(project);
  if (root.kind === 'unavailable') throw rootUnavailable(root.reason);
  if (root.kind === 'replaced') return { ...nothing(), needsReconcile: true };
  const rules = new IgnoreRules(project.rootDir, excluded);
  const present = new Set<string>();
  const missing = new Map<string, FileRow>();
  const observed = new TreePresence(project.rootDir);
  for (const path of paths) await sortPath(context, rules, observed, path, present, missing);
  const { active } = countFiles(index, project.id);
  if (isBraked(root, missing.size, active)) {
    return { ...nothing(), needsReconcile: false, halted: brakeReason(root, missing.size, active) };
  }
  const tally = await indexSettling(context, [...present]);
  const { gone, owed } = withoutOwed(context, [...missing.values()]);
  const retired = await retireMissing(context, gone, rules);
  const problems = [...tally.problems, ...retired.problems];
  return { ...nothing(), ...tally, deleted: retired.deleted, problems, owed, needsReconcile: owed > 0 };
}

async function sortPath(
  context: IndexingContext,
  rules: IgnoreRules,
  observed: TreePresence,
  path: string,
  present: Set<string>,
  missing: Map<string, FileRow>,
): Promise<void> {
  const { index, project, signal } = context;
  const presence = observed.at(path);
  const isDirectory = presence === 'directory';
  if (isUnknown(presence) || rules.ignoresPath(path, isDirectory)) return;
  if (presence === 'file') {
    present.add(path);
    return;
  }
  if (!isDirectory) context.cover?.uncover(path);
  const row = fileByPath(index, project.id, path);
  if (row?.deleted === 0) missing.set(row.path, row);
  const below = activeFilesBelow(index, project.id, path);
  if (!isDirectory) {
    for (const lost of below) missing.set(lost.path, lost);
    return;
  }
  const walk = await walkTree(project.rootDir, path, rules, signal, (folder) =>
    context.cover?.cover(folder, true),
  );
  const { toIndex, missing: lost } = compareWalk(
    walk.files,
    new Map(below.map((known) => [known.path, known])),
  );
  for (const changed of toIndex) present.add(changed);
  for (const gone of lost) missing.set(gone.path, gone);
}
