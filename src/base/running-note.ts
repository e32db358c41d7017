import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Notes beside the index that something has it to itself, such as a repair or a rewind. Where the note is there at a start, that was
 * cut off: so it is said before the index, which knows what of it is left, can be opened. Nothing is done because of it.
 */
export class RunningNote {
  readonly #path: string;
  /** The run that was noted when this process began; empty where no more could be written, null where none was. */
  readonly left: string | null;

  constructor(stateDir: string) {
    this.#path = join(stateDir, 'running');
    this.left = existsSync(this.#path) ? read(this.#path) : null;
  }

  /** Also where the disk is full: it is done all the same. What was left stays noted, until it is finished. */
  write(runId: string): void {
    try {
      writeFileSync(this.#path, runId, { mode: 0o600, flag: 'wx' });
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

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
