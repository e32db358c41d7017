import { messageOf } from '../base/errors.js';
import { workerKinds } from '../base/ipc.js';
import { unlessAborted } from '../base/waiting.js';
import type { Supervisor } from './supervisor.js';

const others = workerKinds.filter((kind) => kind !== 'index_service');

const rebuildHint =
  'Start codekeep again: "codekeep rebuild" makes a new index of the backups, the versions and the disk.';

/**
 * The end of all workers. Of an index that somebody removed, index_service has the last copy open: it is saved before that
 * process ends, however long this takes, and the stop is a failure that says so.
 */
export class End {
  /** Resolves in a stop, before the workers are gone: what became of an index that is gone; null where it is in its place. */
  readonly lost: Promise<string | null>;
  #resolveLost: (lost: string | null) => void = () => undefined;
  readonly #supervisor: Supervisor;

  constructor(supervisor: Supervisor) {
    this.#supervisor = supervisor;
    this.lost = new Promise((resolve) => {
      this.#resolveLost = resolve;
    });
  }

  /**
   * @param onSaving from here on it takes as long as the index is large
   * @returns what went wrong, for people
   */
  async stopAll(onSaving: () => void): Promise<string[]> {
    const supervisor = this.#supervisor;
    const { stopTimeoutMs } = supervisor;
    const endAt = performance.now() + stopTimeoutMs;
    const stopping = supervisor.stopWorkers(others, stopTimeoutMs);
    const prepared = supervisor.fleet.endPrepared();
    const lost = await this.#saveOpen(onSaving);
    this.#resolveLost(lost);
    const leftMs = lost === null ? Math.max(endAt - performance.now(), 0) : stopTimeoutMs;
    const last = supervisor.stopWorkers(['index_service'], leftMs);
    const outcomes = [...(await stopping), ...(await last)];
    await prepared;
    const stuck = supervisor.stuck().map(({ kind, pid }) => `process ${pid} (${kind}) could not be ended`);
    const failed = outcomes.filter(({ outcome }) => outcome.error !== null && outcome.remaining.length === 0);
    const failures = failed.map(({ type, outcome }) => `${type}: ${outcome.error ?? ''}`);
    return [...(lost === null ? [] : [lost]), ...stuck, ...failures];
  }

  async #saveOpen(onSaving: () => void): Promise<string | null> {
    const { state, process: worker } = this.#supervisor.slots.index_service;
    if (state !== 'ready' || worker === null) return null;
    // One that hangs does not say where its index is, and has no more time than any stop.
    const patience = new AbortController();
    const timer = setTimeout(() => patience.abort(), this.#supervisor.stopTimeoutMs);
    let isGone = false;
    const progress = (): void => {
      isGone = true;
      clearTimeout(timer);
      onSaving();
    };
    try {
      const question = { params: { to: 'backups' }, isWrite: false, freshness: {} } as const;
      const saving = worker.request('save_open', question, { progress });
      const { problem, path } = await unlessAborted(saving, patience.signal);
      if (problem === null) return null;
      return path === null
        ? `${problem} Nothing of it could be saved. ${rebuildHint}`
        : `${problem} What was still open of it is saved: ${path}. Start codekeep again: "codekeep restore-backup ${path}" makes that the index again.`;
    } catch (error) {
      return isGone ? `The index was gone, and not saved: ${messageOf(error)} ${rebuildHint}` : null;
    } finally {
      clearTimeout(timer);
    }
  }
}
