import type { Stats } from 'node:fs';
import { relativePathProblem } from '../../base/paths.js';
import { TreePresence } from '../../base/presence.js';
import { Slicer } from '../../base/waiting.js';
import { renderContent } from '../../store/contents.js';
import { countFiles, type FileTrace, imageOf, tracesAfter } from '../../store/files.js';
import type { IndexDatabase } from '../../store/index-database.js';
import type { Project } from '../../store/projects.js';
import { VersionStore } from '../version-store.js';
import type { Fact } from './plan.js';

/** Rows read at once; between pages other readers and a stop get their turn. */
const pageRows = 1_000;

/** The part of a project that observing needs. */
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

  /** Whether a row's file is present and needs no mark, as nearly all are; null for a row that needs a fact. */
  presentAs(row: FileTrace): 'ok' | 'changed' | null {
    if (row.deleted === 1 || relativePathProblem(row.path) !== null) return null;
    const { stats } = this.#inProject.look(row.path);
    if (stats === null) return null;
    return isChanged(row, stats) ? 'changed' : 'ok';
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

/** Looks at all rows of a project in the order of their paths, in slices. */
export async function observeProject(
  index: IndexDatabase,
  project: ObservedProject,
  progress: (done: number, total: number) => void,
  signal: AbortSignal,
): Promise<Observation> {
  const { total } = countFiles(index, project.id);
  const observer = new Observer(index, project);
  const slicer = new Slicer(signal);
  const observation: Observation = { present: { ok: 0, changed: 0 }, facts: [] };
  let done = 0;
  for (let after: string | null = null; ;) {
    const rows = tracesAfter(index, project.id, after, pageRows);
    for (const row of rows) {
      const present = observer.presentAs(row);
      if (present === null) observation.facts.push(observer.fact(row));
      else observation.present[present] += 1;
      done += 1;
      after = row.path;
      if (slicer.isDue()) {
        progress(done, total);
        await slicer.breathe();
      }
    }
    if (rows.length < pageRows) return observation;
  }
}
