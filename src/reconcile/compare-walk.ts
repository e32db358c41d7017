import { type ComparedRow, comparedRows } from '../store/compared-rows.js';
import { devicesOf } from '../store/devices.js';
import { fileById, type FileRow } from '../store/files.js';
import { isHidden, tooLarge } from './index-file.js';
import type { IndexingContext } from './index-paths.js';
import type { WalkedFile } from './walk.js';

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
}

/** What the index has to do to follow a walk. */
interface Comparison {
  toIndex: string[];
  missing: ComparedRow[];
  retracked: Pick<ComparedRow, 'id' | 'path' | 'tracked'>[];
  unchanged: number;
}

/** Pure. */
export function compareWalk(
  walked: readonly WalkedFile[],
  rows: ReadonlyMap<string, ComparedRow>,
  standards: Standards,
): Comparison {
  const seen = new Set<string>();
  const toIndex: string[] = [];
  const retracked: Pick<ComparedRow, 'id' | 'path' | 'tracked'>[] = [];
  for (const file of walked) {
    const row = rows.get(file.path);
    if (isHidden(file.kind, row)) continue;
    seen.add(file.path);
    if (row === undefined || !isAsIndexed(row, file, standards)) toIndex.push(file.path);
    else if (row.tracked !== file.tracked)
      retracked.push({ id: row.id, path: row.path, tracked: file.tracked });
  }
  const missing = [...rows.values()].filter((row) => row.deleted === 0 && !seen.has(row.path));
  return { toIndex, missing, retracked, unchanged: walked.length - toIndex.length };
}

function isAsIndexed(row: ComparedRow, file: WalkedFile, { deviceIds, maxFileBytes }: Standards): boolean {
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

/** Compares the rows of a folder and below ('' for all) with what a walk of it found. */
export async function compareFolder(
  context: IndexingContext,
  folder: string,
  walked: readonly WalkedFile[],
): Promise<Comparison & { rows: ReadonlyMap<string, ComparedRow> }> {
  const { index, project, maxFileBytes, signal } = context;
  const rows = await comparedRows(index, project.id, { doubtMs, tooLarge, folder }, signal);
  const deviceIds = new Map(devicesOf(index, project.id).map(({ identity, id }) => [identity, id]));
  return { rows, ...compareWalk(walked, rows, { deviceIds, maxFileBytes }) };
}

/** What retiring a file needs is read for few of them. */
export function wholeRows({ index }: IndexingContext, rows: readonly ComparedRow[]): FileRow[] {
  return rows.map(({ id }) => fileById(index, id)).filter((row) => row !== undefined);
}
