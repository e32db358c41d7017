import { reasonOf } from '../base/errors.js';
import { sleep, Slicer } from '../base/waiting.js';
import { problemOfContent } from '../store/contents.js';
import { DerivedDamageError } from '../store/derived/damage.js';
import type { DerivedDatabase } from '../store/derived/derived-database.js';
import type { DerivedDatabases } from '../store/derived/derived-databases.js';
import { type FileUpsert } from '../store/file-states.js';
import { fileByPath, type FileRow } from '../store/files.js';
import type { IndexDatabase } from '../store/index-database.js';
import { type Project, projectById } from '../store/projects.js';
import type { Extraction, ExtractionJob, Extractor } from './extract.js';
import type { ExtractorPool, PoolSession } from './extractor-pool.js';
import type { InHand } from './in-hand.js';
import { Batch, type BatchLimits, largeBatch, type Pending, smallBatch } from './index-batch.js';
import { isReplaced, isSameContent, planFile, preparedWith } from './index-file.js';
import type { ProjectGit } from './project-git.js';
import { readWhole, type Reading } from './read-entry.js';
import type { FolderCover } from './walk.js';

/** Fewer are done by the parser that is there: to start threads and load grammars takes as long (some 200 ms). */
const bulkPathsMin = 50;

export interface IndexTally {
  added: number;
  changed: number;
  /** Paths that changed while they were read: to be looked at again. */
  unsettled: string[];
  /** A file has another number of names than it had, and more than one. */
  isLinkedAnew: boolean;
  /** What cannot be read or parsed, with the reason. */
  unreadable: { path: string; reason: string }[];
  /** What cannot be loaded, and why: files are kept as one token for now. */
  notLoaded: Set<string>;
}

export function newTally(): IndexTally {
  return {
    added: 0,
    changed: 0,
    unsettled: [],
    unreadable: [],
    isLinkedAnew: false,
    notLoaded: new Set(),
  };
}

/** What one process needs to bring files of a project into the index. */
export interface IndexingContext {
  index: IndexDatabase;
  extractor: Extractor;
  /** Set where there are threads for bulk work. */
  pool?: ExtractorPool;
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
 * commits in small ones; a file that changed in between is not written but reported as unsettled. Many are parsed in threads
 * while others are read and committed; they are committed in the order in which they are given.
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
  const derived = await openDerived(context);
  const tally = newTally();
  const session = paths.length < bulkPathsMin ? undefined : context.pool?.open(context.signal);
  try {
    const made = 'unavailable' in derived ? null : derived;
    await new Indexing(context, made, git, tally, session).run(paths, progress);
  } finally {
    session?.close();
  }
  // What was written is kept; that it cannot be searched is said, and tried again.
  if ('unavailable' in derived) throw derived.unavailable;
  return tally;
}

/** What cannot be opened keeps no content from being kept. */
async function openDerived(context: IndexingContext): Promise<DerivedDatabase | { unavailable: unknown }> {
  try {
    return await context.derived.of(context.project.id);
  } catch (error) {
    context.signal.throwIfAborted();
    return { unavailable: error };
  }
}

/** An entry that was read, while what has to be made of it is made. */
interface Begun {
  path: string;
  /** Of its content. */
  bytes: number;
  isDone: boolean;
  /** Null where there is nothing to write. */
  pending: Promise<Pending | null>;
}

/** Reads ahead of the extractions, and commits behind them. */
class Indexing {
  readonly #context: IndexingContext;
  readonly #derived: DerivedDatabase | null;
  readonly #git: ProjectGit;
  readonly #tally: IndexTally;
  readonly #session: PoolSession | undefined;
  readonly #slicer: Slicer;
  readonly #batch: Batch;
  readonly #limits: BatchLimits;
  /** In the order of their paths. */
  readonly #begun: Begun[] = [];
  #begunBytes = 0;
  /** What is made of contents that are not committed yet; the same content is extracted once. */
  readonly #extractions = new Map<string, Promise<Extraction>>();

  constructor(
    context: IndexingContext,
    derived: DerivedDatabase | null,
    git: ProjectGit,
    tally: IndexTally,
    session: PoolSession | undefined,
  ) {
    this.#context = context;
    this.#derived = derived;
    this.#git = git;
    this.#tally = tally;
    this.#session = session;
    this.#slicer = new Slicer(context.signal);
    const { index, project } = context;
    const current = projectById(index, project.id);
    this.#limits = current?.lastVerifiedAt === null ? largeBatch : smallBatch;
    this.#batch = new Batch(context, derived, this.#limits, tally, current?.recordedAt ?? null);
  }

  async run(paths: readonly string[], progress?: IndexProgress): Promise<void> {
    const isDone = (): boolean => this.#begun[0]?.isDone === true;
    const settle = async (goesOn: () => boolean): Promise<void> => {
      while (this.#begun.length > 0 && goesOn()) {
        await this.#settleFirst();
        progress?.(read - this.#begun.length, paths.length);
        await this.#slicer.breathe();
      }
    };
    let read = 0;
    progress?.(0, paths.length);
    for (const path of paths) {
      await this.#session?.room();
      this.#begin(path);
      read += 1;
      await settle(() => this.#session === undefined || isDone() || this.#isFull);
      await this.#slicer.breathe();
    }
    await settle(() => true);
    await this.#commit();
  }

  /** What is done behind one that takes long waits for it, at most as much as a batch. */
  get #isFull(): boolean {
    return this.#begun.length >= this.#limits.files || this.#begunBytes >= this.#limits.bytes;
  }

  #begin(path: string): void {
    const { project, maxFileBytes } = this.#context;
    const reading = readWhole(`${project.rootDir}/${path}`, maxFileBytes);
    const bytes = reading.kind === 'content' ? reading.bytes.length : 0;
    const begun: Begun = { path, bytes, isDone: false, pending: this.#prepare(path, reading) };
    const end = (): void => void (begun.isDone = true);
    begun.pending.then(end, end);
    this.#begun.push(begun);
    this.#begunBytes += bytes;
  }

  async #settleFirst(): Promise<void> {
    const first = this.#begun.shift();
    if (first === undefined) return;
    this.#begunBytes -= first.bytes;
    try {
      const pending = await first.pending;
      if (pending !== null) this.#batch.add(pending);
    } catch (error) {
      this.#context.signal.throwIfAborted();
      if (error instanceof DerivedDamageError) throw error;
      this.#tally.unreadable.push({ path: first.path, reason: reasonOf(error) });
    }
    if (this.#batch.isFull) await this.#commit();
  }

  async #commit(): Promise<void> {
    // What is committed is found in the index from now on.
    for (const { prepared } of await this.#batch.commit())
      if (prepared !== null) this.#extractions.delete(keyOf(prepared.file));
  }

  async #prepare(path: string, reading: Reading): Promise<Pending | null> {
    const { index, project } = this.#context;
    const row = fileByPath(index, project.id, path);
    const tracked = this.#git.isTracked(path) ? 1 : 0;
    if (reading.kind === 'content' && isReplaced(reading.entry, row)) return null;
    if (reading.kind === 'unsettled') {
      this.#tally.unsettled.push(path);
      return null;
    }
    if (reading.kind === 'unreadable') {
      this.#tally.unreadable.push({ path, reason: reading.reason });
      return null;
    }
    if (isSameContent(row, reading) && isSound(index, row))
      return { row, path, prepared: null, restamp: { ...reading.stamp, xattrs: reading.xattrs }, tracked };
    const entry = { path, deviceId: null, tracked } as const;
    const { job, ...planned } = planFile(this.#context, this.#derived, entry, reading);
    if (job === null)
      return {
        row,
        path,
        prepared: { ...planned, content: null, document: null, notLoaded: null },
        restamp: null,
        tracked,
      };
    const prepared = preparedWith(planned, job, await this.#extract(job));
    return { row, path, prepared, restamp: null, tracked };
  }

  async #extract(job: ExtractionJob): Promise<Extraction> {
    const key = keyOf(job);
    let extraction = this.#extractions.get(key);
    if (extraction === undefined) {
      extraction = this.#extractGuarded(job);
      this.#extractions.set(key, extraction);
    }
    return await extraction;
  }

  /** A content that has killed those who parsed it is not parsed any more; any other is in hand while it is parsed. */
  async #extractGuarded(job: ExtractionJob): Promise<Extraction> {
    const { extractor, inHand } = this.#context;
    const work = async (): Promise<Extraction> =>
      await (this.#session?.extract(job) ?? extractor.extract(job, this.#slicer));
    return inHand === undefined || job.isDeadly ? await work() : await inHand.hold(job.sha256, work);
  }
}

/** What an extraction depends on, beside what is stored. */
function keyOf({
  sha256,
  language,
  extractor,
}: Pick<FileUpsert, 'sha256' | 'language' | 'extractor'>): string {
  return `${sha256} ${language} ${extractor}`;
}

/** A content that was damaged or lost in the index is stored again, now that its bytes are at hand. */
function isSound(index: IndexDatabase, row: FileRow | undefined): boolean {
  const hash = row?.sha256 ?? null;
  return hash !== null && problemOfContent(index, hash) === null;
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
    for (const reason of again.notLoaded) total.notLoaded.add(reason);
    total.unsettled = again.unsettled;
  }
  return total;
}
