import { CodekeepError } from '../base/errors.js';
import type { FileStamp } from '../base/stamp.js';
import type { Marks } from './file-states.js';
import type { Cause } from './files.js';
import type { IndexDatabase } from './index-database.js';

export type RunState = 'running' | 'done' | 'failed' | 'interrupted' | 'cancelled';
export type RunOrigin = 'command' | 'worker' | 'recovery' | 'undo';
export type ActionState = 'intent' | 'done' | 'conflict' | 'failed';

export interface RunKey {
  runId: string;
  projectId: string;
}

export interface NewRun extends RunKey {
  origin: RunOrigin;
  /** The run that an undo takes back. */
  undoes?: string | null;
  /** Of a rewind, and of what takes one back: the moment it goes to, in milliseconds since 1970. */
  rewindTo?: number | null;
  rootDir: string;
  versionDir: string;
}

export function beginRun(index: IndexDatabase, run: NewRun, now: number): void {
  index
    .sql(
      `INSERT INTO repair_runs (run_id, project_id, origin, undoes, rewind_to, state, root_dir, version_dir, started_at)
       VALUES (@runId, @projectId, @origin, @undoes, @rewindTo, 'running', @rootDir, @versionDir, @now)`,
    )
    .run({ undoes: null, rewindTo: null, ...run, now });
}

export function endRun(
  index: IndexDatabase,
  run: RunKey,
  state: RunState,
  message: string,
  now: number,
): void {
  index
    .sql('UPDATE repair_runs SET state = ?, message = ?, finished_at = ? WHERE run_id = ? AND project_id = ?')
    .run(state, message, now, run.runId, run.projectId);
}

/** One that had nothing to do. */
export function noteRun(index: IndexDatabase, run: NewRun, message: string, now: number): void {
  beginRun(index, run, now);
  endRun(index, run, 'done', message, now);
}

/** What a file was when it was placed; an older version did not keep its attributes. */
export type PlacedStamp = FileStamp & { xattrs?: string | null };

export interface NewAction {
  id: number;
  path: string;
  verdict: string;
  targets: readonly string[];
  cause: Cause | null;
  sha256: string | null;
  /** The action that it takes back. */
  inverseOf?: number | null;
}

/** Writes what is about to be done; the id names the temporary files of the action, too. */
export function recordIntent(index: IndexDatabase, run: RunKey, action: NewAction): number {
  const { lastInsertRowid } = index
    .sql(
      `INSERT INTO repair_actions (run_id, project_id, file_id, path, verdict, state, targets, cause, sha256, inverse_of)
       VALUES (?, ?, ?, ?, ?, 'intent', ?, ?, ?, ?)`,
    )
    .run(
      run.runId,
      run.projectId,
      action.id,
      action.path,
      action.verdict,
      action.targets.join(','),
      action.cause,
      action.sha256,
      action.inverseOf ?? null,
    );
  return Number(lastInsertRowid);
}

/** What became of an action, and for one that was done what an undo needs. */
export interface ActionOutcome {
  state: ActionState;
  detail: string | null;
  /** Of the row before it, or when the state began that a rewind made; null where it did not come to that. */
  marks: Marks | RewoundMark | null;
  /** Of what was placed in the project. */
  placed: PlacedStamp | null;
}

/** By which it is known that nothing has changed since a rewind; milliseconds since 1970. */
export interface RewoundMark {
  seenAt: number;
}

export function recordOutcome(
  index: IndexDatabase,
  actionId: number,
  { state, detail, marks, placed }: ActionOutcome,
  now: number,
): void {
  index
    .sql('UPDATE repair_actions SET state = ?, detail = ?, marks = ?, placed = ?, done_at = ? WHERE id = ?')
    .run(state, detail, jsonOf(marks), jsonOf(placed), now, actionId);
}

function jsonOf(value: object | null): string | null {
  return value === null ? null : JSON.stringify(value);
}

export function recordFolders(index: IndexDatabase, run: RunKey, folders: Iterable<string>): void {
  for (const path of folders)
    index
      .sql('INSERT INTO repair_folders (run_id, project_id, path) VALUES (?, ?, ?) ON CONFLICT DO NOTHING')
      .run(run.runId, run.projectId, path);
}

/** Folders that a run made in the project, the deepest first. */
export function foldersMade(index: IndexDatabase, run: RunKey): string[] {
  return index
    .sql<[string, string], { path: string }>(
      'SELECT path FROM repair_folders WHERE run_id = ? AND project_id = ? ORDER BY path DESC',
    )
    .all(run.runId, run.projectId)
    .map(({ path }) => path);
}

export interface UnfinishedRun extends RunKey {
  origin: RunOrigin;
  undoes: string | null;
  rewindTo: number | null;
  rootDir: string;
  versionDir: string;
}

export function unfinishedRuns(index: IndexDatabase): UnfinishedRun[] {
  return index
    .sql<[], UnfinishedRun>(
      `SELECT run_id AS runId, project_id AS projectId, origin, undoes, rewind_to AS rewindTo, root_dir AS rootDir,
         version_dir AS versionDir
       FROM repair_runs WHERE state = 'running' ORDER BY started_at`,
    )
    .all();
}

/** @param projectId null: of any project */
export function hasUnfinishedRun(index: IndexDatabase, projectId: string | null): boolean {
  const row = index
    .sql(
      "SELECT 1 FROM repair_runs WHERE state = 'running' AND (@projectId IS NULL OR project_id = @projectId)",
    )
    .get({ projectId });
  return row !== undefined;
}

export interface ActionRow {
  id: number;
  projectId: string;
  fileId: number;
  path: string;
  verdict: string;
  state: ActionState;
  targets: string;
  cause: Cause | null;
  sha256: string | null;
  detail: string | null;
  inverseOf: number | null;
  doneAt: number | null;
  /** JSON of Marks, and of a FileStamp. */
  marks: string | null;
  placed: string | null;
}

const actionColumns = `id, project_id AS projectId, file_id AS fileId, path, verdict, state, targets, cause, sha256, detail,
  inverse_of AS inverseOf, done_at AS doneAt, marks, placed`;

/** What was recorded by recordIntent. */
export function actionIn({ fileId, path, verdict, targets, cause, sha256, inverseOf }: ActionRow): NewAction {
  const split = targets === '' ? [] : targets.split(',');
  return { id: fileId, path, verdict, targets: split, cause, sha256, inverseOf };
}

export function actionById(index: IndexDatabase, id: number): ActionRow | undefined {
  return index.sql<[number], ActionRow>(`SELECT ${actionColumns} FROM repair_actions WHERE id = ?`).get(id);
}

export function openIntents(index: IndexDatabase, run: RunKey): ActionRow[] {
  return index
    .sql<[string, string], ActionRow>(
      `SELECT ${actionColumns} FROM repair_actions WHERE run_id = ? AND project_id = ? AND state = 'intent'`,
    )
    .all(run.runId, run.projectId);
}

/**
 * Takes away what earlier rounds of the background worker wrote of failures that this run met again: a failure that stays is
 * one row, the latest, and a run of which nothing is left is none.
 */
export function dropFailedAlike(index: IndexDatabase, run: RunKey): void {
  index
    .sql(
      `DELETE FROM repair_actions WHERE id IN (
         SELECT old.id FROM repair_actions new
         JOIN repair_actions old ON old.project_id = new.project_id AND old.file_id = new.file_id
           AND old.verdict = new.verdict AND old.run_id <> new.run_id AND old.state IN ('failed', 'conflict')
         JOIN repair_runs r ON r.run_id = old.run_id AND r.project_id = old.project_id AND r.origin = 'worker'
         WHERE new.run_id = @runId AND new.project_id = @projectId AND new.state IN ('failed', 'conflict'))`,
    )
    .run({ ...run });
  index
    .sql(
      `DELETE FROM repair_runs WHERE project_id = @projectId AND run_id <> @runId AND origin = 'worker'
         AND state <> 'running' AND NOT EXISTS (
           SELECT 1 FROM repair_actions a WHERE a.run_id = repair_runs.run_id AND a.project_id = repair_runs.project_id)`,
    )
    .run({ ...run });
}

/** Nothing of it was begun. */
export function dropIntents(index: IndexDatabase, run: RunKey): void {
  index
    .sql(`DELETE FROM repair_actions WHERE run_id = ? AND project_id = ? AND state = 'intent'`)
    .run(run.runId, run.projectId);
}

/** Ends what a run has not come to: until a later repair has done it, the absence of its files is no deletion. */
export function endIntents(index: IndexDatabase, run: RunKey, detail: string): void {
  index
    .sql(
      `UPDATE repair_actions SET state = 'failed', detail = ? WHERE run_id = ? AND project_id = ? AND state = 'intent'`,
    )
    .run(detail, run.runId, run.projectId);
}

/** What ran when the backup was made is of another time: it is not gone on with in this one. */
export function endRuns(index: IndexDatabase, now: number): void {
  const detail = 'it ran when the backup was made that was restored since';
  index.sql("UPDATE repair_actions SET state = 'failed', detail = ? WHERE state = 'intent'").run(detail);
  index
    .sql("UPDATE repair_runs SET state = 'interrupted', message = ?, finished_at = ? WHERE state = 'running'")
    .run(detail, now);
}

export function actionsOfRun(index: IndexDatabase, runId: string, after: number, limit: number): ActionRow[] {
  return index
    .sql<[string, number, number], ActionRow>(
      `SELECT ${actionColumns} FROM repair_actions WHERE run_id = ? AND id > ? ORDER BY id LIMIT ?`,
    )
    .all(runId, after, limit);
}

/** What a run has done, in the order in which it did it. */
export function doneActions(index: IndexDatabase, run: RunKey): ActionRow[] {
  return index
    .sql<[string, string], ActionRow>(
      `SELECT ${actionColumns} FROM repair_actions WHERE run_id = ? AND project_id = ? AND state = 'done' ORDER BY id`,
    )
    .all(run.runId, run.projectId);
}

export interface RunRow extends RunKey {
  origin: RunOrigin;
  undoes: string | null;
  rewindTo: number | null;
  rootDir: string;
  versionDir: string;
  state: RunState;
  message: string | null;
  startedAt: number;
  finishedAt: number | null;
  actions: number;
}

const runColumns = `r.run_id AS runId, r.project_id AS projectId, r.origin, r.undoes, r.rewind_to AS rewindTo, r.state, r.message,
  r.root_dir AS rootDir, r.version_dir AS versionDir,
  r.started_at AS startedAt, r.finished_at AS finishedAt,
  (SELECT count(*) FROM repair_actions a WHERE a.run_id = r.run_id AND a.project_id = r.project_id) AS actions`;

export function listRuns(index: IndexDatabase, projectId: string | null, limit: number): RunRow[] {
  return index
    .sql<unknown[], RunRow>(
      `SELECT ${runColumns} FROM repair_runs r WHERE @projectId IS NULL OR r.project_id = @projectId
       ORDER BY r.started_at DESC, r.run_id LIMIT @limit`,
    )
    .all({ projectId, limit });
}

/**
 * One for each project that the run covered.
 * @throws CodekeepError NOT_FOUND
 */
export function requireRuns(index: IndexDatabase, runId: string): RunRow[] {
  const runs = index
    .sql<[string], RunRow>(`SELECT ${runColumns} FROM repair_runs r WHERE r.run_id = ?`)
    .all(runId);
  if (runs.length > 0) return runs;
  throw new CodekeepError(
    'NOT_FOUND',
    `There is no repair, rewind or undo ${runId}.`,
    'Call list_repairs to see the runs that were recorded; a dry run is not.',
  );
}

/** The run that has taken a run back, at least in part, and was not taken back itself; null where there is none. */
export function undoOf(index: IndexDatabase, { runId, projectId }: RunKey): string | null {
  const undos = index
    .sql<[string, string], { runId: string }>(
      `SELECT run_id AS runId FROM repair_runs r WHERE undoes = ? AND project_id = ? AND EXISTS (
         SELECT 1 FROM repair_actions a WHERE a.run_id = r.run_id AND a.project_id = r.project_id AND a.state = 'done')`,
    )
    .all(runId, projectId);
  return undos.find((undo) => undoOf(index, { runId: undo.runId, projectId }) === null)?.runId ?? null;
}

/** The actions of a run that an undo has failed to take back, and none has since. */
export function failedInverses(index: IndexDatabase, { runId, projectId }: RunKey): ReadonlySet<number> {
  const rows = index
    .sql<[string, string], { inverseOf: number }>(
      `SELECT a.inverse_of AS inverseOf FROM repair_actions a JOIN repair_runs r USING (run_id, project_id)
       WHERE r.undoes = ? AND project_id = ? GROUP BY a.inverse_of
       HAVING max(a.state = 'done') = 0 AND max(a.state = 'failed') = 1`,
    )
    .all(runId, projectId);
  return new Set(rows.map(({ inverseOf }) => inverseOf));
}

/**
 * Files that the project's last repair had to bring back into the project and has not: it was cancelled, its process
 * ended, or it failed for them. As long as that is so their absence is a loss and no deletion. A row that was written
 * since then has been there again. A rewind or an undo that had nothing to do changes nothing of that.
 */
export function owedFiles(index: IndexDatabase, projectId: string): ReadonlySet<number> {
  const rows = index
    .sql<[string], { fileId: number }>(
      `WITH last AS (SELECT * FROM repair_runs r WHERE project_id = ? AND origin <> 'worker'
                       AND (undoes IS NULL AND rewind_to IS NULL OR EXISTS (
                         SELECT 1 FROM repair_actions a WHERE a.run_id = r.run_id AND a.project_id = r.project_id))
                     ORDER BY started_at DESC LIMIT 1)
       SELECT a.file_id AS fileId FROM last JOIN repair_actions a USING (run_id, project_id) JOIN files f ON f.id = a.file_id
       WHERE a.state IN ('intent', 'failed') AND a.targets LIKE '%project' AND f.updated_at <= last.started_at`,
    )
    .all(projectId);
  return new Set(rows.map(({ fileId }) => fileId));
}
