import type { FileStamp } from '../base/stamp.js';
import { splitPath } from '../base/paths.js';
import { type DerivedDatabase, noteRelied } from '../store/derived/derived-database.js';
import { storeDocuments } from '../store/derived/documents.js';
import { forgetEmptyFolders, restampFile } from '../store/file-states.js';
import { type FileRow, setTracked } from '../store/files.js';
import { DeviceIds } from './devices.js';
import { commitFile, type PreparedFile } from './index-file.js';
import type { IndexingContext, IndexTally } from './index-paths.js';

/** How much a transaction takes at most. */
export interface BatchLimits {
  files: number;
  /** Of their contents. */
  bytes: number;
}

/** Commits stay well below 50 ms: other writers get their turn. */
export const smallBatch: BatchLimits = { files: 200, bytes: 1024 ** 2 };
/**
 * While a project is indexed for the first time: half the time of small ones a file, as each syncs, and adds a segment to what is
 * searched. One of 500 files takes some 80 ms, of 1,000 up to 300.
 */
export const largeBatch: BatchLimits = { files: 500, bytes: 4 * 1024 ** 2 };

/** An entry ready to commit; `prepared` is null where only the row's stamp has to follow the disk. */
export interface Pending {
  row: FileRow | undefined;
  path: string;
  prepared: PreparedFile | null;
  restamp: (FileStamp & { xattrs: string | null }) | null;
  tracked: 0 | 1;
}

/** Collects entries, and commits them together. */
export class Batch {
  readonly #context: IndexingContext;
  /** Null where there is none: what is written is kept, and not searchable yet. */
  readonly #derived: DerivedDatabase | null;
  readonly #limits: BatchLimits;
  readonly #tally: IndexTally;
  readonly #devices: DeviceIds;
  readonly #recordedAt: number | null;
  #entries: Pending[] = [];
  #bytes = 0;

  /** @param recordedAt of the project as it is in the index now: the context's own may be from before */
  constructor(
    context: IndexingContext,
    derived: DerivedDatabase | null,
    limits: BatchLimits,
    tally: IndexTally,
    recordedAt: number | null,
  ) {
    this.#context = context;
    this.#derived = derived;
    this.#limits = limits;
    this.#tally = tally;
    this.#devices = new DeviceIds(context.index, context.project);
    this.#recordedAt = recordedAt;
  }

  add(entry: Pending): void {
    this.#entries.push(entry);
    this.#bytes += entry.prepared?.file.size ?? 0;
  }

  get isFull(): boolean {
    return this.#entries.length >= this.#limits.files || this.#bytes >= this.#limits.bytes;
  }

  /**
   * What rows rely on is written first: a process that is killed in between leaves nothing that is not true. Gives what was
   * committed.
   */
  async commit(): Promise<Pending[]> {
    const entries = this.#entries;
    this.#entries = [];
    this.#bytes = 0;
    if (entries.length === 0) return [];
    const { index, project, signal } = this.#context;
    const searchable = entries.flatMap(({ path, prepared }) =>
      prepared?.file.kind === 'file' ? [{ path, document: prepared.document }] : [],
    );
    const derived = this.#derived;
    const number = derived === null ? null : await storeDocuments(derived, searchable, signal);
    const outcomes = await index.write(() => {
      if (number !== null) noteRelied(index, project.id, number);
      return this.#write(entries);
    }, signal);
    entries.forEach((entry, position) => this.#count(entry, outcomes[position] === true));
    return entries;
  }

  /** Within a transaction; false for each entry that changed since it was read. */
  #write(entries: readonly Pending[]): boolean[] {
    const { index, project, now } = this.#context;
    const outcomes = entries.map((entry) => this.#writeOne(entry));
    // One path of each folder stands for all of them.
    const inFolders = new Map<string, string>();
    entries.forEach(({ path, prepared }, position) => {
      if (prepared !== null && outcomes[position] === true) inFolders.set(splitPath(path).folder, path);
    });
    for (const path of inFolders.values()) forgetEmptyFolders(index, project.id, path, now());
    return outcomes;
  }

  #writeOne({ row, path, prepared, restamp, tracked }: Pending): boolean {
    const { index, project, now } = this.#context;
    if (prepared !== null) {
      const file = { ...prepared.file, deviceId: this.#devices.idOf(prepared.file.dev, path) };
      return commitFile(index, { ...project, recordedAt: this.#recordedAt }, { ...prepared, file }, now());
    }
    if (row === undefined || restamp === null) return true;
    restampFile(index, row.id, { ...restamp, deviceId: this.#devices.idOf(restamp.dev, path) }, now());
    if (row.tracked !== tracked) setTracked(index, row.id, tracked);
    return true;
  }

  #count({ row, path, prepared, restamp }: Pending, isWritten: boolean): void {
    const tally = this.#tally;
    const nlink = prepared?.file.nlink ?? restamp?.nlink ?? 1;
    // A folder has a name for each folder in it, too.
    const isFolder = (prepared?.file ?? row)?.kind === 'folder';
    tally.isLinkedAnew ||= !isFolder && nlink > 1 && nlink !== row?.nlink;
    const notLoaded = prepared?.notLoaded ?? null;
    if (notLoaded !== null) tally.notLoaded.add(notLoaded);
    if (!isWritten) tally.unsettled.push(path);
    else if (prepared !== null && !isSameFile(row, prepared.file))
      tally[row === undefined || row.deleted === 1 ? 'added' : 'changed'] += 1;
  }
}

/** It had to be looked at only because it was not known whether what is made of it is there. */
function isSameFile(row: FileRow | undefined, { kind, sha256, mode }: PreparedFile['file']): boolean {
  const isActive = row?.deleted === 0 && row.ignored === 0 && sha256 !== null;
  return isActive && row.kind === kind && row.sha256 === sha256 && row.mode === mode;
}
