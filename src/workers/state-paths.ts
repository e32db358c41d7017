import { join } from 'node:path';

/** Names inside the state directory that workers use. */
export function indexPath(stateDir: string): string {
  return join(stateDir, 'index.db');
}
