import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Notes beside the index that something has it to itself, such as a repair or a rewind. Where the note is there at a start, that was
 * cut off: so it is said before the index, which knows what of it is left, can be opened. Nothing is done because of it.
 */
export class RunningNote {
  readonly #path: string;
  /** Whether it was there when this process began. */
  readonly wasLeft: boolean;

  constructor(stateDir: string) {
    this.#path = join(stateDir, 'running');
    this.wasLeft = existsSync(this.#path);
  }

  /** Also where the disk is full: it is done all the same. */
  write(): void {
    try {
      writeFileSync(this.#path, '', { mode: 0o600 });
    } catch {
      // The next start says for a moment that all is well.
    }
  }

  remove(): void {
    try {
      rmSync(this.#path, { force: true });
    } catch {
      // The next start says for a moment that something was cut off.
    }
  }
}
