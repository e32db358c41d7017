import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { errnoOf } from './errors.js';

/**
 * Whether what stands at a path can be what a kill left of an image that was written in place (place-exclusively.ts):
 * a regular file with the image's beginning, and not with all of it. An empty file is everything's beginning: ask only
 * where a placement to that path is known to have been under way.
 */
export async function isTornCopyOf(path: string, image: Uint8Array): Promise<boolean> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const file = await open(path, flags).catch((error: unknown) => {
    if (['ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO'].includes(errnoOf(error) ?? '')) return null;
    throw error;
  });
  if (file === null) return false;
  try {
    const stats = await file.stat();
    if (!stats.isFile() || stats.size >= image.byteLength) return false;
    const bytes = await file.readFile();
    return bytes.byteLength < image.byteLength && bytes.equals(image.subarray(0, bytes.byteLength));
  } finally {
    await file.close();
  }
}
