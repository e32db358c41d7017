import { open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { syncPath } from './sync-path.js';

/**
 * Writes a small file of the program's own, readable by its owner only: after a power loss it is the old one or the new one.
 * @throws system errors, as of a full disk
 */
export async function writeDurably(path: string, text: string): Promise<void> {
  const file = await open(`${path}.new`, 'w', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
  await syncPath(dirname(path));
}
