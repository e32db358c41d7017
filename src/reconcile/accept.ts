import { relativePathProblem } from '../base/paths.js';
import { TreePresence } from '../base/presence.js';
import { Slicer } from '../base/waiting.js';
import { activeRows, deletedBefore, type FileRow, forgetDevice } from '../store/files.js';
import { setRoot } from '../store/projects.js';
import { isGone, retireMissing } from './deletion.js';
import { DeviceDoubts } from './devices.js';
import type { IndexingContext } from './index-paths.js';
import { inspectRootOf, isStillRoot, rootUnavailable } from './project-root.js';

/**
 * accept_deletions: somebody says that the root folder is the right one and that what is missing in it is deleted. Gives
 * those rows, in the order of their paths; their contents are kept in versions.
 * @throws CodekeepError ROOT_UNAVAILABLE where nobody can look
 */
export async function acceptDeletions(context: IndexingContext, isDry: boolean): Promise<FileRow[]> {
  const { index, project, signal } = context;
  const root = inspectRootOf(index, project);
  if (root.kind === 'unavailable') throw rootUnavailable(root.reason);
  const missing = await missingRows(context);
  if (!isStillRoot(root, project)) return await acceptDeletions(context, isDry);
  if (isDry) return missing;
  await index.write(() => setRoot(index, project, root.mark), signal);
  Object.assign(project, root.mark);
  await retireMissing(context, missing, { rules: null, causeOf: () => 'asked' });
  await forgetDevices(context);
  return missing;
}

/** What was deleted where another file system was may come back to the one that is there now. */
async function forgetDevices({ index, project, signal }: IndexingContext): Promise<void> {
  const devices = new DeviceDoubts(index, project);
  const slicer = new Slicer(signal);
  const elsewhere: FileRow[] = [];
  for (const row of deletedBefore(index, project.id, Number.MAX_SAFE_INTEGER)) {
    if (devices.doubtOf(row) !== null) elsewhere.push(row);
    await slicer.breathe();
  }
  await index.write(() => {
    for (const { id } of elsewhere) forgetDevice(index, id);
  }, signal);
}

async function missingRows({ index, project, signal }: IndexingContext): Promise<FileRow[]> {
  const observed = new TreePresence(project.rootDir);
  const slicer = new Slicer(signal);
  const missing: FileRow[] = [];
  for (const row of activeRows(index, project.id)) {
    if (relativePathProblem(row.path) === null && isGone(row, observed.at(row.path))) missing.push(row);
    await slicer.breathe();
  }
  return missing;
}
