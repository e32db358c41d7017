import { readFileSync, statSync } from 'node:fs';
import { unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { ignoreErrno } from './errors.js';
import type { RepairScope } from './ipc.js';
import { writeDurably } from './write-durably.js';

interface Asked {
  scope: RepairScope;
  /** Milliseconds since 1970. */
  at: number;
}

/**
 * A repair that was asked for, in the state directory until its plan is in the journal: a daemon that ends before that does
 * it at its next start. As long as it is there, what went before is lost, and not deleted.
 */
export class AskedRepair {
  readonly #path: string;

  constructor(stateDir: string) {
    this.#path = join(stateDir, 'repair.json');
  }

  /** @throws system errors, as of a full disk */
  async note(scope: RepairScope, now: number): Promise<void> {
    const asked: Asked = { scope, at: now };
    await writeDurably(this.#path, JSON.stringify(asked));
  }

  /** Null: none is to be done, or what is there is none. */
  read(): Asked | null {
    try {
      // What is no file may never end.
      if (!statSync(this.#path).isFile()) return null;
      const { scope, at } = JSON.parse(readFileSync(this.#path, 'utf8')) as Asked;
      return typeof at === 'number' && typeof scope.force === 'boolean' ? { scope, at } : null;
    } catch {
      return null;
    }
  }

  async forget(): Promise<void> {
    await unlink(this.#path).catch(ignoreErrno('ENOENT', 'EISDIR', 'EPERM'));
  }
}
