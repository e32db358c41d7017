import { Slicer } from '../base/waiting.js';
import { checkpointMoments } from './checkpoints.js';
import { deletedBefore, type FileRow } from './files.js';
import { type ForgetPlan, statesAt } from './forgetting.js';
import { isSomething, stateAt } from './history.js';
import type { IndexDatabase } from './index-database.js';
import { hasUnfinishedRun } from './journal.js';
import type { Project } from './projects.js';

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
    const moment = moments.find((at) => wasThere(index, projectId, row.path, at));
    if (isRunning) found.kept.push({ row, reason: 'a run that was cut off may need it' });
    else if (moment === undefined) found.going.push(row);
    else found.kept.push({ row, reason: `the checkpoint of ${new Date(moment).toISOString()} has it` });
  }
  return found;
}

function wasThere(index: IndexDatabase, projectId: string, path: string, at: number): boolean {
  const state = stateAt(index, projectId, path, at);
  return state !== undefined && isSomething(state);
}

/** All that is known of these files goes, so that of before the last of them was deleted not all is known any more. */
export function planWithout(index: IndexDatabase, project: Project, deleted: FileRow[]): ForgetPlan {
  const states = deleted.flatMap(({ path }) => statesAt(index, project.id, path));
  return { project, states, deleted, since: Math.max(-1, ...states.map(({ goneAt }) => goneAt)) };
}
