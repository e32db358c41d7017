import { reasonOf } from '../base/errors.js';
import type { FileStamp } from '../base/stamp.js';
import { sleep, Slicer } from '../base/waiting.js';
import { problemOfContent } from '../store/contents.js';
import { DerivedDamageError } from '../store/derived/damage.js';
import type { DerivedDatabase } from '../store/derived/derived-database.js';
import type { DerivedDatabases } from '../store/derived/derived-databases.js';
import { storeDocuments } from '../store/derived/documents.js';
import { fileByPath, type FileRow, restampFile, setTracked } from '../store/files.js';
import type { IndexDatabase } from '../store/index-database.js';
import type { Project } from '../store/projects.js';
import type { InHand } from './in-hand.js';
import type { FolderCover } from './walk.js';
import { DeviceIds } from './devices.js';
import type { Extractor } from './extract.js';
import { commitFile, isHidden, isSameContent, type PreparedFile, prepareFile } from './index-file.js';
import { readWhole } from './read-entry.js';
import type { ProjectGit } from './project-git.js';

/** A transaction takes at most so many files or bytes: commits stay well below 50 ms, other writers get their turn. */
const batchFiles = 200;
const batchBytes = 1024 * 1024;

export interface IndexTally {
  added: number;
  changed: number;
  /** Paths that changed while they were read: to be looked at again. */
  unsettled: string[];
  /** A file has another number of names than it had, and more than one. */
  isLinkedAnew: boolean;
  /** What cannot be read or parsed, with the reason. */
  unreadable: { path: string; reason: string }[];
}

/** What one process needs to bring files of a project into the index. */
export interface IndexingContext {
  index: IndexDatabase;
  extractor: Extractor;
  derived: DerivedDatabases;
  project: Project;
  stateDir: string;
  maxFileBytes: number;
  /** Milliseconds since 1970. */
  now: () => number;
  signal: AbortSignal;
  /** Set where the process is started again after its death: it must not die of one file for ever. */
  inHand?: InHand;
  /** Set where somebody watches: walks put folders under watch. */
  cover?: FolderCover;
}

/** Called at the beginning and after each file that was dealt with. */
export type IndexProgress = (done: number, total: number) => void;

/**
 * Indexes the given paths as they are on disk now. Reads, parses and proves outside of transactions, and
 * commits in small ones; a file that changed in between is not written but reported as unsettled.
 */
export async function indexPaths(
  context: IndexingContext,
  git: ProjectGit,
  paths: readonly string[],
  progress?: IndexProgress,
): Promise<IndexTally> {
  try {
    return await indexAll(context, git, paths, progress);
  } catch (error) {
    if (!(error instanceof DerivedDamageError)) throw error;
    // What it held is made again by the next comparison of the whole tree.
    context.derived.discard(context.project.id);
    return await indexAll(context, git, paths, progress);
  }
}

async function indexAll(
  context: IndexingContext,
  git: ProjectGit,
  paths: readonly string[],
  progress?: IndexProgress,
): Promise<IndexTally> {
  const derived = await context.derived.of(context.project.id);
  const tally: IndexTally = { added: 0, changed: 0, unsettled: [], unreadable: [], isLinkedAnew: false };
  const slicer = new Slicer(context.signal);
  const devices = new DeviceIds(context.index, context.project);
  let batch: Pending[] = [];
  let bytes = 0;
  const flush = async (): Promise<void> => {
    if (batch.length > 0) await commitBatch(context, derived, devices, batch, tally);
    batch = [];
    bytes = 0;
  };
  progress?.(0, paths.length);
  for (const [position, path] of paths.entries()) {
    const pending = await preparePath(context, derived, git, path, tally, slicer);
    if (pending !== null) {
      batch.push(pending);
      bytes += pending.prepared?.file.size ?? 0;
    }
    if (batch.length >= batchFiles || bytes >= batchBytes) await flush();
    progress?.(position + 1, paths.length);
    await slicer.breathe();
  }
  await flush();
  return tally;
}

/** An entry ready to commit; `prepared` is null where only the row's stamp has to follow the disk. */
interface Pending {
  row: FileRow | undefined;
  path: string;
  prepared: PreparedFile | null;
  restamp: (FileStamp & { xattrs: string | null }) | null;
  tracked: 0 | 1;
}

async function preparePath(
  context: IndexingContext,
  derived: DerivedDatabase,
  git: ProjectGit,
  path: string,
  tally: IndexTally,
  slicer: Slicer,
): Promise<Pending | null> {
  const { index, project } = context;
  const row = fileByPath(index, project.id, path);
  const reading = readWhole(`${project.rootDir}/${path}`, context.maxFileBytes);
  const tracked = git.isTracked(path) ? 1 : 0;
  if (reading.kind === 'content' && isHidden(reading.entry, row)) return null;
  if (reading.kind === 'unsettled') {
    tally.unsettled.push(path);
    return null;
  }
  if (reading.kind === 'unreadable') {
    tally.unreadable.push({ path, reason: reading.reason });
    return null;
  }
  if (isSameContent(row, reading) && isSound(index, row))
    return { row, path, prepared: null, restamp: { ...reading.stamp, xattrs: reading.xattrs }, tracked };
  try {
    const entry = { path, deviceId: null, tracked } as const;
    const prepared = await prepareFile(context, derived, entry, reading, slicer);
    return { row, path, prepared, restamp: null, tracked };
  } catch (error) {
    context.signal.throwIfAborted();
    if (error instanceof DerivedDamageError) throw error;
    tally.unreadable.push({ path, reason: reasonOf(error) });
    return null;
  }
}

/** A content that was damaged or lost in the index is stored again, now that its bytes are at hand. */
function isSound(index: IndexDatabase, row: FileRow | undefined): boolean {
  return row?.sha256 != null && problemOfContent(index, row.sha256) === null;
}

/** What rows rely on is written first: a process that is killed in between leaves nothing that is not true. */
async function commitBatch(
  context: IndexingContext,
  derived: DerivedDatabase,
  devices: DeviceIds,
  batch: readonly Pending[],
  tally: IndexTally,
): Promise<void> {
  const { index } = context;
  const searchable = batch.flatMap(({ path, prepared }) =>
    prepared?.file.kind === 'file' ? [{ path, document: prepared.document }] : [],
  );
  await storeDocuments(derived, searchable, context.signal);
  const outcomes = await index.write(
    () => batch.map((pending) => commit(context, devices, pending)),
    context.signal,
  );
  batch.forEach(({ row, path, prepared, restamp }, position) => {
    const nlink = prepared?.file.nlink ?? restamp?.nlink ?? 1;
    tally.isLinkedAnew ||= nlink > 1 && nlink !== row?.nlink;
    if (outcomes[position] !== true) tally.unsettled.push(path);
    else if (prepared !== null && !isSameFile(row, prepared.file))
      tally[row === undefined || row.deleted === 1 ? 'added' : 'changed'] += 1;
  });
}

/** It had to be looked at only because it was not known whether what is made of it is there. */
function isSameFile(row: FileRow | undefined, { kind, sha256, mode }: PreparedFile['file']): boolean {
  const isActive = row?.deleted === 0 && row.ignored === 0 && sha256 !== null;
  return isActive && row.kind === kind && row.sha256 === sha256 && row.mode === mode;
}

/** Gives false where the entry changed since it was read. */
function commit({ index, project, now }: IndexingContext, devices: DeviceIds, pending: Pending): boolean {
  const { row, path, prepared, restamp, tracked } = pending;
  if (prepared !== null) {
    const file = { ...prepared.file, deviceId: devices.idOf(prepared.file.dev, path) };
    return commitFile(index, project, { ...prepared, file }, now());
  }
  if (row === undefined || restamp === null) return true;
  restampFile(index, row.id, { ...restamp, deviceId: devices.idOf(restamp.dev, path) }, now());
  if (row.tracked !== tracked) setTracked(index, row.id, tracked);
  return true;
}

/** A file that changes while it is read is looked at again so often, with a pause in between (ms). */
const settleTries = 4;
const settlePauseMs = 100;

/** Indexes paths, and those that change meanwhile once more, as long as they may still come to rest. */
export async function indexSettling(
  context: IndexingContext,
  git: ProjectGit,
  paths: readonly string[],
  progress?: IndexProgress,
): Promise<IndexTally> {
  const total = await indexPaths(context, git, paths, progress);
  for (let tries = 1; tries < settleTries && total.unsettled.length > 0; tries += 1) {
    await sleep(settlePauseMs, context.signal);
    const again = await indexPaths(context, git, total.unsettled);
    total.added += again.added;
    total.changed += again.changed;
    total.unreadable.push(...again.unreadable);
    total.isLinkedAnew ||= again.isLinkedAnew;
    total.unsettled = again.unsettled;
  }
  return total;
}
