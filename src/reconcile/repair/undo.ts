import { ClosedFolders } from '../../base/closed-folders.js';
import { relativePathProblem } from '../../base/paths.js';
import { PlacingProblems } from '../../base/placing-problem.js';
import { isUnknown, TreePresence } from '../../base/presence.js';
import type { Work } from '../../base/progress.js';
import { Slicer } from '../../base/waiting.js';
import { markDeleted, type Marks, marksOf, setMarks } from '../../store/file-states.js';
import { fileById, type FileRow } from '../../store/files.js';
import type { IndexDatabase } from '../../store/index-database.js';
import {
  actionById,
  actionIn,
  type ActionOutcome,
  type ActionRow,
  beginRun,
  doneActions,
  failedInverses,
  foldersMade,
  type NewAction,
  type PlacedStamp,
  recordIntent,
  type RunKey,
  type RunRow,
  undoOf,
} from '../../store/journal.js';
import { type Project, projectById } from '../../store/projects.js';
import { DeviceDoubts } from '../devices.js';
import { imageOf } from '../image.js';
import { doubtOf, inspectRootOf } from '../project-root.js';
import { isMoved, markRevived, placeBack } from '../restore.js';
import { VersionStore } from '../version-store.js';
import { conflict, hasImage, Placers, stampIfThere } from './apply.js';
import {
  type Acted,
  type BatchContext,
  concluding,
  inBatches,
  type Intent,
  type RunOutcome,
  verifyEach,
} from './batches.js';
import type { Refusal } from './plan.js';
import { removeEmptied, Removals } from './removals.js';
import { isStillPlaced } from './still-placed.js';
import { inverseOf, isHalfRemoved, type JournalVerdict, type UndoFact } from './undo-plan.js';

/** What takes back one action of a run. */
export interface UndoAction extends NewAction {
  verdict: JournalVerdict;
  inverseOf: number;
}

/** What an undo does in one project; data only, nothing was touched. */
export interface PlannedUndo {
  project: Project;
  /** Of the run that it takes back. */
  undoes: string;
  /** The run that has taken it back before; then there is nothing to do. */
  undoneBy: string | null;
  actions: UndoAction[];
  kept: Refusal[];
}

/**
 * What would take a run back in one of its projects, the last action first. Writes nothing.
 * @returns null where the project is not registered any more
 */
export async function planUndo(
  index: IndexDatabase,
  run: RunRow,
  signal: AbortSignal,
): Promise<PlannedUndo | null> {
  const project = projectOf(index, run);
  if (project === null) return null;
  const planned: PlannedUndo = {
    project,
    undoes: run.runId,
    undoneBy: undoOf(index, run),
    actions: [],
    kept: [],
  };
  // Of one that is undone already only what failed is left.
  const failed = failedInverses(index, run);
  const isRest = planned.undoneBy !== null;
  if (isRest && failed.size === 0) return planned;
  planned.undoneBy = null;
  const observer = new UndoObserver(index, project);
  const slicer = new Slicer(signal);
  for (const done of doneActions(index, run).reverse()) {
    if (isRest && !failed.has(done.id)) continue;
    // Of an older version, which did not write down what an undo needs.
    const fact = observer.fact(done);
    const inverse = done.doneAt === null ? tooOld : inverseOf(fact);
    if (failed.has(done.id) && isHalfRemoved(fact)) planned.actions.push(undoActionOf(done, 'remove'));
    else if ('keep' in inverse) planned.kept.push({ id: done.fileId, path: done.path, reason: inverse.keep });
    else planned.actions.push(undoActionOf(done, inverse.verdict));
    await slicer.breathe();
  }
  return planned;
}

const tooOld = { keep: 'it was done by an older version, which kept nothing for an undo' };

/** With the versions directory that the run used. */
function projectOf(index: IndexDatabase, { projectId, versionDir }: RunRow): Project | null {
  const project = projectById(index, projectId);
  return project === undefined ? null : { ...project, versionDir };
}

function undoActionOf(done: ActionRow, verdict: JournalVerdict): UndoAction {
  const { id, fileId, path, sha256 } = done;
  const targets = verdict === 'restore_from_cst' ? ['project'] : [];
  return { id: fileId, path, verdict, targets, cause: null, sha256, inverseOf: id };
}

class UndoObserver {
  readonly #index: IndexDatabase;
  readonly #tree: TreePresence;
  readonly #rootDoubt: string | null;
  readonly #devices: DeviceDoubts;
  readonly #places: PlacingProblems;
  readonly #versions: VersionStore;
  readonly #copies: TreePresence;

  constructor(index: IndexDatabase, project: Project) {
    this.#index = index;
    this.#tree = new TreePresence(project.rootDir);
    this.#rootDoubt = doubtOf(inspectRootOf(index, project));
    this.#devices = new DeviceDoubts(index, project);
    this.#places = new PlacingProblems(project.rootDir);
    this.#versions = new VersionStore(index, project);
    this.#copies = this.#versions.observe();
  }

  fact(done: ActionRow): UndoFact {
    const row = fileById(this.#index, done.fileId);
    const placed = stampIn(done.placed);
    const fact: UndoFact = {
      verdict: done.verdict as JournalVerdict,
      hasPlaced: placed !== null,
      row: null,
      inProject: 'unknown:path',
      placeDoubt: this.#rootDoubt,
      contentProblem: null,
      projectObstacle: null,
    };
    if (row === undefined || row.path !== done.path || relativePathProblem(row.path) !== null) return fact;
    fact.row = { deleted: row.deleted === 1, isUntouched: row.updatedAt === done.doneAt };
    fact.inProject = this.#rootDoubt === null ? this.#presenceOf(row, placed, done.sha256) : 'absent';
    fact.placeDoubt ??= this.#devices.doubtOf(row);
    if (fact.verdict === 'restore_from_cst' && fact.inProject === 'placed')
      fact.contentProblem = this.#keepingProblem(row);
    if (fact.verdict === 'remove' && fact.inProject === 'absent') {
      fact.contentProblem = this.#placingProblem(row);
      fact.projectObstacle = this.#places.at(row.path);
    }
    return fact;
  }

  #presenceOf(row: FileRow, placed: PlacedStamp | null, sha256: string | null): UndoFact['inProject'] {
    const presence = this.#tree.at(row.path);
    if (presence === 'absent') return 'absent';
    if (isUnknown(presence)) return presence as `unknown:${string}`;
    const isSame =
      placed !== null &&
      row.sha256 === sha256 &&
      isStillPlaced(this.#tree.pathOf(row.path), row, placed, presence);
    return isSame ? 'placed' : 'other';
  }

  /** Why its bytes could not be had again. */
  #keepingProblem(row: FileRow): string | null {
    if (isMoved(row)) return this.#versions.bareReason();
    const image = imageOf(this.#index, row);
    return 'problem' in image ? image.problem : null;
  }

  #placingProblem(row: FileRow): string | null {
    if (!isMoved(row)) return this.#keepingProblem(row);
    const isThere = this.#copies.look(row.path).stats?.size === row.size;
    return isThere ? null : 'it was too large to be stored, and versions do not have it';
  }
}

function stampIn(json: string | null): PlacedStamp | null {
  return json === null ? null : (JSON.parse(json) as PlacedStamp);
}

export interface UndoContext extends Work {
  index: IndexDatabase;
  now: () => number;
}

/** Takes back what was planned, under the journal: an undo is a run, and can be undone. */
export async function executeUndo(
  context: UndoContext,
  runId: string,
  { project, undoes, actions }: PlannedUndo,
): Promise<RunOutcome<UndoAction>> {
  const { index, now } = context;
  const run = { runId, projectId: project.id, undoes };
  const intents = await index.write(() => {
    const { rootDir, versionDir } = project;
    beginRun(index, { ...run, origin: 'undo', rootDir, versionDir }, now());
    return actions.map((action) => ({ action, journalId: recordIntent(index, run, action) }));
  });
  const work = async (): Promise<RunOutcome<UndoAction>> => {
    const outcome = await undoIntents(context, project, run, intents);
    outcome.errors = outcome.errors.concat(await verifyUndone(context, project, outcome.done));
    return outcome;
  };
  return await concluding(context, run, work, ({ done }) => `${done.length} undone`);
}

/** Brings an undo that was cut off to its end. */
export async function finishUndo(
  context: UndoContext,
  project: Project,
  run: RunKey & { undoes: string },
  open: readonly ActionRow[],
): Promise<RunOutcome<UndoAction>> {
  const intents = open.flatMap((row) => {
    const { id: journalId, verdict, inverseOf: undone } = row;
    if (undone === null) return [];
    const action = { ...actionIn(row), verdict: verdict as JournalVerdict, inverseOf: undone };
    return [{ journalId, action }];
  });
  return await undoIntents(context, project, run, intents);
}

/** Each after another look. */
async function undoIntents(
  context: UndoContext,
  project: Project,
  run: RunKey & { undoes: string },
  intents: readonly Intent<UndoAction>[],
): Promise<RunOutcome<UndoAction>> {
  const { index } = context;
  const closed = new ClosedFolders();
  const progress = (done: number, total: number): void => context.progress('apply', done, total);
  const batching: BatchContext = { ...context, run, progress };
  try {
    const outcome = await inBatches(batching, intents, () => {
      const observer = new UndoObserver(index, project);
      const placers = new Placers(index, project, closed);
      const removals = new Removals(index, project);
      return {
        act: async (action, token) =>
          await act(context, project, { observer, placers, removals }, action, token),
        finish: async () => {
          const [removed, placed] = [removals.finish(), placers.finish()];
          // Both let go of their folders, whatever becomes of the other.
          await Promise.allSettled([removed, placed]);
          await removed;
          return await placed;
        },
        placedAs: ({ path, sha256 }) => ({ absolute: `${project.rootDir}/${path}`, sha256 }),
        settle: (action, acted, at) => settle(index, project, action, acted, at),
      };
    });
    await removeEmptied(project, foldersMade(index, { ...run, runId: run.undoes }));
    return outcome;
  } finally {
    await closed.close(project.rootDir);
  }
}

async function act(
  { index, now }: UndoContext,
  project: Project,
  { observer, placers, removals }: { observer: UndoObserver; placers: Placers; removals: Removals },
  action: UndoAction,
  token: string,
): Promise<Acted> {
  const original = actionById(index, action.inverseOf);
  const row = fileById(index, action.id);
  if (original === undefined || row === undefined) return conflict('its row is gone');
  const fact = observer.fact(original);
  const inverse = inverseOf(fact);
  const isDone: Acted = { state: 'done', detail: null, stamp: null };
  if ('keep' in inverse) {
    // One that was cut off between the deed and the word.
    const isRemoved = action.verdict === 'remove' && fact.inProject === 'absent' && fact.placeDoubt === null;
    if (isRemoved && fact.row?.deleted === false) return isDone;
    const stamp = action.verdict === 'restore_from_cst' ? stampIfThere(project, row) : null;
    return stamp === null ? conflict(inverse.keep) : { ...isDone, stamp };
  }
  if (action.verdict === 'remove') return (await removals.remove(row, token, now())) ? isDone : changed;
  if (action.verdict !== 'restore_from_cst') return isDone;
  const stamp = await placeBack(index, project, await placers.to('project'), row, now(), token);
  return { ...isDone, stamp };
}

const changed: Acted = conflict('it was changed since');

/** The marks that go with it: as they were before the run, and `asked` for a file that goes and was not marked then. */
function settle(
  index: IndexDatabase,
  project: Project,
  { id, verdict, inverseOf: undone }: UndoAction,
  { detail, stamp }: Acted,
  at: number,
): ActionOutcome {
  const row = fileById(index, id);
  if (row === undefined) return { state: 'conflict', detail: 'its row is gone', marks: null, placed: null };
  const before = marksIn(actionById(index, undone)?.marks ?? null);
  if (verdict === 'restore_from_cst') {
    if (stamp !== null) markRevived(index, project.id, row, stamp, 'repair', at);
  } else if (verdict === 'clear_deleted') setMarks(index, id, before?.deleted === 0 ? before : unmarked, at);
  else if (before?.deleted === 1) setMarks(index, id, before, at);
  else markDeleted(index, id, 'asked', at);
  return { state: 'done', detail, marks: marksOf(row), placed: stamp };
}

const unmarked: Marks = { deleted: 0, deletedAt: null, cause: null, revived: 0, copyProblem: null };

function marksIn(json: string | null): Marks | null {
  return json === null ? null : (JSON.parse(json) as Marks);
}

/** What is not as it should be after it. */
async function verifyUndone(
  { index, signal }: UndoContext,
  project: Project,
  done: readonly UndoAction[],
): Promise<string[]> {
  const tree = new TreePresence(project.rootDir);
  return await verifyEach(done, signal, ({ id, path, verdict }) => {
    if (verdict === 'remove') return tree.at(path) === 'absent' ? [] : [`${path}: it is there again`];
    const row = fileById(index, id);
    const isPlaced = row !== undefined && hasImage(tree.pathOf(path), row);
    return verdict === 'restore_from_cst' && !isPlaced ? [`${path}: it does not read back as written`] : [];
  });
}
