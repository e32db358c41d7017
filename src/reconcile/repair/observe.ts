import { relativePathProblem } from '../../base/paths.js';
import { TreePresence } from '../../base/presence.js';
import { Slicer } from '../../base/waiting.js';
import { renderContent } from '../../store/contents.js';
import { type FileRow, filesAfterId } from '../../store/files.js';
import type { IndexDatabase } from '../../store/index-database.js';
import type { Project } from '../../store/projects.js';
import { stampOf } from '../walk.js';
import { VersionStore } from '../version-store.js';
import type { Fact } from './plan.js';

/** Rows read at once; between pages other readers and a stop get their turn. */
const pageRows = 1_000;

/** Looks at rows one by one; folders are listed once for as long as the object lives. */
export class Observer {
  readonly #index: IndexDatabase;
  readonly #project: Project;
  readonly #inProject: TreePresence;
  readonly #inVersions: TreePresence;

  constructor(index: IndexDatabase, project: Project) {
    this.#index = index;
    this.#project = project;
    this.#inProject = new TreePresence(project.rootDir);
    this.#inVersions = new VersionStore(project).observe();
  }

  /** @param knownProblem set where the tree is known not to render, which is not tried again then */
  fact(row: FileRow, knownProblem: string | null = null): Fact {
    const fact: Fact = {
      id: row.id,
      path: row.path,
      deleted: row.deleted === 1,
      sha256: row.sha256,
      mode: row.mode,
      pathProblem: relativePathProblem(row.path),
      inProject: 'unknown:path',
      inVersions: null,
      tree: null,
      changed: false,
    };
    // A path that is not canonical is never handed to the file system.
    if (fact.pathProblem !== null) return fact;
    fact.inProject = this.#inProject.at(row.path);
    if (fact.inProject === 'file') fact.changed = this.#isChanged(row);
    if (fact.inProject !== 'absent') return fact;
    fact.inVersions = this.#inVersions.at(row.path);
    if (fact.inVersions !== 'absent') return fact;
    if (knownProblem !== null) {
      fact.tree = { problem: knownProblem };
      return fact;
    }
    const rendering = renderContent(this.#index, row.sha256);
    fact.tree = 'problem' in rendering ? { problem: rendering.problem } : 'renders';
    return fact;
  }

  #isChanged(row: FileRow): boolean {
    const stamp = stampOf(`${this.#project.rootDir}/${row.path}`);
    return stamp === null || stamp.size !== row.size || stamp.mtimeNs !== row.mtimeNs;
  }
}

/** The facts of all rows of a project, in the order of their ids, in slices. */
export async function observeProject(
  index: IndexDatabase,
  project: Project,
  progress: (done: number) => void,
  signal: AbortSignal,
): Promise<Fact[]> {
  const observer = new Observer(index, project);
  const slicer = new Slicer();
  const facts: Fact[] = [];
  for (let after = 0; ;) {
    const rows = filesAfterId(index, project.id, after, pageRows);
    for (const row of rows) {
      facts.push(observer.fact(row));
      after = row.id;
      if (slicer.isDue()) {
        progress(facts.length);
        await slicer.breathe(signal);
      }
    }
    if (rows.length < pageRows) return facts;
  }
}
