import { Slicer } from '../base/waiting.js';
import { checkpointMoments } from './checkpoints.js';
import { deletedBefore, type FileRow } from './files.js';
import { isSomething, statesOf } from './history.js';
import type { IndexDatabase } from './index-database.js';
import { hasUnfinishedRun } from './journal.js';
import type { Project } from './projects.js';
import { momentIn } from './retention.js';

/** What was deleted before a time: what of it nothing needs any more, and what stays, with the reason. */
export interface DeletedFiles {
  going: FileRow[];
  kept: { row: FileRow; reason: string }[];
}

/**
 * Writes nothing. What a checkpoint has stays, since that can always be come back to.
 * @param prefix only paths that start with this; '' for all
 * @param before milliseconds since 1970
 */
export async function deletedFilesBefore(
  index: IndexDatabase,
  { id: projectId }: Project,
  prefix: string,
  before: number,
  signal: AbortSignal,
): Promise<DeletedFiles> {
  const found: DeletedFiles = { going: [], kept: [] };
  const moments = checkpointMoments(index, projectId);
  const isRunning = hasUnfinishedRun(index, projectId);
  const slicer = new Slicer(signal);
  for (const row of deletedBefore(index, projectId, before)) {
    await slicer.breathe();
    if (!row.path.startsWith(prefix)) continue;
    const moment = momentOf(index, projectId, row.path, moments);
    if (isRunning) found.kept.push({ row, reason: 'a run that was cut off may need it' });
    else if (moment === null) found.going.push(row);
    else found.kept.push({ row, reason: `the checkpoint of ${new Date(moment).toISOString()} has it` });
  }
  return found;
}

/** More than retention lets any path have. */
const statesMax = 1_000_000;

/** A checkpoint at which the path was something; null where none was. */
function momentOf(
  index: IndexDatabase,
  projectId: string,
  path: string,
  moments: readonly number[],
): number | null {
  let endsAt = Infinity;
  for (const state of statesOf(index, projectId, path, Number.MAX_SAFE_INTEGER, statesMax)) {
    const moment = isSomething(state) ? momentIn(moments, state.seenAt, endsAt) : null;
    if (moment !== null) return moment;
    endsAt = state.seenAt;
  }
  return null;
}
