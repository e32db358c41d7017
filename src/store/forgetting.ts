import { sleep, Slicer } from '../base/waiting.js';
import { checkpointMoments } from './checkpoints.js';
import { hashesAfter } from './contents.js';
import { becomeFolder } from './file-states.js';
import { copiedBetween, type FileRow } from './files.js';
import type { IndexDatabase } from './index-database.js';
import { hasUnfinishedRun } from './journal.js';
import { type Project, setForgotten } from './projects.js';
import { blankRows } from './purging.js';
import {
  cutFor,
  type JudgedState,
  judgeStates,
  oldestOf,
  type PastContent,
  type PastState,
  type PresentState,
  type Retention,
  type RetentionPolicy,
  wholeSince,
} from './retention.js';
import { dropUnused, isUnused, referencesTo } from './revisions.js';

/** Lets past states go, and the contents that nothing has any more: what is planned is data, and what does it another step. */

export interface ForgetLimits {
  policy: RetentionPolicy;
  /** What contents of a project may take that none of its files has, as they are stored. */
  maxBytes: number;
  /** Milliseconds since 1970. */
  now: number;
}

interface GoingState {
  id: number;
  sha256: string | null;
}

/** What goes of a project. */
export interface ForgetPlan {
  project: Project;
  states: GoingState[];
  /** Files that were deleted longer ago than anything is kept. */
  deleted: FileRow[];
  /** Before it not all is known any more, but for checkpoints; -1: that stays as it is. */
  since: number;
}

/** What has gone. */
export interface ForgetTally {
  versions: number;
  deleted: number;
  contents: number;
  /** Of the contents, as they were stored. */
  bytes: number;
}

/** Writes nothing. What an unfinished run is about stays as it is. */
export async function planForget(
  index: IndexDatabase,
  project: Project,
  { policy, maxBytes, now }: ForgetLimits,
  signal: AbortSignal,
): Promise<ForgetPlan> {
  if (hasUnfinishedRun(index, project.id)) return { project, states: [], deleted: [], since: -1 };
  const slicer = new Slicer(signal);
  const checkpoints = checkpointMoments(index, project.id);
  const retention = { policy, now, recordedAt: project.recordedAt ?? 0, checkpoints, cutAt: 0 };
  const inTime = await judgeProject(index, project, retention, slicer);
  const cutAt = cutFor(await pastContents(index, inTime.kept, slicer), maxBytes);
  const { states, since } =
    cutAt === 0 ? inTime : await judgeProject(index, project, { ...retention, cutAt }, slicer);
  const deleted = await deletedLongAgo(index, project, oldestOf(retention), states, slicer);
  return { project, states, deleted, since };
}

interface JudgedProject {
  states: GoingState[];
  since: number;
  /** By their hash: what contents are kept for, of the states that stay. */
  kept: Map<string, number>;
}

async function judgeProject(
  index: IndexDatabase,
  project: Project,
  retention: Retention,
  slicer: Slicer,
): Promise<JudgedProject> {
  const outcome: JudgedProject = { states: [], since: -1, kept: new Map() };
  for (const { past, present } of pathHistories(index, project.id)) {
    const judged = judgeStates(past, present, retention);
    outcome.since = Math.max(outcome.since, wholeSince(judged, retention));
    for (const one of judged) note(one, outcome);
    await slicer.breathe();
  }
  return outcome;
}

function note({ state, keptFor }: JudgedState<StateRow>, { states, kept }: JudgedProject): void {
  const { id, sha256 } = state;
  if (keptFor === null) states.push({ id, sha256 });
  else if (sha256 !== null) kept.set(sha256, Math.max(kept.get(sha256) ?? -1, keptFor));
}

interface StateRow extends PastState, GoingState {
  path: string;
}

/** Rows read at once. */
const pageRows = 500;

/** All paths that were something else once, each with its states in the order of time. */
function* pathHistories(
  index: IndexDatabase,
  projectId: string,
): Generator<{ past: StateRow[]; present: PresentState | null }> {
  const presentOf = (path: string): PresentState | null => presentAt(index, projectId, path);
  let past: StateRow[] = [];
  let after: Pick<StateRow, 'path' | 'seenAt'> = { path: '', seenAt: -1 };
  for (;;) {
    const page = index
      .sql<[object], StateRow>(
        `SELECT id, path, seen_at AS seenAt, gone_at AS goneAt, sha256 FROM revisions
         WHERE project_id = @projectId AND (path, seen_at) > (@path, @seenAt) ORDER BY path, seen_at LIMIT ${pageRows}`,
      )
      .all({ projectId, path: after.path, seenAt: after.seenAt });
    for (const row of page) {
      if (past[0] !== undefined && past[0].path !== row.path) {
        yield { past, present: presentOf(past[0].path) };
        past = [];
      }
      past.push(row);
      after = row;
    }
    if (page.length < pageRows) break;
  }
  if (past[0] !== undefined) yield { past, present: presentOf(past[0].path) };
}

function presentAt(index: IndexDatabase, projectId: string, path: string): PresentState | null {
  const row = index
    .sql<[string, string], { seenAt: number; keepsBefore: 0 | 1 }>(
      `SELECT seen_at AS seenAt, deleted = 1 OR came_by = 'rewind' AS keepsBefore FROM files
       WHERE project_id = ? AND path = ?`,
    )
    .get(projectId, path);
  return row === undefined ? null : { seenAt: row.seenAt, keepsBefore: row.keepsBefore === 1 };
}

/** Those of the contents that no file has; what others are kept as a difference to is kept as long as they are. */
async function pastContents(
  index: IndexDatabase,
  kept: ReadonlyMap<string, number>,
  slicer: Slicer,
): Promise<PastContent[]> {
  const withBases = new Map(kept);
  for (const [sha256, keptFor] of kept) {
    const { base } = index.sql<[string], { base: string | null }>(baseSql).get(sha256) ?? { base: null };
    if (base !== null) withBases.set(base, Math.max(withBases.get(base) ?? -1, keptFor));
    await slicer.breathe();
  }
  const contents: PastContent[] = [];
  for (const [sha256, keptFor] of withBases) {
    const row = index
      .sql<[object], { bytes: number }>(
        `SELECT length(tree) AS bytes FROM contents
         WHERE sha256 = @sha256 AND NOT EXISTS (SELECT 1 FROM files WHERE sha256 = @sha256)`,
      )
      .get({ sha256 });
    if (row !== undefined) contents.push({ bytes: row.bytes, keptFor });
    await slicer.breathe();
  }
  return contents;
}

const baseSql = 'SELECT base FROM contents WHERE sha256 = ?';

/** Files that were deleted before then, since their history is known, and of which no state stays. */
async function deletedLongAgo(
  index: IndexDatabase,
  { id: projectId, recordedAt }: Project,
  before: number,
  states: readonly GoingState[],
  slicer: Slicer,
): Promise<FileRow[]> {
  const found: FileRow[] = [];
  if (recordedAt === null) return found;
  const going = new Set(states.map(({ id }) => id));
  for (const row of copiedBetween(index, projectId, recordedAt, before)) {
    if (statesAt(index, projectId, row.path).every(({ id }) => going.has(id))) found.push(row);
    await slicer.breathe();
  }
  return found;
}

/** What a path was before. */
function statesAt(index: IndexDatabase, projectId: string, path: string): GoingState[] {
  return index
    .sql<[string, string], GoingState>('SELECT id, sha256 FROM revisions WHERE project_id = ? AND path = ?')
    .all(projectId, path);
}

/** The states of these paths that have contents. */
export function statesWithContents(
  index: IndexDatabase,
  { id }: Project,
  files: readonly Pick<FileRow, 'path'>[],
): GoingState[] {
  return files.flatMap(({ path }) => statesAt(index, id, path)).filter(({ sha256 }) => sha256 !== null);
}

/** A transaction takes so long (ms) at most, and so long (ms) others have their turn behind it. */
const stepMs = 15;
const stepPauseMs = 10;

/** Does one thing after the other, in transactions that are short; ends where a run of the project has begun. */
async function inSteps<T>(
  index: IndexDatabase,
  projectId: string | null,
  items: readonly T[],
  work: (item: T) => void,
  signal: AbortSignal,
): Promise<void> {
  for (let next = 0; next < items.length; await sleep(stepPauseMs, signal)) {
    next = await index.write(() => {
      if (hasUnfinishedRun(index, projectId)) return items.length;
      const startedAt = performance.now();
      let at = next;
      do work(items[at] as T);
      while (++at < items.length && performance.now() - startedAt < stepMs);
      return at;
    }, signal);
  }
}

/** What cannot be come back to any more is said before anything of it goes. */
export async function forgetStates(
  index: IndexDatabase,
  { project, states, since }: ForgetPlan,
  tally: ForgetTally,
  signal: AbortSignal,
): Promise<void> {
  if (states.length === 0) return;
  if (since >= 0) await index.write(() => setForgotten(index, project.id, since), signal);
  const forgetOne = ({ id, sha256 }: GoingState): void => {
    tally.versions += index.sql('DELETE FROM revisions WHERE id = ?').run(id).changes;
    drop(index, sha256, tally);
  };
  await inSteps(index, project.id, states, forgetOne, signal);
}

/** Whether a file that is to go is still deleted, the same as `row`, and nothing is under way that may need it. */
export function isStillDeleted(
  index: IndexDatabase,
  { id: projectId }: Project,
  { id, updatedAt }: FileRow,
): boolean {
  const row = index.sql('SELECT 1 FROM files WHERE id = ? AND deleted = 1 AND updated_at = ?');
  return row.get(id, updatedAt) !== undefined && !hasUnfinishedRun(index, projectId);
}

/** The same of one of which nothing is to be known any more: that it is deleted is its only state. */
export function mayForget(index: IndexDatabase, project: Project, row: FileRow): boolean {
  return isStillDeleted(index, project, row) && statesAt(index, project.id, row.path).length === 0;
}

/** Nothing is known any more of a file whose copy in versions is gone. */
export function forgetDeleted(index: IndexDatabase, { id, sha256 }: FileRow, tally: ForgetTally): void {
  if (!becomeFolder(index, id)) index.sql('DELETE FROM files WHERE id = ?').run(id);
  tally.deleted += 1;
  drop(index, sha256, tally);
}

/** Of a file whose copies in versions are gone it stays known when there was something, and when it was deleted. */
export function blankDeleted(
  index: IndexDatabase,
  project: Project,
  row: FileRow,
  tally: ForgetTally,
  now: number,
): void {
  const states = statesWithContents(index, project, [row]);
  const past = states.map(({ id }) => ({ table: 'revisions' as const, id }));
  blankRows(index, [...past, { table: 'files', id: row.id }], now);
  tally.versions += states.length;
  tally.deleted += 1;
  for (const { sha256 } of [...states, row]) drop(index, sha256, tally);
}

function drop(index: IndexDatabase, sha256: string | null, tally: ForgetTally): void {
  const { contents, bytes } = dropUnused(index, sha256);
  tally.contents += contents;
  tally.bytes += bytes;
}

/** Contents that nothing has, and that were added before then. */
export async function forgetContents(
  index: IndexDatabase,
  before: number,
  tally: ForgetTally,
  signal: AbortSignal,
): Promise<void> {
  for await (const contents of unreferenced(index, before, signal)) {
    await inSteps(index, null, contents, (sha256) => drop(index, sha256, tally), signal);
  }
}

/** What would go by these plans, and of contents that were added before then; null: none but those of the plans. */
export async function rehearseForget(
  index: IndexDatabase,
  plans: readonly Pick<ForgetPlan, 'states' | 'deleted'>[],
  before: number | null,
  signal: AbortSignal,
): Promise<ForgetTally> {
  const tally: ForgetTally = { versions: 0, deleted: 0, contents: 0, bytes: 0 };
  const going = new Map<string, number>();
  for (const { states, deleted } of plans) {
    tally.versions += states.length;
    tally.deleted += deleted.length;
    for (const { sha256 } of [...states, ...deleted])
      if (sha256 !== null) going.set(sha256, (going.get(sha256) ?? 0) + 1);
  }
  const gone = new Set<string>();
  const consider = (sha256: string): void => {
    const row = usesOf(index, sha256);
    if (row === undefined || gone.has(sha256) || row.uses > (going.get(sha256) ?? 0)) return;
    gone.add(sha256);
    tally.contents += 1;
    tally.bytes += row.bytes;
    if (row.base === null) return;
    going.set(row.base, (going.get(row.base) ?? 0) + 1);
    consider(row.base);
  };
  const slicer = new Slicer(signal);
  for (const sha256 of going.keys()) {
    consider(sha256);
    await slicer.breathe();
  }
  if (before === null) return tally;
  for await (const contents of unreferenced(index, before, signal)) contents.forEach(consider);
  return tally;
}

interface Uses {
  bytes: number;
  base: string | null;
  uses: number;
}

function usesOf(index: IndexDatabase, sha256: string): Uses | undefined {
  const counts = referencesTo('@sha256').map((reference) => `(SELECT count(*) FROM (${reference}))`);
  return index
    .sql<[object], Uses>(
      `SELECT length(tree) AS bytes, base, ${counts.join(' + ')} AS uses FROM contents WHERE sha256 = @sha256`,
    )
    .get({ sha256 });
}

/** Page by page; none while a run is unfinished, which may be about any of them. */
async function* unreferenced(
  index: IndexDatabase,
  before: number,
  signal: AbortSignal,
): AsyncGenerator<string[]> {
  const slicer = new Slicer(signal);
  for (let after = ''; !hasUnfinishedRun(index, null);) {
    const page = hashesAfter(index, after, pageRows);
    const last = page.at(-1);
    if (last === undefined) return;
    yield index
      .sql<[object], string>(
        `SELECT sha256 FROM contents c WHERE sha256 > @after AND sha256 <= @last AND ${isUnused('c.sha256')}
           AND added_at <= @before`,
      )
      .pluck()
      .all({ after, last, before });
    after = last;
    await slicer.breathe();
  }
}
