import { isEmptyFolder } from '../../base/empty-folder.js';
import { errnoOf } from '../../base/errors.js';
import { relativePathProblem } from '../../base/paths.js';
import { PlacingProblems } from '../../base/placing-problem.js';
import { type Presence, TreePresence } from '../../base/presence.js';
import { Slicer, unlessAborted } from '../../base/waiting.js';
import { fileById, type FileRow } from '../../store/files.js';
import { type FileTrace, rangesOf } from '../../store/traces.js';
import type { IndexDatabase } from '../../store/index-database.js';
import { ContentSources, findContent } from '../heal.js';
import { DeviceDoubts } from '../devices.js';
import type { IsLeftByGit } from '../git-left.js';
import { isChanged, lookAtRanges, type Looked, newRanges, type Ranges, rangesTaken } from './look-at-rows.js';
import { LookThread } from './look-thread.js';
import { contentHashAt, type VersionedProject, VersionStore } from '../version-store.js';
import type { Fact, VersionPresence } from './plan.js';

/** Rows read at once; between them other readers and a stop get their turn. */
const rangeRows = 1_000;
/** Ranges from which on a second thread is worth its start, some 50 ms. */
const rangesForTwo = 30;

/** What beside disk and index has a say in what is observed. */
export interface Circumstances {
  isLeftByGit: IsLeftByGit;
  /** Whether rules ignore a row that they ignored at the last comparison. */
  isIgnored: (path: string) => boolean;
  /** Rows that are marked deleted and that somebody wants back. */
  isWanted: (row: FileRow) => boolean;
  /** Whether a content is known not to render, so that it need not be tried again. */
  knownProblem: (fileId: number, sha256: string | null) => string | null;
  /** Rows whose copy in versions a run that was cut off may have put there. */
  isUnderRepair: (fileId: number) => boolean;
}

export const plainCircumstances: Circumstances = {
  isLeftByGit: () => false,
  isIgnored: () => true,
  isWanted: () => false,
  knownProblem: () => null,
  isUnderRepair: () => false,
};

/** Looks at rows one by one. Folders are remembered for as long as the object lives. */
export class Observer {
  readonly #index: IndexDatabase;
  readonly #versions: VersionStore;
  readonly #inProject: TreePresence;
  readonly #inVersions: TreePresence;
  readonly #isBlocked: boolean;
  readonly #bareReason: string | null;
  readonly #devices: DeviceDoubts;
  readonly #projectProblems: PlacingProblems;
  readonly #versionsProblems: PlacingProblems;
  readonly #circumstances: Circumstances;
  readonly #sources: ContentSources;

  constructor(index: IndexDatabase, project: VersionedProject, circumstances = plainCircumstances) {
    this.#index = index;
    this.#versions = new VersionStore(index, project);
    this.#inProject = new TreePresence(project.rootDir);
    this.#inVersions = this.#versions.observe();
    this.#isBlocked = this.#versions.isBlocked();
    this.#bareReason = this.#versions.bareReason();
    this.#devices = new DeviceDoubts(index, project);
    this.#projectProblems = new PlacingProblems(project.rootDir);
    this.#versionsProblems = new PlacingProblems(this.#versions.root, { mayBeMissing: true });
    this.#circumstances = circumstances;
    this.#sources = new ContentSources(index);
  }

  fact(row: FileTrace): Fact {
    const fact: Fact = {
      id: row.id,
      path: row.path,
      kind: row.kind,
      deleted: row.deleted === 1,
      ignored: row.ignored === 1 && this.#circumstances.isIgnored(row.path),
      sha256: null,
      pathProblem: relativePathProblem(row.path),
      inProject: 'unknown:path',
      changed: false,
      placeDoubt: null,
      leftByGit: false,
      wanted: false,
      inVersions: null,
      tree: null,
      projectObstacle: null,
      versionsObstacle: null,
    };
    // A path that is not canonical is never handed to the file system.
    if (fact.pathProblem !== null) return fact;
    const { presence, stats } = this.#inProject.look(row.path);
    fact.inProject = presence;
    fact.changed = stats !== null && isChanged(row, stats);
    if (presence === 'absent' && !fact.ignored) this.#lookFurther(fact);
    return fact;
  }

  #lookFurther(fact: Fact): void {
    const row = fileById(this.#index, fact.id);
    if (row === undefined) return;
    const { isLeftByGit, isWanted } = this.#circumstances;
    fact.sha256 = row.sha256;
    fact.placeDoubt = this.#devices.doubtOf(row);
    fact.leftByGit = isLeftByGit(row);
    fact.wanted = row.deleted === 1 && isWanted(row);
    fact.inVersions = this.#copyOf(row);
    const isKept = fact.inVersions === 'own' || fact.inVersions === 'revived';
    const comesBack = !fact.deleted || fact.wanted;
    if (!isKept || comesBack) fact.tree = this.#treeOf(row);
    if (comesBack) fact.projectObstacle = this.#projectProblems.at(row.path);
    if (!isKept) fact.versionsObstacle = this.#versionsProblems.at(row.path);
  }

  #copyOf(row: FileRow): VersionPresence {
    if (this.#isBlocked) return 'blocked';
    if (this.#bareReason !== null) return `unknown:${this.#bareReason}`;
    const presence = this.#inVersions.at(row.path);
    if (row.kind === 'folder') return presence === 'directory' ? this.#folderCopyOf(row) : copyless(presence);
    const isOfKind = presence === (row.kind === 'symlink' ? 'symlink' : 'file');
    if (!isOfKind) return copyless(presence);
    try {
      return this.#hasContentOf(row, presence) ? this.#ownOr(row) : 'older';
    } catch (error) {
      return `unknown:${errnoOf(error) ?? 'ERROR'}`;
    }
  }

  /** A file without content in the index is too large to be read each time: its size has to do. */
  #hasContentOf(row: FileRow, presence: Presence): boolean {
    if (row.sha256 === null) return this.#inVersions.look(row.path).stats?.size === row.size;
    return contentHashAt(this.#versions.pathOf(row.path), presence) === row.sha256;
  }

  /** One that holds copies of files is there for them, and says nothing of itself. */
  #folderCopyOf(row: FileRow): VersionPresence {
    try {
      return row.deleted === 1 || isEmptyFolder(this.#versions.pathOf(row.path))
        ? this.#ownOr(row)
        : 'revived';
    } catch (error) {
      return `unknown:${errnoOf(error) ?? 'ERROR'}`;
    }
  }

  #ownOr(row: FileRow): VersionPresence {
    const isOld = row.deleted === 0 && (row.revived === 1 || this.#circumstances.isUnderRepair(row.id));
    return isOld ? 'revived' : 'own';
  }

  #treeOf({ id, sha256, skipReason }: FileRow): Fact['tree'] {
    const known = this.#circumstances.knownProblem(id, sha256);
    const rendering = known === null ? findContent(this.#index, sha256, this.#sources) : { problem: known };
    return 'problem' in rendering ? { problem: skipReason ?? rendering.problem } : 'renders';
  }
}

/** What is of another kind than the row: an older state of the path where it is a file. */
function copyless(presence: Presence): VersionPresence {
  return presence === 'file' ? 'older' : presence;
}

/** What was found out about a project. */
export interface Observation {
  /** Rows whose files are present and not marked deleted: nothing to decide, so they are only counted. */
  present: { ok: number; changed: number };
  /** Every other row. */
  facts: Fact[];
}

/** Looks at all rows of a project, in slices; the facts are in the order of their paths. */
export async function observeProject(
  index: IndexDatabase,
  project: VersionedProject,
  circumstances: Circumstances,
  progress: (done: number, total: number) => void,
  signal: AbortSignal,
): Promise<Observation> {
  const { ok, changed, rest } = await lookAtAll(index, project, progress, signal);
  const slicer = new Slicer(signal);
  const observer = new Observer(index, project, circumstances);
  const facts: Fact[] = [];
  for (const row of rest) {
    facts.push(observer.fact(row));
    await slicer.breathe();
  }
  return { present: { ok, changed }, facts };
}

async function lookAtAll(
  index: IndexDatabase,
  project: VersionedProject,
  progress: (done: number, total: number) => void,
  signal: AbortSignal,
): Promise<Looked> {
  const { starts, rowCount } = rangesOf(index, project.id, rangeRows);
  const slicer = new Slicer(signal);
  const looking = async (ranges: Ranges): Promise<Looked> =>
    await inSlices(lookAtRanges(index, ranges), slicer, () =>
      progress(Math.min(rangesTaken(ranges) * rangeRows, rowCount), rowCount),
    );
  const ranges = newRanges(project.id, project.rootDir, starts);
  if (starts.length < rangesForTwo) return await looking(ranges);
  const second = new LookThread(index.path, ranges);
  try {
    const own = await looking(ranges);
    const others = await unlessAborted(second.looked, signal);
    // A machine that has no more threads, or a page that cannot be read: then this one looks at all.
    return others === null
      ? await looking(newRanges(project.id, project.rootDir, starts))
      : joined(own, others);
  } finally {
    second.end();
  }
}

async function inSlices(
  looking: Generator<Looked, Looked>,
  slicer: Slicer,
  report: () => void,
): Promise<Looked> {
  for (;;) {
    const { done, value } = looking.next();
    if (done === true) return value;
    if (slicer.isDue()) {
      report();
      await slicer.breathe();
    }
  }
}

function joined(one: Looked, other: Looked): Looked {
  const rest = [...one.rest, ...other.rest].sort((a, b) => (a.path < b.path ? -1 : 1));
  return { ok: one.ok + other.ok, changed: one.changed + other.changed, rest };
}
