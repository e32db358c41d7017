import { adoptVersions } from '../../reconcile/adopt-versions.js';
import { IndexDatabase } from '../../store/index-database.js';
import { endRuns } from '../../store/journal.js';
import { listProjects, relyOnNothing, setForgotten } from '../../store/projects.js';
import { copySound, replaceIndex } from '../../store/replace-index.js';
import type { RequestCall, WorkerHost } from '../host.js';

/** A check of a copy reads all of it: an hour (ms) is for hundreds of gigabytes. */
const checkMaxMs = 3_600_000;

/**
 * Puts a backup in the place of the index. What was deleted after it was made is taken up from the versions; what is on disk,
 * the comparison finds that follows.
 * @returns where the index is that was there
 */
export async function restoreBackup(
  host: WorkerHost,
  path: string,
  call: RequestCall,
): Promise<string | null> {
  const { max_file_bytes: maxFileBytes } = host.start.config;
  return await replaceIndex(host.indexPath, Date.now(), async (to) => {
    await copySound(path, to, (work) => call.longStep(checkMaxMs, work));
    const index = IndexDatabase.open(to);
    try {
      await index.write(() => {
        endRuns(index, Date.now());
        // What is made of contents is of another time.
        relyOnNothing(index);
        // What files were between the backup and now is not in it; its checkpoints are of before.
        for (const { id } of listProjects(index)) setForgotten(index, id, Date.now());
      });
      for (const project of listProjects(index))
        await adoptVersions({ index, project, maxFileBytes, areRowsOlder: true, signal: call.signal });
    } finally {
      index.close();
    }
  });
}
