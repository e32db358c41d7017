import { backupsBeside } from './backups.js';
import { renderContent, type Rendering, renderStored, type StoredContent } from './contents.js';
import type { IndexDatabase } from './index-database.js';
import { AttachedBackup } from './salvage/attached-backup.js';

/** As renderContent; what the index cannot give is taken from the newest backup that has it whole. Not in a transaction. */
export function keptContent(index: IndexDatabase, hash: string | null): Rendering {
  const rendering = renderContent(index, hash);
  if (!('problem' in rendering) || hash === null) return rendering;
  const content = contentInBackups(index, hash, backupsBeside(index.path), () => undefined);
  return content === null ? rendering : renderStored(content.tree, hash);
}

/**
 * A content as the first of some backups has it that has it whole.
 * @param backups their paths
 */
export function contentInBackups(
  index: IndexDatabase,
  hash: string,
  backups: readonly string[],
  log: (message: string) => void,
): StoredContent | null {
  for (const path of backups) {
    const content = AttachedBackup.tryUse(index, path, (backup) => backup.contentOf(hash), log);
    if (content !== null) return content;
  }
  return null;
}
