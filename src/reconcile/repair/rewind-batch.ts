import { lstatSync } from 'node:fs';
import { rmdir } from 'node:fs/promises';
import type { ClosedFolders } from '../../base/closed-folders.js';
import type { EntryImage } from '../../base/entry-image.js';
import { CodekeepError, errnoOf, reasonOf } from '../../base/errors.js';
import { isEmptyFolder } from '../../base/empty-folder.js';
import { sha256 } from '../../base/hash.js';
import { splitPath } from '../../base/paths.js';
import { PinnedFolder } from '../../base/pinned-folder.js';
import type { Work } from '../../base/progress.js';
import type { Presence } from '../../base/presence.js';
import { type FileStamp, isSameStamp, stampOfAny } from '../../base/stamp.js';
import { AsideFolder, type TakenFile } from '../../base/taken-file.js';
import { takenName } from '../../base/temporary-names.js';
import { markDeleted } from '../../store/file-states.js';
import { fileByPath, type FileRow } from '../../store/files.js';
import { isSomething, type PathState } from '../../store/history.js';
import type { IndexDatabase } from '../../store/index-database.js';
import type { ActionOutcome, NewAction } from '../../store/journal.js';
import type { Project } from '../../store/projects.js';
import { stateAtPath } from '../../store/revisions.js';
import { DeviceIds } from '../devices.js';
import { findImage } from '../heal.js';
import { type ImagedRow, imageWith } from '../image.js';
import { readWhole } from '../read-entry.js';
import { writePlaced } from '../placed-state.js';
import { conflict, Placers } from './apply.js';
import type { Acted } from './batches.js';
import { contentHashAt } from '../version-store.js';
import { RewindObserver } from './rewind-observe.js';
import { changedSince, judgeRewind, type RewindFact, type RewindVerdict } from './rewind-plan.js';

export interface RewoundAction extends NewAction {
  verdict: RewindVerdict;
}

/** What a path shall be: by the moment that a run goes to, or of what takes a rewind back by the action that it undoes. */
export type Wanted = (action: Pick<RewoundAction, 'path' | 'inverseOf'>) => PathState | undefined;

export interface RewindContext extends Work {
  index: IndexDatabase;
  now: () => number;
}

/** Errors that say that somebody else was faster. */
const overtaken: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'EISDIR', 'ENOTEMPTY']);

/** One batch: its folders are opened once. */
export class RewindBatch {
  readonly #context: RewindContext;
  readonly #project: Project;
  readonly #wanted: Wanted;
  readonly #observer: RewindObserver;
  readonly #placers: Placers;
  readonly #devices: DeviceIds;
  readonly #isRecovery: boolean;
  /** By the folder that something is taken out of. */
  readonly #asides = new Map<string, Promise<AsideFolder>>();
  #root: Promise<PinnedFolder> | null = null;

  constructor(
    context: RewindContext,
    project: Project,
    wanted: Wanted,
    closed: ClosedFolders,
    isRecovery: boolean,
  ) {
    this.#context = context;
    this.#project = project;
    this.#wanted = wanted;
    this.#observer = new RewindObserver(context.index, project);
    this.#placers = new Placers(context.index, project, closed);
    this.#devices = new DeviceIds(context.index, project);
    this.#isRecovery = isRecovery;
  }

  /** Looks again, then acts. */
  async act(action: RewoundAction, token: string): Promise<Acted> {
    const then = this.#wanted(action);
    const row = fileByPath(this.#context.index, this.#project.id, action.path);
    const fact = this.#observer.fact(action.path, then, 'present', row);
    const judgement = judgeRewind(fact);
    if (judgement.verdict !== action.verdict) {
      const isDone = this.#isRecovery ? await this.#goOn(action, then, fact, token) : null;
      return isDone ?? conflict('reason' in judgement ? judgement.reason : changedSince);
    }
    try {
      if (action.verdict === 'restore') {
        // One that rules ignore, or that only now has nothing in it any more, has no row that would go before.
        if (fact.inProject === 'directory') await rmdir(this.#pathOf(action.path));
        return placed(await this.#place(action.path, then, token, false));
      }
      if (row === undefined) return conflict('its row is gone');
      if (fact.present.kind === 'folder') return await this.#leave(row, then, token);
      return action.verdict === 'remove'
        ? await this.#remove(row, token)
        : await this.#revert(row, then, token);
    } catch (error) {
      if (overtaken.has(errnoOf(error) ?? '')) return conflict(changedSince);
      throw error;
    }
  }

  /** With what was cut off between the deed and the word, or between the end of one folder and what comes in its place. */
  async #goOn(
    { path, verdict }: RewoundAction,
    then: PathState | undefined,
    { present, inProject }: RewindFact,
    token: string,
  ): Promise<Acted | null> {
    if (verdict === 'remove') return inProject === 'absent' ? placed(null) : null;
    if (then === undefined) return null;
    const absolute = this.#pathOf(path);
    const stamp = stampOfState(absolute, then);
    if (stamp !== null) return placed(stamp);
    const isHalfMade = then.state === 'folder' && inProject === 'directory' && isEmptyFolder(absolute);
    if (isHalfMade) await rmdir(absolute);
    const isGone = present.kind === 'folder' && inProject === 'absent';
    return isHalfMade || isGone ? placed(await this.#place(path, then, token, true)) : null;
  }

  /** Of an empty folder. One in the place of what was deleted has no copy in versions, where that has its own. */
  async #leave(row: FileRow, then: PathState | undefined, token: string): Promise<Acted> {
    await rmdir(this.#pathOf(row.path));
    if (then !== undefined && isSomething(then))
      return placed(await this.#place(row.path, then, token, true));
    return row.folderMode === null ? await this.#removed(row, token) : placed(null);
  }

  async #remove(row: FileRow, token: string): Promise<Acted> {
    return await this.#withTaken(row, token, async () => await this.#removed(row, token));
  }

  /** Versions are the second copy: what is in the way there holds up nothing. */
  async #removed(row: FileRow, token: string): Promise<Acted> {
    const problem = await this.#keep(row.path, this.#imageOf(row), token).then(() => null, reasonOf);
    return { ...placed(null), detail: problem };
  }

  async #keep(path: string, image: EntryImage, token: string): Promise<void> {
    const placer = await this.#placers.to('versions');
    await this.#placers.versions.keep(placer, path, image, this.#context.now(), token);
  }

  async #revert(row: FileRow, then: PathState | undefined, token: string): Promise<Acted> {
    return await this.#withTaken(row, token, async () =>
      placed(await this.#place(row.path, then, token, true)),
    );
  }

  /**
   * Takes what stands there aside, and drops it once `work` is done and its bytes are proven to be in the index. Where somebody
   * has put something else in its place meanwhile, that stays.
   */
  async #withTaken(row: FileRow, token: string, work: () => Promise<Acted>): Promise<Acted> {
    const { folder, name } = splitPath(row.path);
    const taken = await (await this.#asideOf(folder, token)).take(name);
    const acted = await whileProven(row, taken, work).catch(async (error: unknown) => {
      await taken.putBack(this.#context.now());
      throw error;
    });
    // An open descriptor may have written into it since.
    if (acted !== null && isUntouched(taken, row)) {
      await taken.drop();
      return acted;
    }
    const back = await taken.putBack(this.#context.now());
    return back.kind === 'back'
      ? conflict(changedSince)
      : conflict(`it was written to meanwhile: what was written is in ${back.path}`);
  }

  /** One for all that is taken out of a folder. */
  async #asideOf(folder: string, token: string): Promise<AsideFolder> {
    this.#root ??= PinnedFolder.open(this.#project.rootDir);
    const root = this.#root;
    let aside = this.#asides.get(folder);
    if (aside === undefined) {
      const make = async (): Promise<AsideFolder> =>
        await AsideFolder.make(await (await root).descend(folder, false), folder, takenName(token));
      this.#asides.set(folder, (aside = make()));
    }
    return await aside;
  }

  /** @param isFresh it has another content than somebody saw there last: what builds by time has to notice */
  async #place(
    path: string,
    then: PathState | undefined,
    token: string,
    isFresh: boolean,
  ): Promise<FileStamp> {
    if (then === undefined || !isSomething(then)) throw new Error('there was nothing that could be placed');
    const mtimeNs = isFresh ? String(BigInt(this.#context.now()) * 1_000_000n) : then.mtimeNs;
    const image = this.#imageOf({ ...then, kind: then.state, mtimeNs });
    return await (await this.#placers.to('project')).place(path, image, token);
  }

  #imageOf(row: ImagedRow): EntryImage {
    // A folder has no content that could be missing.
    if (row.kind === 'folder') return imageWith(row, Buffer.alloc(0), '');
    const image = findImage(this.#context.index, row);
    if ('problem' in image) throw new Error(image.problem);
    return image;
  }

  async finish(): Promise<readonly string[]> {
    const root = (await this.#root?.catch(() => null)) ?? null;
    try {
      // Where the last was not put back, the folder is left to the next start.
      for (const aside of this.#asides.values()) await (await aside.catch(() => null))?.end();
    } finally {
      await root?.close();
    }
    return await this.#placers.finish();
  }

  settle(action: RewoundAction, { detail, stamp }: Acted, at: number): ActionOutcome {
    const { index } = this.#context;
    const { id: projectId } = this.#project;
    const { path } = action;
    const row = fileByPath(index, projectId, path);
    if (action.verdict === 'remove') {
      if (row !== undefined) markDeleted(index, row.id, 'asked', at, detail, 'rewind');
    } else {
      const then = this.#wanted(action);
      if (stamp === null || then === undefined || !isSomething(then))
        throw new Error('what was placed is not known');
      writePlaced(index, projectId, this.#devices, { ...then, path }, stamp, 'rewind', at);
    }
    const now = stateAtPath(index, projectId, path);
    return { state: 'done', detail, marks: { seenAt: now?.seenAt ?? at }, placed: null };
  }

  #pathOf(path: string): string {
    return `${this.#project.rootDir}/${path}`;
  }
}

function placed(stamp: FileStamp | null): Acted {
  return { state: 'done', detail: null, stamp };
}

/** Null where what was taken is not what the index has. */
async function whileProven(
  row: FileRow,
  { at }: TakenFile,
  work: () => Promise<Acted>,
): Promise<Acted | null> {
  if (contentHashAt(at, row.kind as Presence) !== row.sha256) return null;
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof CodekeepError) || error.code !== 'TARGET_FILE_EXISTS') throw error;
    return conflict('somebody wrote it meanwhile, and that stays');
  }
}

/** Whether nobody has written into it since it was taken. Another name of it that goes changes its ctime, and no bytes. */
function isUntouched({ at, stamp }: TakenFile, { kind, sha256: hash }: FileRow): boolean {
  if (isSameStamp(stampOfAny(lstatSync(at, { bigint: true })), stamp)) return true;
  return contentHashAt(at, kind as Presence) === hash;
}

/** The stamp of what stands there, where that is the state; null where it is anything else. */
export function stampOfState(absolute: string, then: PathState): FileStamp | null {
  if (!isSomething(then)) return null;
  const { state, sha256: hash, mode, size } = then;
  const reading = readWhole(absolute, size);
  if (reading.kind !== 'content' || reading.entry !== state) return null;
  if (state !== 'symlink' && reading.stamp.mode !== mode) return null;
  return state === 'folder' || sha256(reading.bytes) === hash ? reading.stamp : null;
}
