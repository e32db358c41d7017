/** A real project in a temporary folder, with its index beside it. */
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { sha256 } from '#src/base/hash.js';
import type { ProgressListener } from '#src/base/progress.js';
import { extractingWith } from '#src/reconcile/extract.js';
import type { ExtractorPool } from '#src/reconcile/extractor-pool.js';
import type { InHand } from '#src/reconcile/in-hand.js';
import type { IndexingContext } from '#src/reconcile/index-paths.js';
import type { ReconcileOutcome } from '#src/reconcile/reconcile-outcome.js';
import { type PathsOutcome, reconcilePaths } from '#src/reconcile/reconcile-paths.js';
import { reconcileProject } from '#src/reconcile/reconcile-project.js';
import {
  executeRepair,
  openRepair,
  type PlannedRepair,
  planRepair,
  type RepairOptions,
} from '#src/reconcile/repair/repair-project.js';
import type { ApplyOutcome } from '#src/reconcile/repair/apply.js';
import type { RunOutcome } from '#src/reconcile/repair/batches.js';
import { executeUndo, type PlannedUndo, planUndo, type UndoAction } from '#src/reconcile/repair/undo.js';
import { listRuns, requireRuns, type RunRow } from '#src/store/journal.js';
import { recoverRuns } from '#src/reconcile/repair/recover.js';
import type { Plan } from '#src/reconcile/repair/plan.js';
import { rootMarkOf } from '#src/reconcile/project-root.js';
import { VersionStore } from '#src/reconcile/version-store.js';
import { renderContent } from '#src/store/contents.js';
import { type Cause, type FileRow, pageOfFiles } from '#src/store/files.js';
import { DerivedDatabases } from '#src/store/derived/derived-databases.js';
import { IndexDatabase } from '#src/store/index-database.js';
import { insertProject, type Project, requireProject } from '#src/store/projects.js';
import { createParser, type Parser } from '#src/syntax/parser.js';
import { pathsBelow, temporaryFolder } from '../harness/folder.js';

const parser = createParser();
const neverAborts = new AbortController().signal;

export class TestProject {
  /** Set where state directories are to be made on another disk than their projects. */
  static stateRoot: string | null = null;
  /** Holds the project, the state directory and whatever a test puts beside them. */
  readonly folder: string;
  readonly root: string;
  readonly stateDir: string;
  #index: IndexDatabase;
  #derived: DerivedDatabases;
  readonly projectId: string;
  /** What repairs have told of their progress. */
  readonly told: Parameters<ProgressListener>[] = [];
  maxFileBytes = 100_000;
  parser: Parser = parser;
  inHand: InHand | undefined;
  pool: ExtractorPool | undefined;
  /** Milliseconds since 1970; a test that needs two times moves it on. */
  now: () => number = Date.now;

  constructor(t: Pick<TestContext, 'after'>, given: { id?: string; versionDir?: string } = {}) {
    this.folder = temporaryFolder(t);
    this.root = join(this.folder, 'project');
    this.stateDir = join(TestProject.stateRoot ?? this.folder, 'state');
    mkdirSync(this.root);
    mkdirSync(this.stateDir);
    this.#index = IndexDatabase.open(join(this.stateDir, 'index.db'));
    this.#derived = new DerivedDatabases(this.#index);
    t.after(() => this.close());
    this.projectId = given.id ?? randomUUID();
    const mark = rootMarkOf(this.root);
    assert.ok(mark !== null);
    insertProject(
      this.index,
      {
        id: this.projectId,
        rootDir: this.root,
        versionDir:
          given.versionDir === undefined
            ? join(this.stateDir, 'versions')
            : join(this.root, given.versionDir),
        name: 'test',
        ...mark,
      },
      1,
    );
  }

  get index(): IndexDatabase {
    return this.#index;
  }

  get derived(): DerivedDatabases {
    return this.#derived;
  }

  /** For who does something to the file while nobody has it open. */
  close(): void {
    this.#derived.retain(new Set());
    this.#index.close();
  }

  reopen(): void {
    this.#index = IndexDatabase.open(join(this.stateDir, 'index.db'));
    this.#derived = new DerivedDatabases(this.#index);
  }

  /** As the index has it now. */
  get project(): Project {
    return requireProject(this.index, { project_id: this.projectId });
  }

  get versions(): VersionStore {
    return new VersionStore(this.index, this.project);
  }

  context(): IndexingContext {
    const { index, project, stateDir, maxFileBytes, now } = this;
    const extractor = extractingWith(this.parser);
    const { derived } = this;
    const base = { index, derived, extractor, project, stateDir, maxFileBytes, now, signal: neverAborts };
    const { inHand, pool } = this;
    return { ...base, ...(inHand === undefined ? {} : { inHand }), ...(pool === undefined ? {} : { pool }) };
  }

  at(path: string): string {
    return join(this.root, path);
  }

  write(path: string, content: string | Buffer = `content of ${path}\n`, mode = 0o644): void {
    mkdirSync(dirname(this.at(path)), { recursive: true });
    writeFileSync(this.at(path), content);
    chmodSync(this.at(path), mode);
  }

  remove(path: string): void {
    rmSync(this.at(path), { recursive: true });
  }

  read(path: string): string {
    return readFileSync(this.at(path), 'utf8');
  }

  has(path: string): boolean {
    return existsSync(this.at(path));
  }

  async reconcile(cause: 'seen' | 'unseen' = 'unseen'): Promise<ReconcileOutcome> {
    return await reconcileProject(this.context(), cause);
  }

  async follow(...paths: string[]): Promise<PathsOutcome> {
    return await reconcilePaths(this.context(), paths);
  }

  /** Every row by its path. */
  rows(): Map<string, FileRow> {
    const page = { filter: 'all', prefix: '', after: '', limit: 100_000 } as const;
    return new Map(pageOfFiles(this.index, this.projectId, page).map((row) => [row.path, row]));
  }

  row(path: string): FileRow {
    const row = this.rows().get(path);
    if (row === undefined) throw new Error(`no row ${path}`);
    return row;
  }

  /** Paths of rows with and without the deleted mark. */
  marks(): { active: string[]; deleted: string[] } {
    const rows = [...this.rows().values()];
    const paths = (deleted: 0 | 1): string[] =>
      rows.filter((row) => row.deleted === deleted).map(({ path }) => path);
    return { active: paths(0), deleted: paths(1) };
  }

  #options(given: RepairChoice): RepairOptions {
    const { index, now } = this;
    const progress: ProgressListener = (...told) => this.told.push(told);
    const fixed = {
      index,
      runId: randomUUID(),
      origin: 'command',
      now,
      signal: neverAborts,
      progress,
    } as const;
    return { ...fixed, force: false, deletedSince: null, ...given };
  }

  async plan(given: RepairChoice = {}): Promise<PlannedRepair> {
    return await planRepair(this.#options(given), this.project);
  }

  async execute(planned: PlannedRepair): Promise<ApplyOutcome> {
    const options = this.#options({});
    const [opened] = await openRepair(options, [planned]);
    return await executeRepair(options, opened ?? assert.fail('nothing was opened'));
  }

  /** What repair_database does: recover → plan → execute. */
  async repair(given: RepairChoice = {}): Promise<{ plan: Plan; outcome: ApplyOutcome }> {
    await recoverRuns(this.#options({}));
    const planned = await this.plan(given);
    return { plan: planned.plan, outcome: await this.execute(planned) };
  }

  /** The newest run of the journal. */
  get lastRun(): RunRow {
    const [run] = listRuns(this.index, this.projectId, 1);
    assert.ok(run !== undefined);
    return run;
  }

  async planUndo({ runId }: Pick<RunRow, 'runId'>): Promise<PlannedUndo> {
    const [run] = requireRuns(this.index, runId);
    assert.ok(run !== undefined);
    const planned = await planUndo(this.index, run, neverAborts);
    assert.ok(planned !== null);
    return planned;
  }

  /** As a process leaves it that is killed when the journal has the plan. */
  async cutOffUndo(planned: PlannedUndo): Promise<void> {
    const killed = AbortSignal.abort(new Error('killed'));
    const options = { ...this.#options({}), signal: killed };
    await assert.rejects(executeUndo(options, randomUUID(), planned), /killed/);
  }

  /** What undo_repair does: plan → execute. */
  async undo(run: Pick<RunRow, 'runId'>): Promise<{ planned: PlannedUndo; outcome: RunOutcome<UndoAction> }> {
    const planned = await this.planUndo(run);
    return { planned, outcome: await executeUndo(this.#options({}), randomUUID(), planned) };
  }
}

/** What a test asks of a repair. */
type RepairChoice = Partial<Pick<RepairOptions, 'force' | 'deletedSince'>>;

/** What stands at every path below a folder: type, permission bits and content, one text each. */
export function snapshot(root: string): Record<string, string> {
  return Object.fromEntries(pathsBelow(root).map((path) => [path, describe(join(root, path))]));
}

function describe(absolute: string): string {
  const stats = lstatSync(absolute);
  const mode = (stats.mode & 0o7777).toString(8);
  if (stats.isFile()) return `file ${mode} ${sha256(readFileSync(absolute))}`;
  if (stats.isSymbolicLink()) return `symlink ${readlinkSync(absolute)}`;
  return stats.isDirectory() ? `folder ${mode}` : `special ${mode}`;
}

/** Sets or takes away a row's mark by hand, as if nothing else had ever happened to it. */
export function setMark(project: TestProject, path: string, cause: Cause | null): void {
  const deleted = cause === null ? 0 : 1;
  const at = cause === null ? null : project.now();
  project.index
    .sql(
      `UPDATE files SET deleted = ?, deleted_at = ?, cause = ?, revived = 0, ignored = 0, copy_problem = NULL
       WHERE project_id = ? AND path = ?`,
    )
    .run(deleted, at, cause, project.projectId, path);
}

/** What stands in versions, without the folders. */
export function copies(project: TestProject): Record<string, string> {
  const { root } = project.versions;
  const seen = existsSync(root) ? snapshot(root) : {};
  return Object.fromEntries(Object.entries(seen).filter(([, what]) => !what.startsWith('folder ')));
}

/** Everything that can be got back: files and symlinks on disk, and the hashes of contents that render. */
export function everyContent(project: TestProject): Set<string> {
  const onDisk = [...Object.values(snapshot(project.root)), ...Object.values(copies(project))];
  const found = new Set(onDisk.map((what) => what.replace(/^file \d+ /u, '')));
  const stored = project.index.sql<[], { sha256: string }>('SELECT sha256 FROM contents').all();
  for (const { sha256: hash } of stored) if ('bytes' in renderContent(project.index, hash)) found.add(hash);
  return found;
}

export function assertAllKept(project: TestProject, before: ReadonlySet<string>): void {
  const after = everyContent(project);
  for (const content of before)
    if (!content.startsWith('folder ')) assert.ok(after.has(content), `a content is gone: ${content}`);
}

/** What rows say, without times and inode numbers. */
export function rowSummary(project: TestProject): Record<string, string> {
  return Object.fromEntries(
    [...project.rows().values()].map((row) => [
      row.path,
      `deleted=${row.deleted} ${row.size} ${row.mode.toString(8)} ${row.sha256 ?? row.skipReason ?? ''}`,
    ]),
  );
}
