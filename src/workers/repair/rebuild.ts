import type { Rebuilt } from '../../contract/database.js';
import type { RebuildRequest } from '../../base/ipc.js';
import { CodekeepError } from '../../base/errors.js';
import { repairListMax } from '../../contract/list-limits.js';
import { fill, type Loss } from '../../reconcile/rebuild/fill.js';
import { backupsBeside } from '../../store/backups.js';
import { checkFile } from '../../store/check-thread.js';
import { IndexDatabase } from '../../store/index-database.js';
import { giveIdentity, notedIdentity } from '../../store/index-identity.js';
import { countRows, recordMaintenance } from '../../store/maintenance.js';
import { replaceIndex } from '../../store/replace-index.js';
import { salvage } from '../../store/salvage/salvage.js';
import type { RequestCall, WorkerHost } from '../host.js';

/**
 * Makes a new index of what can be read of the one that is there, and puts it in its place. A dry run makes it, too, and
 * removes it again: there is no other way to know what is lost.
 */
export async function rebuildIndex(
  host: WorkerHost,
  { dry_run: isDry, saved_path }: RebuildRequest,
  call: RequestCall,
): Promise<Rebuilt> {
  let kept: Rebuilt['kept'] = {};
  let lost: Loss[] = [];
  const make = async (path: string): Promise<void> => {
    const salvaged = await salvage(host.indexPath, path, call);
    const index = IndexDatabase.open(path);
    const identity = notedIdentity(host.indexPath);
    if (identity !== null) giveIdentity(index, identity);
    try {
      lost = await fill(
        {
          index,
          stateDir: host.start.stateDir,
          saved: saved_path,
          backups: backupsBeside(host.indexPath),
          maxFileBytes: host.start.config.max_file_bytes,
          now: Date.now,
          log: (message) => host.log('warn', message),
          ...call,
        },
        salvaged,
      );
      kept = countRows(index);
      const { problems } = await checkFile(path, false, call.signal);
      if (problems.length > 0) throw unsound(problems[0] ?? '');
      await index.write(() => recordMaintenance(index, 'check', 'ok', Date.now()));
    } finally {
      index.close();
    }
  };
  const original = await replaceIndex(host.indexPath, Date.now(), make, isDry);
  return {
    kept,
    lost: lost.slice(0, repairListMax).map(({ projectId, rootDir, path, reason }) => ({
      project_id: projectId,
      root_dir: rootDir,
      path,
      reason,
    })),
    lost_count: lost.length,
    original_path: original,
  };
}

function unsound(problem: string): CodekeepError {
  return new CodekeepError(
    'REPAIR_DATABASE_ERROR',
    `The new index is damaged, too: ${problem}.`,
    'Nothing was changed. The disk of the state directory does not keep what it is given: look into that first.',
  );
}
