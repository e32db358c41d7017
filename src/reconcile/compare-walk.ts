import { compareBytes } from '../base/byte-order.js';
import { type ComparedRow, comparedRows } from '../store/compared-rows.js';
import { devicesOf } from '../store/devices.js';
import { fileById, type FileRow, isThere } from '../store/files.js';
import { isReplaced, tooLarge } from './index-file.js';
import type { IndexingContext } from './index-paths.js';
import type { TreeWalk, WalkedFile } from './walk.js';

/**
 * A file that was written so shortly before it was indexed (ms) may have changed once more within the same
 * time stamp; it is read again to be sure. Kernel time stamps advance in steps of 4 to 10 ms.
 */
const doubtMs = 50;

/** What a row is compared with, beside the entry on disk. */
export interface Standards {
  /** By the identity of the file system; one that the index does not know has none. */
  deviceIds: ReadonlyMap<string, number>;
  maxFileBytes: number;
  /** Whether a row, if it is not marked deleted, counts as content of the project. */
  isContent: (row: ComparedRow) => boolean;
  /** What is to be indexed is named behind this path only; null for all. */
  indexAfter: string | null;
  /** So many paths to index are named at most; what is behind them is for another comparison. */
  indexMax: number;
}

/** An entry that is not as it was indexed, or was never. */
export interface Differing {
  path: string;
  /** By git. */
  tracked: 0 | 1;
  /** Milliseconds since 1970. */
  mtimeMs: number;
}

/** What the index has to do to follow a walk. Only what differs is named, so that memory does not grow with the project. */
export interface Comparison {
  /** In the order of their paths' bytes. */
  toIndex: Differing[];
  /** Entries to index, also those that `indexMax` leaves for another comparison. */
  differing: number;
  missing: ComparedRow[];
  retracked: Pick<ComparedRow, 'id' | 'path' | 'tracked'>[];
  unchanged: number;
  /** Rows of content that are not marked deleted. */
  activeRows: number;
}

/**
 * Merges what a walk finds with the rows, both in the order of their paths' bytes (compareBytes), each path once; pure but for
 * what the two wait for. However they are cut into batches and pages, the outcome is the same.
 */
export async function compareInOrder(
  walked: AsyncIterable<readonly WalkedFile[]>,
  rows: AsyncIterable<readonly ComparedRow[]>,
  standards: Standards,
): Promise<Comparison> {
  const comparison: Comparison = {
    toIndex: [],
    differing: 0,
    missing: [],
    retracked: [],
    unchanged: 0,
    activeRows: 0,
  };
  const cursor = new RowCursor(rows);
  for await (const batch of walked) {
    for (const file of batch) {
      for (;;) {
        const row = cursor.row === undefined ? await cursor.nextPage() : cursor.row;
        const order = row === null ? 1 : row.path === file.path ? 0 : compareBytes(row.path, file.path);
        if (row === null || order > 0) {
          takeFile(comparison, file, undefined, standards);
          break;
        }
        cursor.advance();
        takeRow(comparison, row, standards);
        if (order === 0) {
          takeFile(comparison, file, row, standards);
          break;
        }
        takeUnseen(comparison, row);
      }
    }
  }
  for (;;) {
    const row = cursor.row === undefined ? await cursor.nextPage() : cursor.row;
    if (row === null) return comparison;
    cursor.advance();
    takeRow(comparison, row, standards);
    takeUnseen(comparison, row);
  }
}

/** Goes through rows one by one, so that only a page's end is waited for. */
class RowCursor {
  readonly #pages: AsyncIterator<readonly ComparedRow[]>;
  #page: readonly ComparedRow[] = [];
  #next = 0;
  #isDone = false;

  constructor(rows: AsyncIterable<readonly ComparedRow[]>) {
    this.#pages = rows[Symbol.asyncIterator]();
  }

  /** Undefined where a page is at its end, null where all are. */
  get row(): ComparedRow | null | undefined {
    return this.#isDone ? null : this.#page[this.#next];
  }

  async nextPage(): Promise<ComparedRow | null> {
    while (!this.#isDone && this.#next >= this.#page.length) {
      const { done, value } = await this.#pages.next();
      this.#isDone = done === true;
      this.#page = done === true ? [] : value;
      this.#next = 0;
    }
    return this.row ?? null;
  }

  advance(): void {
    this.#next += 1;
  }
}

function takeRow(comparison: Comparison, row: ComparedRow, { isContent }: Standards): void {
  if (row.deleted === 0 && isContent(row)) comparison.activeRows += 1;
}

function takeUnseen(comparison: Comparison, row: ComparedRow): void {
  if (isThere(row)) comparison.missing.push(row);
}

function takeFile(
  comparison: Comparison,
  file: WalkedFile,
  row: ComparedRow | undefined,
  standards: Standards,
): void {
  const { path, tracked } = file;
  if (row !== undefined && isReplaced(file.kind, row)) {
    // Its folder is indexed with the deletion.
    comparison.missing.push(row);
    comparison.unchanged += 1;
  } else if (row === undefined || !isAsIndexed(row, file, standards)) {
    if (standards.indexAfter !== null && compareBytes(path, standards.indexAfter) <= 0) return;
    comparison.differing += 1;
    if (comparison.toIndex.length < standards.indexMax)
      comparison.toIndex.push({ path, tracked, mtimeMs: mtimeOf(file) });
  } else {
    comparison.unchanged += 1;
    if (row.tracked !== tracked && row.deleted === 0)
      comparison.retracked.push({ id: row.id, path: row.path, tracked });
  }
}

/** Parts of a print, see printOf. */
function mtimeOf({ print }: WalkedFile): number {
  return Number(print.split(' ', 2)[1]) / 1e6;
}

function modeOf({ print }: WalkedFile): number {
  return Number(print.split(' ', 5)[4]);
}

function isAsIndexed(row: ComparedRow, file: WalkedFile, { deviceIds, maxFileBytes }: Standards): boolean {
  if (row.folderMode !== null) return file.kind === 'folder' && row.folderMode === modeOf(file);
  return (
    row.print === file.print &&
    row.deleted === 0 &&
    row.ignored === 0 &&
    row.kind === file.kind &&
    row.deviceId === deviceIds.get(file.device) &&
    row.isDoubtful === 0 &&
    row.isStale === 0 &&
    (row.tooLargeBytes === null || row.tooLargeBytes > maxFileBytes)
  );
}

/**
 * Compares the rows of a folder and below ('' for all) with what a walk of it finds; without what is below its folders, and with
 * the folder itself, where the walk is shallow.
 * @throws the signal's reason; what the walk throws
 */
export async function compareFolder(
  context: IndexingContext,
  folder: string,
  walk: TreeWalk,
  standards: Partial<Pick<Standards, 'isContent' | 'indexAfter' | 'indexMax'>> = {},
): Promise<Comparison> {
  const { index, project, maxFileBytes, signal } = context;
  const deviceIds = new Map(devicesOf(index, project.id).map(({ identity, id }) => [identity, id]));
  const rows = comparedRows(
    index,
    project.id,
    { doubtMs, tooLarge, folder, isShallow: walk.isShallow },
    signal,
  );
  const isContent = ({ ignored }: ComparedRow): boolean => ignored === 0;
  return await compareInOrder(walk.batches(folder), rows, {
    deviceIds,
    maxFileBytes,
    isContent,
    indexAfter: null,
    indexMax: Infinity,
    ...standards,
  });
}

/** What retiring a file needs is read for few of them. */
export function wholeRows({ index }: IndexingContext, rows: readonly ComparedRow[]): FileRow[] {
  return rows.map(({ id }) => fileById(index, id)).filter((row) => row !== undefined);
}
