import { messageOf } from '../base/errors.js';
import { backupsBeside } from './backups.js';
import { renderContent, type Rendering, renderStored, type StoredContent } from './contents.js';
import type { IndexDatabase } from './index-database.js';
import { AttachedBackup } from './salvage/attached-backup.js';

/** As renderContent; what the index cannot give is taken from the newest backup that has it whole. Not in a transaction. */
export function keptContent(index: IndexDatabase, hash: string | null): Rendering {
  const rendering = renderContent(index, hash);
  if (!('problem' in rendering) || hash === null) return rendering;
  const content = contentInBackups(index, hash);
  return content === null ? rendering : renderStored(content.tree, hash);
}

/** A content as the newest backup has it that has it whole. */
export function contentInBackups(
  index: IndexDatabase,
  hash: string,
  log: (message: string) => void = () => undefined,
): (Pick<StoredContent, 'sha256' | 'size'> & { tree: Buffer }) | null {
  for (const path of backupsBeside(index.path)) {
    try {
      const content = AttachedBackup.use(index, path, (backup) => backup.contentOf(hash));
      if (content !== null) return content;
    } catch (error) {
      log(`${path} could not be used: ${messageOf(error)}`);
    }
  }
  return null;
}
