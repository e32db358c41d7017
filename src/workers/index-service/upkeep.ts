import { statSync } from 'node:fs';
import { sleep } from '../../base/waiting.js';
import { backup } from '../../store/backups.js';
import { checkFile } from '../../store/check-thread.js';
import { type IndexDatabase } from '../../store/index-database.js';
import { giveBackSurplus } from '../../store/compaction.js';
import { causeInWords } from '../../store/sqlite-errors.js';
import { lastMaintenance, recordMaintenance } from '../../store/maintenance.js';
import { listProjects } from '../../store/projects.js';
import { countDamaged } from '../../store/scrub.js';
import type { WorkerHost } from '../host.js';
import type { Forgetting } from './forgetting.js';

/** Pauses (ms) between two looks whether something is due; and after a failure, until it is tried again. */
const lookMs = 2_000;
const retryMs = 600_000;
/** The first check comes so long (ms) after the start, which has enough to do: nobody knows what became of the file meanwhile. */
const firstCheckMs = 10_000;

/** What is done to the index by itself: a backup and a check, each once in its interval, and what is not kept goes. None holds anybody up. */
export class Upkeep {
  readonly #index: IndexDatabase;
  readonly #host: WorkerHost;
  readonly #forgetting: Forgetting;
  readonly #retryAt = new Map<string, number>();
  #isKnownDamaged = false;
  /** What the log beside it made of it, nobody knows yet. */
  #isDoubtful: boolean;
  #isChecked = false;
  /** What a check found that could not be written down yet: it is not made once more for that. */
  #found: 'ok' | 'damaged' | null = null;
  readonly #openedAt = performance.now();
  /** Why the last one failed. */
  readonly #failures = new Map<'backup' | 'check', string>();

  constructor(index: IndexDatabase, host: WorkerHost, forgetting: Forgetting) {
    this.#index = index;
    this.#host = host;
    this.#forgetting = forgetting;
    this.#isDoubtful = index.hadLog;
  }

  /** What is wrong with the index as a whole, whoever found it; nothing: it is well, as far as anybody knows. */
  get troubles(): string[] {
    return [...this.#damage(), ...this.#failures.values()];
  }

  #damage(): string[] {
    const whole = [
      'the index is damaged: "codekeep check" says where, "codekeep rebuild" or a repair mends it',
    ];
    try {
      const isDamaged = this.#isKnownDamaged || lastMaintenance(this.#index, 'check')?.outcome === 'damaged';
      return isDamaged ? whole : this.#damagedContents();
    } catch {
      // Where even that cannot be read.
      return whole;
    }
  }

  #damagedContents(): string[] {
    const count = countDamaged(this.#index);
    const what = count === 1 ? '1 content of the index is' : `${count} contents of the index are`;
    const todo =
      '"codekeep check --deep" names the files, "codekeep repair" mends what the disk, the versions or a backup still has';
    return count === 0 ? [] : [`${what} damaged or missing: ${todo}`];
  }

  /** Somebody was answered that it is damaged. */
  noteDamage(): void {
    // A check says whether it is the index that is.
    if (!this.#isKnownDamaged) this.#isDoubtful = true;
    this.#isKnownDamaged = true;
  }

  /** A check found nothing. */
  noteSound(): void {
    this.#isKnownDamaged = false;
  }

  async run(): Promise<void> {
    const { signal } = this.#host;
    const { backup_interval, check_interval } = this.#host.start.config;
    for (; !signal.aborted; await sleep(lookMs, signal)) {
      await this.#noteFound();
      await this.#forgetting.ifDue();
      await this.#giveBack();
      await this.#ifDue('check', check_interval * 1_000, async () => await this.#check());
      await this.#ifDue('backup', backup_interval * 1_000, async () => await this.#backup());
    }
  }

  /** What reads have met. */
  async #noteFound(): Promise<void> {
    if (!this.#index.hasFoundDamaged) return;
    await this.#index
      .write(() => undefined)
      .catch((error: unknown) =>
        this.#host.log('warn', `damaged contents cannot be noted: ${causeInWords(error)}`),
      );
  }

  /** Pages that nothing is in any more. */
  async #giveBack(): Promise<void> {
    const { signal } = this.#host;
    try {
      await giveBackSurplus(this.#index, signal);
    } catch (error) {
      this.#host.log('debug', `free pages of the index stay for now: ${causeInWords(error)}`);
    }
  }

  async #ifDue(kind: 'backup' | 'check', intervalMs: number, work: () => Promise<void>): Promise<void> {
    try {
      if (!this.#isDue(kind, intervalMs)) return;
      await work();
      this.#failures.delete(kind);
    } catch (error) {
      if (this.#host.signal.aborted) return;
      this.#retryAt.set(kind, performance.now() + (kind === 'check' && this.#found !== null ? 0 : retryMs));
      const why = `the ${kind} of the index that was due failed: ${causeInWords(error)}`;
      if (this.#failures.get(kind) !== why) this.#host.log('warn', why);
      this.#failures.set(kind, why);
    }
  }

  #isDue(kind: 'backup' | 'check', intervalMs: number): boolean {
    const { signal } = this.#host;
    if (intervalMs === 0 || signal.aborted || !this.#index.isInPlace) return false;
    if (performance.now() < (this.#retryAt.get(kind) ?? 0)) return false;
    if (kind === 'check' && (this.#isDoubtful || this.#found !== null)) return true;
    const last = lastMaintenance(this.#index, kind)?.at ?? statSync(this.#index.path).birthtimeMs;
    const isFirst =
      kind === 'check' && !this.#isChecked && performance.now() - this.#openedAt >= firstCheckMs;
    // Also where the clock was put back.
    const isDue = isFirst || Math.abs(Date.now() - last) >= intervalMs;
    return isDue && listProjects(this.#index).length > 0;
  }

  async #check(): Promise<void> {
    const index = this.#index;
    const outcome = this.#isDoubtful || this.#found === null ? await this.#lookForDamage() : this.#found;
    this.#found = outcome;
    await index.write(() => recordMaintenance(index, 'check', outcome, Date.now()));
    this.#found = null;
  }

  async #lookForDamage(): Promise<'ok' | 'damaged'> {
    const { problems } = await checkFile(this.#index.path, false, this.#host.signal);
    this.#isDoubtful = false;
    this.#isChecked = true;
    for (const problem of problems) this.#host.log('error', `the index is damaged: ${problem}`);
    if (problems.length > 0) return 'damaged';
    this.noteSound();
    return 'ok';
  }

  async #backup(): Promise<void> {
    const index = this.#index;
    const { path, problems } = await backup(index, Date.now());
    await index.write(() => {
      recordMaintenance(index, 'backup', path, Date.now());
      if (problems.length > 0) recordMaintenance(index, 'check', 'damaged', Date.now());
    });
    this.#host.log('info', `the index is backed up: ${path}`);
  }
}
