import { Slicer } from '../base/waiting.js';
import { deletedFilesBefore } from '../store/deleted-files.js';
import type { FileRow } from '../store/files.js';
import { type ForgetTally, rehearseForget, statesWithContents } from '../store/forgetting.js';
import type { IndexDatabase } from '../store/index-database.js';
import type { Project } from '../store/projects.js';
import { DeletedCopies } from './deleted-copies.js';
import { forgetFiles } from './forget.js';

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
}

/**
 * Lets deleted files go on request: what they were, their copies in versions, and the contents that nothing else has. Their states
 * stay as ones that were purged, so that the rest of the project can be come back to as before. What a checkpoint has stays, and
 * what is not proven to be a copy of what the index has. A dry run says what a run does, and can do with a connection that only
 * reads.
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
  if (isDryRun) {
    const plan = { states: statesWithContents(index, project, chosen), deleted: chosen };
    return { removed: chosen, kept: stays, tally: await rehearseForget(index, [plan], null, signal) };
  }
  const tally: ForgetTally = { versions: 0, deleted: 0, contents: 0, bytes: 0 };
  const left = await forgetFiles(index, { project, deleted: chosen }, tally, { now, signal }, true);
  const leftPaths = new Set(left.map(({ path }) => path));
  return {
    removed: chosen.filter(({ path }) => !leftPaths.has(path)),
    kept: [...stays, ...left],
    tally,
  };
}
