import { randomUUID } from 'node:crypto';
import { cancelled, CodekeepError, errorCodes } from '../base/errors.js';
import type { ProgressListener, Work } from '../base/progress.js';
import { unlessAborted } from '../base/waiting.js';
import type { EventOf } from '../contract/events.js';
import type { Job } from '../contract/system.js';
import type { EventSink } from './subscriptions.js';

/** Ended jobs are remembered for whoever asks later, so many of them. */
const endedJobsMax = 100;
/** Long calls at once; each holds memory or waits for a process. */
const runningJobsMax = 32;

/** A job that was begun, for one caller. */
export interface BegunJob<T> {
  jobId: string;
  result: Promise<T>;
}

/** A job that several callers may have together. */
export interface SharedJob<T> {
  /**
   * The result, for a caller that waits for it.
   * @param asked aborts when this caller wants no more; the job is cancelled when none is left that does
   */
  outcome(asked: AbortSignal): Promise<T>;
  /** Gives the id to a caller that does not wait: from then on only cancel_job cancels it. */
  keep(): string;
}

interface Entry {
  job: Job;
  stop: AbortController;
}

/** Long calls: each can be waited for, or looked at by its id while it runs and after it ended. */
export class Jobs {
  readonly #entries = new Map<string, Entry>();
  readonly #events: EventSink;
  readonly #onDefect: (error: unknown) => void;

  /** @param onDefect hears of errors that have no code: their text is for the log, not for the wire */
  constructor(events: EventSink, onDefect: (error: unknown) => void) {
    this.#events = events;
    this.#onDefect = onDefect;
  }

  /**
   * Starts a job; gives its id and the promise of its result.
   * @param isAlone there is only ever one of its kind: no number of others keeps it out
   * @throws CodekeepError LIMIT_EXCEEDED
   */
  run<T>(method: string, work: (work: Work) => Promise<T>, isAlone = false): BegunJob<T> {
    if (!isAlone && this.#running().length >= runningJobsMax) {
      throw new CodekeepError(
        'LIMIT_EXCEEDED',
        `${runningJobsMax} long calls run already.`,
        'Wait for one of them; list_jobs shows them.',
      );
    }
    const entry = this.#add(method);
    const { job } = entry;
    const progress: ProgressListener = (message, done, total) => {
      if (job.state !== 'running') return;
      job.progress = { message, done, total };
      this.#publish('progress', job);
    };
    this.#publish('started', job);
    const result = work({ signal: entry.stop.signal, progress });
    result.then(
      (value) => this.#end(entry, 'done', value, null),
      (error: unknown) => {
        if (!(error instanceof CodekeepError)) this.#onDefect(error);
        // Not every job that was to be cancelled ends by that: it may fail before, or be done.
        const isCancelled = error instanceof CodekeepError && error.code === 'CANCELLED';
        this.#end(entry, isCancelled ? 'cancelled' : 'failed', null, wireError(error));
      },
    );
    return { jobId: job.job_id, result };
  }

  /** As run, for a job that others may join. */
  share<T>(method: string, work: (work: Work) => Promise<T>): SharedJob<T> {
    const { jobId, result } = this.run(method, work);
    let waiting = 0;
    let isKept = false;
    return {
      outcome: async (asked) => {
        waiting += 1;
        try {
          return await unlessAborted(result, asked);
        } finally {
          waiting -= 1;
          if (asked.aborted && waiting === 0 && !isKept) this.cancel(jobId);
        }
      },
      keep() {
        isKept = true;
        return jobId;
      },
    };
  }

  /** Newest first, without results: those may be large, and `get` has them. */
  list(): Job[] {
    return [...this.#entries.values()].map(({ job }) => ({ ...job, result: null })).reverse();
  }

  get(jobId: string): Job {
    return this.#require(jobId).job;
  }

  /** Asks the job to stop at its next safe point; one that has ended stays as it is. */
  cancel(jobId: string): Job {
    const { job, stop } = this.#require(jobId);
    stop.abort(cancelled('The job'));
    return job;
  }

  /**
   * The job's result, for a caller that waits for it.
   * @param asked aborts when the caller wants the job to stop; one that just goes away does not
   */
  async outcome<T>({ jobId, result }: BegunJob<T>, asked: AbortSignal): Promise<T> {
    const cancel = (): void => void this.cancel(jobId);
    asked.addEventListener('abort', cancel, { once: true });
    try {
      if (asked.aborted) cancel();
      return await result;
    } finally {
      asked.removeEventListener('abort', cancel);
    }
  }

  #publish(type: EventOf<'job'>['type'], { job_id, method, state, progress }: Job): void {
    this.#events.publish('job', () => ({ topic: 'job', type, job_id, method, state, progress }));
  }

  #running(): Entry[] {
    return [...this.#entries.values()].filter(({ job }) => job.state === 'running');
  }

  #add(method: string): Entry {
    const job: Job = {
      job_id: randomUUID(),
      method,
      state: 'running',
      progress: { done: 0, total: 0, message: '' },
      started_at: new Date().toISOString(),
      finished_at: null,
      result: null,
      error: null,
    };
    const entry = { job, stop: new AbortController() };
    this.#entries.set(job.job_id, entry);
    return entry;
  }

  #end({ job }: Entry, state: Job['state'], result: unknown, error: Job['error']): void {
    Object.assign(job, { state, result, error, finished_at: new Date().toISOString() });
    this.#publish('ended', job);
    const ended = [...this.#entries.values()].filter((entry) => entry.job.state !== 'running');
    for (const old of ended.slice(0, -endedJobsMax)) this.#entries.delete(old.job.job_id);
  }

  #require(jobId: string): Entry {
    const entry = this.#entries.get(jobId);
    if (entry !== undefined) return entry;
    throw new CodekeepError(
      'NOT_FOUND',
      `There is no job ${jobId}.`,
      'Call list_jobs; ended jobs are forgotten after a while and at a restart.',
    );
  }
}

function wireError(error: unknown): NonNullable<Job['error']> {
  if (error instanceof CodekeepError) {
    return {
      code: errorCodes[error.code],
      message: error.message,
      data: { ...error.details, code: error.code, hint: error.hint },
    };
  }
  return { code: -32603, message: 'Internal error', data: { hint: "The supervisor's log has the cause." } };
}
