import { lstatSync } from 'node:fs';
import { printOf } from '../base/stamp.js';
import { headMarks } from '../store/repositories.js';
import { rulesOf } from './bounds.js';
import { compareFolder } from './compare-walk.js';
import type { IndexingContext } from './index-paths.js';
import { hasHeadMoved, isKnownAt, nestedIn, type ProjectGit, readGitBelow } from './project-git.js';
import { projectAtItsPlace } from './project-root.js';
import { TreeWalk } from './walk.js';

export interface FolderLook {
  /** Paths that are not as the index has them; hints, as file events are. */
  differing: string[];
  /** Folders in it that may hold content. */
  subfolders: string[];
}

/**
 * Compares single folders, without those in them, with their rows: what a watch would have told of is found by looking. Rules and
 * what git says are read once; to be made anew after a moment.
 */
export class FolderLooks {
  readonly #context: IndexingContext;
  readonly #git: ProjectGit;
  readonly #walk: TreeWalk;
  #subfolders: string[] = [];

  private constructor(context: IndexingContext, git: ProjectGit) {
    const { project, signal } = context;
    this.#context = context;
    this.#git = git;
    const onSubfolder = (folder: string): void => void this.#subfolders.push(folder);
    this.#walk = new TreeWalk(project.rootDir, rulesOf(context, git), { signal, onSubfolder });
  }

  /** Null where HEAD is elsewhere by now: what that means, only a comparison of the whole tree can say. */
  static async begin(context: IndexingContext): Promise<FolderLooks | null> {
    const { index, signal } = context;
    const project = projectAtItsPlace(context);
    const heads = headMarks(index, project.id);
    const git = await readGitBelow(project.rootDir, nestedIn(heads), signal);
    return hasHeadMoved(heads, git) ? null : new FolderLooks(context, git);
  }

  /** @param folder one that is entered, relative to the root; '' for the root itself */
  async at(folder: string): Promise<FolderLook> {
    this.#subfolders = [];
    const { toIndex, missing, retracked } = await compareFolder(this.#context, folder, this.#walk);
    // What a folder in it is, as one that is empty, is for a look at that one to say.
    const subfolders = new Set(this.#subfolders);
    const gone = missing.filter(({ path, ignored }) => ignored === 0 && !subfolders.has(path));
    const repositories = this.#walk.findings.repositories.splice(0);
    const differing = [
      ...toIndex.map(({ path }) => path),
      ...gone.map(({ path }) => path),
      ...retracked.map(({ path }) => path).filter((path) => isKnownAt(this.#git, path)),
      ...repositories.filter((top) => !this.#git.nested.has(top)).map((top) => `${top}/.git`),
    ];
    return { differing, subfolders: this.#subfolders };
  }
}

/** How what stands at a path is now; another text as soon as it is touched, and '' where nothing can be looked at. */
export function printAt(absolute: string): string {
  try {
    return printOf(lstatSync(absolute, { bigint: true }));
  } catch {
    return '';
  }
}
