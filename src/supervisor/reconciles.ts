import type { Reconciled, ReconcileRequest } from '../base/ipc.js';
import type { ProgressListener, Work } from '../base/progress.js';
import { Serial, Serials } from '../base/serial.js';
import { unlessAborted } from '../base/waiting.js';
import type { Hold } from './hold.js';
import type { WorkerSlot } from './lifecycle/worker-slot.js';
import type { Tasks } from './tasks.js';

/** Somebody who waits for a reconcile. */
interface Waiting {
  progress: ProgressListener;
  /** Called just before the reconcile begins: what is written from here on may be too late for it. */
  onBegin: () => void;
}

/** A reconcile that has not begun: everybody who asks for its project has it together. */
interface Queued {
  request: ReconcileRequest;
  result: Promise<Reconciled>;
  waiting: Set<Waiting>;
  /** Aborted when nobody waits for it any more. */
  end: AbortController;
}

/**
 * Reconciles that somebody asks for: the watcher does them; while none runs, a process of its own does, one at a time.
 * Whatever the number of those who ask, a project has one that runs and one that waits at most.
 */
export class Reconciles {
  readonly #hold: Hold;
  readonly #watcher: WorkerSlot<'file_watcher'>;
  readonly #tasks: Tasks;
  readonly #serials = new Serials();
  /** Processes of their own, one at a time: each takes a core. */
  readonly #alone = new Serial();
  /** By project id. */
  readonly #queued = new Map<string, Queued>();

  constructor(hold: Hold, watcher: WorkerSlot<'file_watcher'>, tasks: Tasks) {
    this.#hold = hold;
    this.#watcher = watcher;
    this.#tasks = tasks;
  }

  /**
   * Compares the whole tree, beginning after this call: what was written before it is indexed when this resolves.
   * @throws CodekeepError REPAIR_IN_PROGRESS also where a repair begins meanwhile; what the reconcile ends with; the
   * signal's reason
   */
  async run(
    request: ReconcileRequest,
    { signal, progress }: Work,
    onBegin: () => void = () => undefined,
  ): Promise<Reconciled> {
    this.#hold.assertFree();
    const queued = this.#queued.get(request.projectId) ?? this.#queue(request);
    // For who did not register it just now, one that has begun already is too early.
    queued.request.isNew &&= request.isNew;
    const own: Waiting = { progress, onBegin };
    queued.waiting.add(own);
    try {
      return await unlessAborted(queued.result, signal);
    } finally {
      queued.waiting.delete(own);
      if (queued.waiting.size === 0) queued.end.abort();
    }
  }

  #queue(request: ReconcileRequest): Queued {
    const { projectId } = request;
    const end = new AbortController();
    const waiting = new Set<Waiting>();
    const progress: ProgressListener = (...step) => {
      for (const one of waiting) one.progress(...step);
    };
    const result = this.#serials.of(projectId).run(async () => {
      this.#queued.delete(projectId);
      end.signal.throwIfAborted();
      for (const { onBegin } of waiting) onBegin();
      return await this.#reconcile(request, { signal: end.signal, progress });
    });
    // Everybody who waited may have left.
    result.catch(() => undefined);
    const queued: Queued = { request, result, waiting, end };
    this.#queued.set(projectId, queued);
    return queued;
  }

  async #reconcile(request: ReconcileRequest, work: Work): Promise<Reconciled> {
    for (;;) {
      this.#hold.assertFree();
      const isWatched = this.#isWatched();
      try {
        if (!isWatched)
          return await this.#alone.run(async () => {
            this.#hold.assertFree();
            return await this.#tasks.run('file_watcher', { method: 'reconcile', params: request }, work);
          });
        return await (await this.#watcher.whenReady(work.signal)).request('reconcile', request, work);
      } catch (error) {
        work.signal.throwIfAborted();
        // Its process was stopped for what holds the index now, or for a watcher that is to be asked.
        this.#hold.assertFree();
        if (isWatched === this.#isWatched()) throw error;
      }
    }
  }

  #isWatched(): boolean {
    return this.#watcher.isWanted && this.#watcher.state !== 'failed';
  }
}
