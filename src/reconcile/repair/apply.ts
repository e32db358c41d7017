import type { ClosedFolders } from '../../base/closed-folders.js';
import type { FilePlacer } from '../../base/file-placer.js';
import { PinnedFolder } from '../../base/pinned-folder.js';
import { presenceAt } from '../../base/presence.js';
import { type FileStamp, stampOf } from '../../base/stamp.js';
import { sha256 } from '../../base/hash.js';
import { clearDeleted, markDeleted, marksOf } from '../../store/file-states.js';
import { fileByPath, type FileRow, setCopyProblem } from '../../store/files.js';
import { type IndexDatabase } from '../../store/index-database.js';
import { isDiskFull } from '../../store/sqlite-errors.js';
import type { ActionOutcome } from '../../store/journal.js';
import type { Project } from '../../store/projects.js';
import { traceOf } from '../../store/traces.js';
import { findImage } from '../heal.js';
import { moveBack } from '../move-back.js';
import { readWhole } from '../read-entry.js';
import { openProjectPlacer } from '../project-placer.js';
import { markRevived, removePlaced } from '../restore.js';
import { contentHashAt, imageInVersions, VersionStore } from '../version-store.js';
import {
  type Acted,
  type BatchContext,
  inBatches,
  type Intent,
  type RunOutcome,
  verifyEach,
  VersionsFull,
} from './batches.js';
import { type Circumstances, Observer } from './observe.js';
import { type Action, judge, type PlanContext, type Target } from './plan.js';

export type ApplyOutcome = RunOutcome<Action>;

export interface ApplyContext extends PlanContext, BatchContext {
  project: Project;
  circumstances: Circumstances;
  /** It goes on with a run that was cut off: what is there may be what that has placed. */
  isRecovery: boolean;
  /** Folders of the project that get their mode after the last batch, and when all was read back. */
  closed: ClosedFolders;
}

/** Executes intents, each after another look. */
export async function applyIntents(
  context: ApplyContext,
  intents: readonly Intent<Action>[],
): Promise<ApplyOutcome> {
  return await inBatches(context, intents, () => {
    const observer = new Observer(context.index, context.project, context.circumstances);
    const placers = new Placers(context.index, context.project, context.closed);
    return {
      act: async (action, token) => await act(context, observer, placers, action, token),
      finish: async () => await placers.finish(),
      placedAs: ({ path, sha256: hash }) => ({
        absolute: `${context.project.rootDir}/${path}`,
        sha256: hash,
      }),
      settle: (action, acted, at) => settle(context, action, acted, at),
    };
  });
}

/** One placer per target, opened by the first file that needs it. */
export class Placers {
  readonly versions: VersionStore;
  readonly #index: IndexDatabase;
  readonly #project: Project;
  readonly #closed: ClosedFolders;
  readonly #open = new Map<Target, Promise<FilePlacer>>();

  constructor(index: IndexDatabase, project: Project, closed: ClosedFolders) {
    this.versions = new VersionStore(index, project);
    this.#index = index;
    this.#project = project;
    this.#closed = closed;
  }

  async to(target: Target): Promise<FilePlacer> {
    let opening = this.#open.get(target);
    if (opening === undefined) {
      opening =
        target === 'versions'
          ? this.versions.openPlacer()
          : openProjectPlacer(this.#index, this.#project, this.#closed);
      this.#open.set(target, opening);
    }
    return await opening;
  }

  /** Gives the folders that were made in the project. */
  async finish(): Promise<readonly string[]> {
    // One that could not be opened was told to each action that needed it, and has nothing to finish.
    const opened = await Promise.all(
      [...this.#open].map(async ([target, opening]) => ({ target, placer: await opening.catch(() => null) })),
    );
    for (const { placer } of opened) await placer?.finish();
    return opened.find(({ target }) => target === 'project')?.placer?.madeFolders ?? [];
  }
}

/** Looks again, then acts. */
async function act(
  context: ApplyContext,
  observer: Observer,
  placers: Placers,
  action: Action,
  token: string,
): Promise<Acted> {
  const row = fileByPath(context.index, context.project.id, action.path);
  if (row === undefined) return conflict('its row is gone');
  const { verdict, reason, how } = judge(observer.fact(traceOf(row)), context);
  if (verdict !== action.verdict) {
    const isOurs = context.isRecovery && action.targets.includes('project');
    const stamp = isOurs ? stampIfThere(context.project, row) : null;
    if (stamp !== null || (context.isRecovery && action.verdict === 'restore_from_cst' && verdict === 'ok'))
      return { state: 'done', detail: wasThere, stamp };
    return conflict(`it changed meanwhile: ${reason || verdict}`);
  }
  const targets = how?.targets ?? [];
  const stamp =
    targets.length > 0 ? await placeAll(context, placers, { ...action, ...how }, row, token) : null;
  return { state: 'done', detail: null, stamp };
}

const wasThere = 'it was there already';

/** Where a run was cut off just before it could say that it had placed a file. */
export function stampIfThere(project: Project, row: FileRow): FileStamp | null {
  if (row.sha256 === null) return null;
  const reading = readWhole(`${project.rootDir}/${row.path}`, row.size);
  if (reading.kind !== 'content' || reading.stamp.mode !== row.mode) return null;
  return sha256(reading.bytes) === row.sha256 ? reading.stamp : null;
}

export function conflict(detail: string): Acted {
  return { state: 'conflict', detail, stamp: null };
}

/** Gives the stamp of what was placed in the project, by the descriptor that it was written through. */
async function placeAll(
  context: ApplyContext,
  placers: Placers,
  action: Action,
  row: FileRow,
  token: string,
): Promise<FileStamp | null> {
  const { index, now } = context;
  const { versions } = placers;
  if (action.source === 'versions' && row.sha256 === null && row.kind === 'file')
    return await moveBack(versions, await placers.to('project'), row, now());
  const image = action.source === 'tree' ? findImage(index, row) : imageInVersions(versions, row);
  if ('problem' in image) throw new Error(image.problem);
  let stamp: FileStamp | null = null;
  let kept: FileStamp | null = null;
  let at: Target = 'versions';
  try {
    for (const target of action.targets) {
      at = target;
      const placer = await placers.to(target);
      if (target === 'versions') kept = await versions.keep(placer, row.path, image, now(), token);
      else stamp = await placer.place(row.path, image, token);
    }
  } catch (error) {
    // All or nothing: a file that is in versions only would look like a deletion to the next plan.
    if (kept !== null) await takeCopyBack(versions, row, kept, now());
    throw at === 'versions' && isDiskFull(error) ? new VersionsFull() : error;
  }
  return stamp;
}

async function takeCopyBack(
  versions: VersionStore,
  row: FileRow,
  stamp: FileStamp,
  now: number,
): Promise<void> {
  const root = await PinnedFolder.open(versions.root);
  try {
    await removePlaced(root, row, stamp, now);
  } finally {
    await root.close();
  }
}

/** The marks that go with a finished action. */
function settle(
  { index, project }: ApplyContext,
  action: Action,
  { detail, stamp }: Acted,
  at: number,
): ActionOutcome {
  const row = fileByPath(index, project.id, action.path);
  if (row === undefined) return { state: 'conflict', detail: 'its row is gone', marks: null, placed: null };
  if (action.verdict === 'clear_deleted') clearDeleted(index, row.id, 'edit', at);
  else if (action.verdict === 'set_deleted') markDeleted(index, row.id, action.cause ?? 'repair', at);
  else if (stamp !== null) markRevived(index, project.id, row, stamp, 'repair', at);
  else setCopyProblem(index, row.id, null);
  // What a run that was cut off has placed has the times of the row; anybody else's is not its own to take away.
  const isOurs = detail === null || stamp?.mtimeNs === row.mtimeNs;
  return {
    state: 'done',
    detail,
    marks: marksOf(row),
    placed: isOurs && stamp !== null ? { ...stamp, xattrs: row.xattrs } : null,
  };
}

/**
 * Reads back what was done: rows that were acted on must have nothing left to do, and files that were
 * written must have their hash and mode. Gives what is not so.
 */
export async function verifyActions(
  context: Pick<ApplyContext, 'index' | 'project' | 'signal'> & PlanContext,
  done: readonly Action[],
): Promise<string[]> {
  const { index, project, signal } = context;
  const observer = new Observer(index, project);
  return await verifyEach(done, signal, (action) => {
    const problems: string[] = [];
    const row = fileByPath(index, project.id, action.path);
    const verdict = row === undefined ? 'gone' : judge(observer.fact(traceOf(row)), context).verdict;
    // What git left and the index cannot give is marked all the same.
    const isMarked = action.verdict === 'set_deleted' && verdict === 'unrestorable';
    if (verdict !== 'ok' && verdict !== 'changed' && !isMarked)
      problems.push(`${action.path}: is ${verdict} after its repair`);
    for (const target of action.targets) {
      // Somebody has written it since, and that is theirs.
      if (target === 'project' && verdict === 'changed') continue;
      if (row === undefined || !hasImage(placeOf(context, target, action.path), row))
        problems.push(`${action.path}: ${target} does not read back as written`);
    }
    return problems;
  });
}

function placeOf(
  { index, project }: Pick<ApplyContext, 'index' | 'project'>,
  target: Target,
  path: string,
): string {
  return target === 'versions' ? new VersionStore(index, project).pathOf(path) : `${project.rootDir}/${path}`;
}

/** True when exactly what the row says stands there: its kind, bytes and permission bits. */
export function hasImage(absolute: string, row: Pick<FileRow, 'kind' | 'size' | 'sha256' | 'mode'>): boolean {
  try {
    const presence = presenceAt(absolute);
    if (row.kind === 'folder') return presence === 'directory';
    if (row.kind === 'symlink')
      return presence === 'symlink' && contentHashAt(absolute, presence) === row.sha256;
    const stamp = stampOf(absolute);
    if (stamp?.mode !== row.mode) return false;
    // What is too large to be in the index was hashed when it was moved back.
    return row.sha256 === null ? stamp.size === row.size : contentHashAt(absolute, presence) === row.sha256;
  } catch {
    return false;
  }
}
