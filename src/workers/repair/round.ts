import { randomUUID } from 'node:crypto';
import { Slicer } from '../../base/waiting.js';
import { applyPlan } from '../../reconcile/repair/apply.js';
import { Observer } from '../../reconcile/repair/observe.js';
import { type Action, planOf } from '../../reconcile/repair/plan.js';
import { brakeReason, inspectRoot, isBraked, rootUnavailable } from '../../reconcile/project-root.js';
import { countFiles, type FileTrace, tracesAfter } from '../../store/files.js';
import type { IndexDatabase } from '../../store/index-database.js';
import { beginRun, endRun } from '../../store/journal.js';
import type { Project } from '../../store/projects.js';
import type { WorkerHost } from '../host.js';

export interface RoundOutcome {
  checked: number;
  repaired: number;
  /** Rows that a repair_database would act on, or cannot be restored, and that were left alone here. */
  skipped: number;
  halted: string | null;
}

/**
 * One round of the background worker over one project: batch_size rows a step, and between two steps
 * everybody else gets a turn. It does only what is proven safe: nothing while the root is in doubt or the
 * brake would stop the watcher, and missing files are left to a watcher that is running.
 */
export class RoundRunner {
  readonly #host: WorkerHost;
  readonly #index: IndexDatabase;
  readonly #project: Project;
  readonly #batchSize: number;
  readonly #isWatched: () => boolean;
  readonly #remembered: Map<number, string>;

  /** @param remembered what could not be restored, by file id and the content it had: not tried every round */
  constructor(
    host: WorkerHost,
    index: IndexDatabase,
    project: Project,
    batchSize: number,
    isWatched: () => boolean,
    remembered: Map<number, string>,
  ) {
    this.#host = host;
    this.#index = index;
    this.#project = project;
    this.#batchSize = batchSize;
    this.#isWatched = isWatched;
    this.#remembered = remembered;
  }

  async run(): Promise<RoundOutcome> {
    const outcome: RoundOutcome = { checked: 0, repaired: 0, skipped: 0, halted: null };
    const counts = countFiles(this.#index, this.#project.id);
    const slicer = new Slicer(this.#host.signal, 5);
    const wanted: Action[] = [];
    for (let after: string | null = null; ;) {
      const rows = tracesAfter(this.#index, this.#project.id, after, this.#batchSize);
      after = rows.at(-1)?.path ?? after;
      wanted.push(...this.#look(rows, outcome));
      outcome.checked += rows.length;
      this.#host.report(`checking ${this.#project.rootDir}`, outcome.checked, counts.total);
      await slicer.breathe();
      if (rows.length < this.#batchSize) break;
    }
    outcome.halted = this.#haltReason(wanted, counts.active);
    if (outcome.halted === null) await this.#act(wanted, outcome);
    else outcome.skipped += wanted.length;
    return outcome;
  }

  /** The actions that these rows need; what is not safe here is counted as skipped. */
  #look(rows: readonly FileTrace[], outcome: RoundOutcome): Action[] {
    // Rendering a tree costs the most: what was found unrestorable is not rendered again until it changes.
    const observer = new Observer(this.#index, this.#project, (id, sha256) =>
      this.#remembered.get(id) === (sha256 ?? '') ? 'known as unrestorable' : null,
    );
    const facts = rows.map((row) => observer.fact(row));
    const plan = planOf(facts, { rootDoubt: null });
    for (const { id, sha256, tree } of facts) {
      if (tree !== null && tree !== 'renders') this.#remembered.set(id, sha256 ?? '');
    }
    outcome.skipped += plan.unrestorable.length + plan.conflicts.length + plan.unknown.length;
    const safe = plan.actions.filter((action) => action.verdict === 'clear_deleted' || !this.#isWatched());
    outcome.skipped += plan.actions.length - safe.length;
    return safe;
  }

  #haltReason(wanted: readonly Action[], active: number): string | null {
    const root = inspectRoot(this.#project);
    const missing = wanted.filter((action) => action.verdict !== 'clear_deleted').length;
    if (root.kind === 'unavailable') return rootUnavailable(root.reason).message;
    return isBraked(root, missing, active) ? brakeReason(root, missing, active) : null;
  }

  async #act(wanted: readonly Action[], outcome: RoundOutcome): Promise<void> {
    if (wanted.length === 0) return;
    const run = { runId: randomUUID(), projectId: this.#project.id };
    const now = Date.now;
    const { rootDir, versionDir } = this.#project;
    await this.#index.write(() =>
      beginRun(this.#index, { ...run, origin: 'worker', rootDir, versionDir }, now()),
    );
    const context = {
      index: this.#index,
      project: this.#project,
      run,
      now,
      signal: this.#host.signal,
      rootDoubt: null,
      progress: (done: number, total: number) => this.#host.report(`repairing ${rootDir}`, done, total),
    };
    for (let start = 0; start < wanted.length; start += this.#batchSize) {
      const applied = await applyPlan(context, wanted.slice(start, start + this.#batchSize));
      outcome.repaired += applied.done.length;
      outcome.skipped += applied.conflicts.length + applied.errors.length;
      for (const error of applied.errors) this.#host.log('error', error);
    }
    const message = `${outcome.repaired} of ${wanted.length} repaired`;
    await this.#index.write(() => endRun(this.#index, run, 'done', message, now()));
    this.#host.log('info', `${rootDir}: ${message}`);
  }
}
