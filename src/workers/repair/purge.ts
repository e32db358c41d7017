import { CodekeepError } from '../../base/errors.js';
import type { PurgeReport, PurgeScope } from '../../base/ipc.js';
import type { Work } from '../../base/progress.js';
import type { Purged } from '../../contract/history.js';
import { repairListMax } from '../../contract/list-limits.js';
import { type OlderCopy, type PlannedPurge, planPurge, versionOf } from '../../reconcile/purge/plan-purge.js';
import { type Kept, removeFromVersions, settleVersions } from '../../reconcile/purge/versions.js';
import { keptPurge } from '../../reconcile/repair/kept-plan.js';
import { recoverRuns } from '../../reconcile/repair/recover.js';
import { derivedPath, removeDerived } from '../../store/derived/derived-database.js';
import { IndexDatabase } from '../../store/index-database.js';
import { checkStepMs, checkStructure } from '../../store/maintenance.js';
import { requireProject } from '../../store/projects.js';
import { removeCopy, writeWithout } from '../../store/purge-copies.js';
import { type Purge, purgeRows } from '../../store/purging.js';
import { causeInWords, damaged } from '../../store/sqlite-errors.js';
import type { RequestCall } from '../host.js';
import { assertSamePlan } from './same-plan.js';

/** A whole file is read and written: an hour (ms) is for hundreds of gigabytes. */
const rewriteMaxMs = 3_600_000;

/** The dry run of a purge, over a connection that cannot write. */
export async function planPurgeOf(databasePath: string, scope: PurgeScope, call: Work): Promise<PurgeReport> {
  const index = IndexDatabase.openReadOnly(databasePath);
  try {
    const planned = await planFor(index, scope, call);
    return {
      plan: keptOf(planned),
      purged: purgedOf(index, planned, outcomeOf(planned, scope.backups)),
    };
  } finally {
    index.close();
  }
}

/**
 * purge in its own process, with the index to itself. What names the rest goes last: the rows of the index, by one rename, so
 * that whatever a kill has left undone the same call finds again.
 */
export async function purge(indexPath: string, scope: PurgeScope, call: RequestCall): Promise<PurgeReport> {
  const index = IndexDatabase.openExisting(indexPath);
  let planned: PlannedPurge;
  let purged: Purged;
  try {
    await recoverRuns({ index, now: Date.now, signal: call.signal, progress: call.progress });
    await settleVersions(index, Date.now());
    planned = await planFor(index, scope, call);
    assertSound(index, call);
    const cleaned = await cleanAround(index, planned, scope.backups, call);
    purged = purgedOf(index, planned, cleaned);
  } finally {
    index.close();
  }
  call.progress('rewrite', 0, 0);
  await rewrite(indexPath, planned.purge, call);
  return { purged };
}

/** @throws CodekeepError DATABASE_CORRUPT: it could not be written anew, and nothing is to go before that is mended */
function assertSound(index: IndexDatabase, call: RequestCall): void {
  const [problem] = call.longStep(checkStepMs(index), () => checkStructure(index));
  if (problem !== undefined) throw damaged(index.path, problem);
}

/** @throws CodekeepError ROOT_UNAVAILABLE; PLAN_STALE where it is not what a dry run said */
async function planFor(index: IndexDatabase, scope: PurgeScope, call: Work): Promise<PlannedPurge> {
  const project = requireProject(index, { project_id: scope.project_id });
  const planned = await planPurge(index, project, scope, call);
  const { versionsProblem } = planned;
  if (versionsProblem !== null) throw cannotLook(versionsProblem);
  if (scope.expected !== undefined) assertSamePlan('purge', [scope.expected], [keptOf(planned)]);
  return planned;
}

function keptOf({ project, going, versions, copies }: PlannedPurge): ReturnType<typeof keptPurge> {
  const words = new Map<string, string>();
  const add = (path: string, what: string): void =>
    void words.set(path, `${words.get(path) ?? ''} ${what}`.trim());
  for (const { path, seenAt, sha256 } of going) add(path, `${seenAt} ${sha256}`);
  for (const { root, copies: found } of versions)
    for (const { path, sha256 } of found) add(`${root}/${path}`, sha256);
  // Backups may be made and go in between.
  for (const { path, isHeld } of copies) if (isHeld === true) add(path, 'held');
  return keptPurge(project.id, words);
}

async function rewrite(path: string, what: Purge, call: RequestCall): Promise<void> {
  call.signal.throwIfAborted();
  await writeWithout(
    path,
    async (index) => await index.write(() => purgeRows(index, what, Date.now())),
    (work) => call.longStep(rewriteMaxMs, work),
  );
}

type Backups = PurgeScope['backups'];

/** What is done, or would be, outside of the index. */
interface Outcome {
  versions: number;
  backups: { path: string; held: boolean | null; done: 'rewritten' | 'deleted' | 'kept' }[];
  kept: Kept[];
}

/** What it would come to where nothing fails. */
function outcomeOf({ versions, copies, kept }: PlannedPurge, mode: Backups): Outcome {
  const backups = copies.map((copy) => ({ path: copy.path, held: copy.isHeld, done: fateOf(copy, mode) }));
  const stays = copies.flatMap((copy) => reasonToKeep(copy, mode) ?? []);
  const count = versions.reduce((sum, { copies: found }) => sum + found.length, 0);
  return { versions: count, backups, kept: [...kept, ...stays] };
}

/** Also where nothing in it is to go: bytes of what was dropped earlier may lie between what is left. */
function fateOf({ isHeld, problem }: OlderCopy, mode: Backups): Outcome['backups'][number]['done'] {
  if (mode === 'delete' && isHeld !== false) return 'deleted';
  return mode === 'keep' || problem !== null ? 'kept' : 'rewritten';
}

function reasonToKeep(copy: OlderCopy, mode: Backups): Kept | null {
  if (copy.isHeld === false || fateOf(copy, mode) !== 'kept') return null;
  const reason =
    copy.problem === null
      ? 'it has what was purged, and is to be kept'
      : `it may have what was purged, and cannot be read: ${copy.problem}; purging again with backups "delete" removes it`;
  return { path: copy.path, versionId: null, reason };
}

/** Everything but the index itself. */
async function cleanAround(
  index: IndexDatabase,
  planned: PlannedPurge,
  mode: Backups,
  call: RequestCall,
): Promise<Outcome> {
  const outcome: Outcome = { versions: 0, backups: [], kept: [...planned.kept] };
  for (const found of planned.versions) {
    call.signal.throwIfAborted();
    const { removed, problem } = await removeFromVersions(index, found, Date.now());
    outcome.versions += removed;
    // The rows that name it stay as well.
    if (problem !== null) throw cannotRemove(problem);
  }
  for (const [at, copy] of planned.copies.entries()) {
    call.progress('backups', at, planned.copies.length);
    outcome.backups.push(await dealWith(copy, planned.purge, mode, call, outcome.kept));
  }
  for (const id of planned.derived) removeDerived(derivedPath(index.path, id));
  return outcome;
}

function cannotLook(problem: string): CodekeepError {
  return new CodekeepError(
    'ROOT_UNAVAILABLE',
    `What versions have of it cannot be looked at: ${problem}.`,
    'Nothing was purged. Mend that, then call again.',
  );
}

function cannotRemove(problem: string): CodekeepError {
  return new CodekeepError(
    'INDEX_UNAVAILABLE',
    `A copy in versions cannot be removed: ${problem}.`,
    'The index and its backups are as they were, and so know what is still to go. Mend that, then call again.',
  );
}

async function dealWith(
  copy: OlderCopy,
  what: Purge,
  mode: Backups,
  call: RequestCall,
  kept: Kept[],
): Promise<Outcome['backups'][number]> {
  const { path, isHeld: held } = copy;
  const done = fateOf(copy, mode);
  try {
    if (done === 'deleted') await removeCopy(path);
    else if (done === 'rewritten') await rewrite(path, what, call);
    const stays = reasonToKeep(copy, mode);
    if (stays !== null) kept.push(stays);
    return { path, held, done };
  } catch (error) {
    call.signal.throwIfAborted();
    const reason = `it ${held === true ? 'has' : 'may have'} what was purged, and could not be ${done}: ${causeInWords(error)}`;
    kept.push({ path, versionId: null, reason });
    return { path, held, done: 'kept' };
  }
}

function purgedOf(index: IndexDatabase, planned: PlannedPurge, outcome: Outcome): Purged {
  const { project, going, contents, vectors, versions } = planned;
  const removed = {
    rows: going.length,
    versions: outcome.versions,
    contents,
    vectors,
    backups: outcome.backups.filter(({ held, done }) => held !== false && done !== 'kept').length,
  };
  const kept = outcome.kept.map(({ path, versionId, reason }) => ({ path, version_id: versionId, reason }));
  return {
    project_id: project.id,
    root_dir: project.rootDir,
    removed,
    states: going.slice(0, repairListMax).map((row) => ({
      path: row.path,
      // What a deleted file was last is no version beside the one that it was.
      version_id: row.table === 'files' ? null : versionOf(index, row),
      seen_at: new Date(row.seenAt).toISOString(),
      size: row.size,
    })),
    copies: versions
      .flatMap(({ root, copies }) => copies.map(({ path }) => `${root}/${path}`))
      .slice(0, repairListMax),
    backups: outcome.backups,
    kept: kept.slice(0, repairListMax),
    totals: { kept: kept.length },
    message: messageFor(removed, kept.length),
  };
}

const traces =
  'nothing is known of it; the index and its backups are written anew, in which what was let go before may have left its bytes';

/** One sentence for people. */
function messageFor(removed: Purged['removed'], kept: number): string {
  const words = {
    rows: 'states',
    versions: 'copies in versions',
    contents: 'contents',
    vectors: 'vectors',
    backups: 'backups',
  };
  const parts = Object.entries(words).map(([name, text]) => `${removed[name as keyof typeof words]} ${text}`);
  const isNone = Object.values(removed).every((count) => count === 0);
  const left = kept === 0 ? '' : `; ${kept} kept`;
  return `${isNone ? traces : parts.join(', ')}${left}.`;
}
