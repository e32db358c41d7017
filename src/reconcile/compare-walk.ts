import type { ComparedRow } from '../store/compared-rows.js';
import type { WalkedFile } from './walk.js';

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
    seen.add(file.path);
    const row = rows.get(file.path);
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
