import type { Action } from '../../reconcile/repair/plan.js';

/** After a failure an action is left alone for so long (ms), twice as long after each further one ... */
const pauseMs = 30_000;
/** ... and for so long at most (ms). */
const pauseMaxMs = 3_600_000;

/** What the background worker knows from its earlier rounds, so that what fails for good costs next to nothing. */
export class RoundMemory {
  /** What could not be restored, by file id with the content it had: not rendered again until it changes. */
  readonly #unrestorable = new Map<number, string>();
  readonly #failed = new Map<number, { verdict: string; times: number; at: number }>();

  noteUnrestorable(fileId: number, sha256: string | null): void {
    this.#unrestorable.set(fileId, sha256 ?? '');
  }

  knownProblem(fileId: number, sha256: string | null): string | null {
    return this.#unrestorable.get(fileId) === (sha256 ?? '') ? 'known as unrestorable' : null;
  }

  /** @param now milliseconds, of any clock that only goes on */
  noteFailed({ id, verdict }: Action, now: number): void {
    const before = this.#failed.get(id);
    const times = before?.verdict === verdict ? before.times + 1 : 1;
    this.#failed.set(id, { verdict, times, at: now });
  }

  noteDone({ id }: Action): void {
    this.#failed.delete(id);
  }

  /** Whether the action failed so lately that it is not tried yet. */
  isResting({ id, verdict }: Action, now: number): boolean {
    const failed = this.#failed.get(id);
    if (failed?.verdict !== verdict) return false;
    return now - failed.at < Math.min(pauseMs * 2 ** (failed.times - 1), pauseMaxMs);
  }
}
