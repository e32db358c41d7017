import { relativePathProblem } from '../base/paths.js';
import { TreePresence } from '../base/presence.js';
import { Slicer } from '../base/waiting.js';
import { activeRows, type FileRow } from '../store/files.js';
import { setRoot } from '../store/projects.js';
import { isGone, retireMissing } from './deletion.js';
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
  return missing;
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
