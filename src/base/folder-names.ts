import { readdirSync } from 'node:fs';
import { ignoreErrno } from './errors.js';

/**
 * What is in a folder; nothing where there is none.
 * @param tolerated other errors for which it counts as empty
 * @throws system errors
 */
export function namesIn(folder: string, ...tolerated: string[]): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    return ignoreErrno('ENOENT', 'ENOTDIR', ...tolerated)(error) ?? [];
  }
}
