import { opendirSync } from 'node:fs';

/** Throws where it cannot be read. */
export function isEmptyFolder(path: string): boolean {
  const folder = opendirSync(path);
  try {
    return folder.readSync() === null;
  } finally {
    folder.closeSync();
  }
}
