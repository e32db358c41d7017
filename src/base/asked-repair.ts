import { readFileSync } from 'node:fs';
import { open, rename, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ignoreErrno } from './errors.js';
import type { RepairScope } from './ipc.js';
import { syncPath } from './sync-path.js';

/**
 * A repair that was asked for, in the state directory until its plan is in the journal: a daemon that ends before that does
 * it at its next start. The watcher that starts then would take for deleted what is lost.
 */
export class AskedRepair {
  readonly #path: string;

  constructor(stateDir: string) {
    this.#path = join(stateDir, 'repair.json');
  }

  /** @throws system errors, as of a full disk */
  async note(scope: RepairScope): Promise<void> {
    const file = await open(`${this.#path}.new`, 'w', 0o600);
    try {
      await file.writeFile(JSON.stringify(scope));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(`${this.#path}.new`, this.#path);
    await syncPath(dirname(this.#path));
  }

  /** Null: none was cut off. */
  read(): RepairScope | null {
    try {
      return JSON.parse(readFileSync(this.#path, 'utf8')) as RepairScope;
    } catch {
      return null;
    }
  }

  async forget(): Promise<void> {
    await unlink(this.#path).catch(ignoreErrno('ENOENT'));
  }
}
