import type { Stats } from 'node:fs';
import { relativePathProblem } from '../../base/paths.js';
import { TreePresence } from '../../base/presence.js';
import { Slicer } from '../../base/waiting.js';
import { renderContent } from '../../store/contents.js';
import { type FileTrace, imageOf, type PathRange, tracesIn } from '../../store/files.js';
import type { IndexDatabase } from '../../store/index-database.js';
import type { Project } from '../../store/projects.js';
import { VersionStore } from '../version-store.js';
import type { Fact } from './plan.js';

/** Rows read at once; between pages other readers and a stop get their turn. */
const pageRows = 1_000;

/** The part of a project that observing needs; it crosses to other threads. */
export type ObservedProject = Pick<Project, 'id' | 'rootDir' | 'versionDir'>;

/** Times are compared as doubles in microseconds, which leaves room for rounding. */
const mtimeSlackUs = 1.5;

/** Whether a content is known not to render, so that it need not be tried again. */
export type KnownProblem = (fileId: number, sha256: string | null) => string | null;

/** Looks at rows one by one. Folders are remembered for as long as the object lives. */
export class Observer {
  readonly #index: IndexDatabase;
  readonly #inProject: TreePresence;
  readonly #inVersions: TreePresence;
  readonly #knownProblem: KnownProblem;

  constructor(index: IndexDatabase, project: ObservedProject, knownProblem: KnownProblem = () => null) {
    this.#index = index;
    this.#inProject = new TreePresence(project.rootDir);
    this.#inVersions = new VersionStore(project).observe();
    this.#knownProblem = knownProblem;
  }

  fact(row: FileTrace): Fact {
    const fact: Fact = {
      id: row.id,
      path: row.path,
      deleted: row.deleted === 1,
      sha256: null,
      mode: 0,
      pathProblem: relativePathProblem(row.path),
      inProject: 'unknown:path',
      inVersions: null,
      tree: null,
      changed: false,
    };
    // A path that is not canonical is never handed to the file system.
    if (fact.pathProblem !== null) return fact;
    const { presence, stats } = this.#inProject.look(row.path);
    fact.inProject = presence;
    fact.changed = stats !== null && isChanged(row, stats);
    if (presence === 'absent') this.#lookFurther(fact);
    return fact;
  }

  #lookFurther(fact: Fact): void {
    const { sha256 = null, mode = 0, skipReason = null } = imageOf(this.#index, fact.id) ?? {};
    fact.sha256 = sha256;
    fact.mode = mode;
    fact.inVersions = this.#inVersions.at(fact.path);
    if (fact.inVersions !== 'absent') return;
    const known = this.#knownProblem(fact.id, sha256);
    const rendering = known === null ? renderContent(this.#index, sha256) : { problem: known };
    fact.tree = 'problem' in rendering ? { problem: skipReason ?? rendering.problem } : 'renders';
  }
}

function isChanged(row: FileTrace, stats: Stats): boolean {
  return stats.size !== row.size || Math.abs(stats.mtimeMs * 1_000 - row.mtimeUs) > mtimeSlackUs;
}

/** What was found out about a range of rows. */
export interface Observation {
  /** Rows whose files are present and not marked deleted: nothing to decide, so they are only counted. */
  present: { ok: number; changed: number };
  /** Every other row. */
  facts: Fact[];
}

export function emptyObservation(): Observation {
  return { present: { ok: 0, changed: 0 }, facts: [] };
}

export function mergeObservations(parts: readonly Observation[]): Observation {
  const whole = emptyObservation();
  for (const { present, facts } of parts) {
    whole.present.ok += present.ok;
    whole.present.changed += present.changed;
    for (const fact of facts) whole.facts.push(fact);
  }
  return whole;
}

/** Looks at the rows of a range in the order of their paths, in slices. */
export async function observeRange(
  index: IndexDatabase,
  project: ObservedProject,
  range: PathRange,
  progress: (done: number) => void,
  signal: AbortSignal,
): Promise<Observation> {
  const observer = new Observer(index, project);
  const slicer = new Slicer();
  const observation = emptyObservation();
  let done = 0;
  for (let { after } = range; ;) {
    const rows = tracesIn(index, project.id, { after, upTo: range.upTo }, pageRows);
    for (const row of rows) {
      const fact = observer.fact(row);
      if (fact.inProject !== 'file' || fact.deleted) observation.facts.push(fact);
      else observation.present[fact.changed ? 'changed' : 'ok'] += 1;
      done += 1;
      after = row.path;
      if (slicer.isDue()) {
        progress(done);
        await slicer.breathe(signal);
      }
    }
    if (rows.length < pageRows) return observation;
  }
}
