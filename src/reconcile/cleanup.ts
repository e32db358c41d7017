import { Slicer } from '../base/waiting.js';
import { deletedFilesBefore, planWithout } from '../store/deleted-files.js';
import type { FileRow } from '../store/files.js';
import { forgetStates, type ForgetTally, rehearseForget } from '../store/forgetting.js';
import type { IndexDatabase } from '../store/index-database.js';
import { projectById, type Project } from '../store/projects.js';
import { DeletedCopies } from './deleted-copies.js';
import { forgetFiles, oldestOf } from './forget.js';

export interface CleanupOptions {
  /** Only paths that start with this; '' for all. */
  prefix: string;
  /** What was deleted before then goes; milliseconds since 1970. */
  before: number;
  isDryRun: boolean;
  now: number;
  signal: AbortSignal;
}

export interface Cleanup {
  /** What went, or would go. */
  removed: FileRow[];
  kept: { path: string; reason: string }[];
  tally: ForgetTally;
  /** Before it not all is known any more, but for checkpoints; null: the first comparison has not ended. */
  oldest: number | null;
}

/**
 * Lets go on request what `forget` lets go of what was deleted long ago: files with all that is known of what they were, their
 * copies in versions, and the contents that nothing else has. What a checkpoint has stays, and what is not proven to be a copy of
 * what the index has. A dry run says what a run does, and can do with a connection that only reads.
 */
export async function cleanUpDeleted(
  index: IndexDatabase,
  project: Project,
  { prefix, before, isDryRun, now, signal }: CleanupOptions,
): Promise<Cleanup> {
  const { going, kept } = await deletedFilesBefore(index, project, prefix, before, signal);
  const stays = kept.map(({ row: { path }, reason }) => ({ path, reason }));
  const copies = new DeletedCopies(index, project);
  const slicer = new Slicer(signal);
  const chosen: FileRow[] = [];
  for (const row of going) {
    const found = await copies.look(row, signal);
    if (typeof found === 'object') stays.push({ path: row.path, reason: found.reason });
    else chosen.push(row);
    await slicer.breathe();
  }
  const plan = planWithout(index, project, chosen);
  if (isDryRun) {
    const tally = await rehearseForget(index, [plan], null, signal);
    return { removed: chosen, kept: stays, tally, oldest: oldestOf(project, plan.since) };
  }
  const tally: ForgetTally = { versions: 0, deleted: 0, contents: 0, bytes: 0 };
  await forgetStates(index, plan, tally, signal);
  const left = await forgetFiles(index, plan, tally, { now, signal }, true);
  const leftPaths = new Set(left.map(({ path }) => path));
  return {
    removed: chosen.filter(({ path }) => !leftPaths.has(path)),
    kept: [...stays, ...left],
    tally,
    oldest: oldestOf(projectById(index, project.id) ?? project, -1),
  };
}
