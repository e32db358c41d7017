import { ClosedFolders } from '../../base/closed-folders.js';
import { CodekeepError } from '../../base/errors.js';
import { assertRelativePath, splitPath } from '../../base/paths.js';
import { TreePresence } from '../../base/presence.js';
import type { Work } from '../../base/progress.js';
import { Slicer } from '../../base/waiting.js';
import { fileByPath } from '../../store/files.js';
import {
  isAlike,
  type PathState,
  statesBeforeChange,
  stateAt,
  statesOf,
  wasAnything,
} from '../../store/history.js';
import type { IndexDatabase } from '../../store/index-database.js';
import {
  actionById,
  actionIn,
  type ActionRow,
  beginRun,
  doneActions,
  foldersMade,
  recordIntent,
  type RewoundMark,
  type RunKey,
  type RunOrigin,
} from '../../store/journal.js';
import type { Project } from '../../store/projects.js';
import {
  type BatchContext,
  concluding,
  inBatches,
  type Intent,
  type RunOutcome,
  verifyEach,
} from './batches.js';
import { readWhole } from '../read-entry.js';
import type { Refusal } from './plan.js';
import { removeEmptied } from './removals.js';
import {
  RewindBatch,
  type RewindContext,
  type RewoundAction,
  stampOfState,
  type Wanted,
} from './rewind-batch.js';
import { type Proven, RewindObserver } from './rewind-observe.js';
import {
  isAction,
  judgeRewind,
  type RewindFact,
  rewindPlanOf,
  type RewindPlan,
  type RewindVerdict,
} from './rewind-plan.js';

/**
 * Brings paths of a project back to what they were at a time, by observe → plan → apply → verify under the journal, as a repair
 * does. What stands in the project is taken aside first, and dropped only once its bytes are proven to be in the index.
 */

/** Which paths are meant; both null: all. */
export interface RewindChoice {
  paths: readonly string[] | null;
  prefix: string | null;
}

export interface PlannedRewind {
  project: Project;
  /** Milliseconds since 1970. */
  to: number;
  plan: RewindPlan;
  actions: RewoundAction[];
  wanted: Wanted;
  /** Of what takes a rewind back: what has changed since, and stays. */
  kept: Refusal[];
}

/**
 * Writes nothing.
 * @throws CodekeepError FILE_NOT_FOUND for a path of which nothing is known
 */
export async function planRewind(
  index: IndexDatabase,
  project: Project,
  to: number,
  choice: RewindChoice,
  { signal, progress }: Work,
  proven: Proven = 'all',
): Promise<PlannedRewind> {
  const { paths, stateThen: then } = changedSince(index, project, to, choice);
  const observer = new RewindObserver(index, project, to);
  const facts = await factsOf(observer, paths, then, { signal, progress }, proven);
  const plan = rewindPlanOf(facts);
  const actions = plan.actions.map(({ verdict, path }) =>
    actionOf(index, project, verdict, path, then(path)),
  );
  return { project, to, plan, actions, wanted: ({ path }) => then(path), kept: [] };
}

/**
 * Whether one of the paths by itself has to be changed, as far as that can be told without a look at contents.
 * @throws as planRewind
 */
export async function mayNeedRewind(
  index: IndexDatabase,
  project: Project,
  to: number,
  choice: RewindChoice,
  { signal }: Pick<Work, 'signal'>,
): Promise<boolean> {
  const { paths, stateThen: then } = changedSince(index, project, to, choice);
  const observer = new RewindObserver(index, project, to);
  const slicer = new Slicer(signal);
  for (const path of paths) {
    if (isAction(judgeRewind(observer.fact(path, then(path), 'none')))) return true;
    await slicer.breathe();
  }
  return false;
}

/** The paths that became something else since, and what each path was. */
function changedSince(
  index: IndexDatabase,
  project: Project,
  to: number,
  choice: RewindChoice,
): { paths: string[]; stateThen: (path: string) => PathState | undefined } {
  for (const path of choice.paths ?? []) assertKnown(index, project, path);
  const states = statesBeforeChange(index, project.id, to);
  const paths = [...states.keys()].filter((path) => isChosen(path, choice));
  return { paths, stateThen: remembering((path: string) => stateAt(index, project.id, path, to), states) };
}

/** @throws CodekeepError PATH_OUTSIDE_ROOT; FILE_NOT_FOUND: nothing to do would be said of a path that was mistyped */
export function assertKnown(index: IndexDatabase, { id, rootDir }: Project, path: string): void {
  assertRelativePath(path);
  if (wasAnything(index, id, path)) return;
  throw new CodekeepError(
    'FILE_NOT_FOUND',
    `Nothing is known of ${JSON.stringify(path)} in ${rootDir}: there is no such file or folder, and none is remembered.`,
    'Check the path; it is relative to the root. list_changes names what changed.',
    { path },
  );
}

function isChosen(path: string, { paths, prefix }: RewindChoice): boolean {
  if (prefix !== null && !path.startsWith(prefix)) return false;
  return paths === null || paths.some((one) => path === one || path.startsWith(`${one}/`));
}

async function factsOf(
  observer: RewindObserver,
  paths: readonly string[],
  then: (path: string) => PathState | undefined,
  { signal, progress }: Work,
  proven: Proven = 'all',
): Promise<RewindFact[]> {
  const slicer = new Slicer(signal);
  const facts: RewindFact[] = [];
  for (const path of paths) {
    facts.push(observer.fact(path, then(path), proven));
    progress('observe', facts.length, paths.length);
    await slicer.breathe();
  }
  return facts;
}

function actionOf(
  index: IndexDatabase,
  project: Project,
  verdict: RewindVerdict,
  path: string,
  then: PathState | undefined,
  inverseOf: number | null = null,
): RewoundAction {
  const row = fileByPath(index, project.id, path);
  const hash = verdict === 'remove' ? row?.sha256 : then?.sha256;
  return { id: row?.id ?? 0, path, verdict, targets: [], cause: null, sha256: hash ?? null, inverseOf };
}

/** What would take a rewind back: each path that still is what the rewind made of it. Writes nothing. */
export async function planRewindUndo(
  index: IndexDatabase,
  project: Project,
  run: RunKey & { startedAt: number },
  work: Work,
): Promise<PlannedRewind> {
  const kept: Refusal[] = [];
  const done = new Map<string, ActionRow>();
  for (const action of doneActions(index, run)) {
    const newest = (until: number): PathState | undefined =>
      statesOf(index, project.id, action.path, until, 1)[0];
    const [now, made] = [newest(Number.MAX_SAFE_INTEGER), newest(seenAtOf(action) + 1)];
    const keep = (reason: string): void => void kept.push({ id: action.fileId, path: action.path, reason });
    // A later run that was taken back has made it the same once more.
    if (now === undefined || made?.seenAt !== seenAtOf(action) || !isAlike(now, made))
      keep('it was changed since');
    else if (!isStateBefore(newest(made.seenAt), made)) keep('what it was before is not kept any more');
    else done.set(action.path, action);
  }
  const then = remembering((path: string) => before(index, project, done.get(path)));
  const facts = await factsOf(new RewindObserver(index, project), [...done.keys()].sort(), then, work);
  const plan = rewindPlanOf(facts);
  const actions = plan.actions.map(({ verdict, path }) =>
    actionOf(index, project, verdict, path, then(path), done.get(path)?.id ?? null),
  );
  const wanted = wantedOf(index, project, run.startedAt);
  return { project, to: run.startedAt, plan, actions, wanted, kept };
}

/**
 * Whether it is what the path was until then, and no older one. A folder that something came into had no state after it, also where
 * it was known as a deleted one.
 */
function isStateBefore(last: PathState | undefined, { seenAt }: PathState): boolean {
  return (
    last !== undefined && (last.goneAt === seenAt || last.state === 'folder' || last.state === 'deleted')
  );
}

/** What a path was before a rewind changed it. */
function before(
  index: IndexDatabase,
  project: Project,
  action: ActionRow | undefined,
): PathState | undefined {
  if (action === undefined) return undefined;
  return stateAt(index, project.id, action.path, seenAtOf(action) - 1);
}

function seenAtOf({ marks }: ActionRow): number {
  return marks === null ? -1 : (JSON.parse(marks) as RewoundMark).seenAt;
}

type UndoingKey = RunKey & { undoes: string | null };
export type RewindRun = UndoingKey & { origin: RunOrigin };

/** Does what was planned, under the journal. */
export async function executeRewind(
  context: RewindContext,
  run: RewindRun,
  { project, to, actions, wanted }: PlannedRewind,
): Promise<RunOutcome<RewoundAction>> {
  const { index, now } = context;
  const { rootDir, versionDir } = project;
  const intents = await index.write(() => {
    beginRun(index, { ...run, rewindTo: to, rootDir, versionDir }, now());
    return actions.map((action) => ({ action, journalId: recordIntent(index, run, action) }));
  });
  const work = async (): Promise<RunOutcome<RewoundAction>> => {
    const outcome = await rewindIntents(context, project, run, wanted, intents, false);
    context.progress('verify', 0, outcome.done.length);
    outcome.errors = outcome.errors.concat(await verify(context, project, wanted, outcome.done));
    return outcome;
  };
  return await concluding(context, run, work, ({ done }) => `${done.length} rewound`);
}

/** Brings a rewind that was cut off to its end. */
export async function finishRewind(
  context: RewindContext,
  project: Project,
  run: UndoingKey & { rewindTo: number },
  open: readonly ActionRow[],
): Promise<RunOutcome<RewoundAction>> {
  const intents = open.map((row) => ({
    journalId: row.id,
    action: { ...actionIn(row), verdict: row.verdict as RewindVerdict },
  }));
  const wanted = wantedOf(context.index, project, run.rewindTo);
  return await rewindIntents(context, project, run, wanted, intents, true);
}

function wantedOf(index: IndexDatabase, project: Project, to: number): Wanted {
  const then = remembering((path: string) => stateAt(index, project.id, path, to));
  const undone = remembering((id: number) => before(index, project, actionById(index, id)));
  return ({ path, inverseOf }) => (typeof inverseOf === 'number' ? undone(inverseOf) : then(path));
}

/** What was is asked for again and again while it is brought back, and does not change. */
function remembering<K>(
  look: (key: K) => PathState | undefined,
  known = new Map<K, PathState | undefined>(),
): (key: K) => PathState | undefined {
  return (key) => {
    if (!known.has(key)) known.set(key, look(key));
    return known.get(key);
  };
}

/** What goes, then the folders that nothing is in any more, then what comes: each after another look. */
async function rewindIntents(
  context: RewindContext,
  project: Project,
  run: UndoingKey,
  wanted: Wanted,
  intents: readonly Intent<RewoundAction>[],
  isRecovery: boolean,
): Promise<RunOutcome<RewoundAction>> {
  const going = intents.filter(({ action }) => action.verdict === 'remove');
  const coming = intents.filter(({ action }) => action.verdict !== 'remove');
  const closed = new ClosedFolders();
  let tried = 0;
  const phase = async (some: readonly Intent<RewoundAction>[]): Promise<RunOutcome<RewoundAction>> => {
    const from = tried;
    const progress = (done: number): void => context.progress('apply', from + done, intents.length);
    const batching: BatchContext = { ...context, run, progress };
    const outcome = await inBatches(batching, some, () => {
      const rewinding = new RewindBatch(context, project, wanted, closed, isRecovery);
      return {
        act: async (action, token) => await rewinding.act(action, token),
        finish: async () => await rewinding.finish(),
        placedAs: (action) => ({ absolute: `${project.rootDir}/${action.path}`, sha256: action.sha256 }),
        settle: (action, acted, at) => rewinding.settle(action, acted, at),
      };
    });
    tried += some.length;
    return outcome;
  };
  try {
    const gone = await phase(going);
    await removeEmptied(project, emptiedBy(context.index, run, wanted, intents));
    const come = await phase(coming);
    return {
      done: [...gone.done, ...come.done],
      conflicts: [...gone.conflicts, ...come.conflicts],
      errors: [...gone.errors, ...come.errors],
      failed: [...gone.failed, ...come.failed],
    };
  } finally {
    await closed.close(project.rootDir);
  }
}

/**
 * Folders of what went that were not there then, the deepest first; those that hold something stay. Of what a run takes back only
 * those that it had made.
 */
function emptiedBy(
  index: IndexDatabase,
  { undoes, ...run }: UndoingKey,
  wanted: Wanted,
  intents: readonly Intent<RewoundAction>[],
): string[] {
  if (undoes !== null) return foldersMade(index, { ...run, runId: undoes });
  const folders = new Set<string>();
  const needed = new Set<string>();
  // Some may have been done before the run was cut off.
  for (const { path, verdict } of [...doneActions(index, run), ...intents.map(({ action }) => action)]) {
    const into = verdict === 'remove' ? folders : needed;
    for (let { folder } = splitPath(path); folder !== ''; folder = splitPath(folder).folder) into.add(folder);
  }
  const wasEmpty = (folder: string): boolean => wanted({ path: folder, inverseOf: null })?.state === 'folder';
  return [...folders]
    .filter((folder) => !needed.has(folder) && !wasEmpty(folder))
    .sort()
    .reverse();
}

/** What does not read back as it was written. What somebody has made of it since is theirs. */
async function verify(
  { index, signal }: RewindContext,
  project: Project,
  wanted: Wanted,
  done: readonly RewoundAction[],
): Promise<string[]> {
  const tree = new TreePresence(project.rootDir);
  return await verifyEach(done, signal, (action) => {
    const [{ path }, then] = [action, wanted(action)];
    if (action.verdict === 'remove' || then === undefined || stampOfState(tree.pathOf(path), then) !== null)
      return [];
    const row = fileByPath(index, project.id, path);
    const reading = readWhole(tree.pathOf(path), then.size);
    const stamp = 'stamp' in reading ? reading.stamp : null;
    const isOurs = stamp !== null && stamp.ino === row?.ino && stamp.ctimeNs === row.ctimeNs;
    return isOurs ? [`${path}: it does not read back as written`] : [];
  });
}
