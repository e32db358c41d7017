import { randomUUID } from 'node:crypto';
import { CodekeepError, errorCodes } from '../base/errors.js';
import type { Job } from '../contract/system.js';

/** Ended jobs are remembered for whoever asks later, so many of them. */
const endedJobsMax = 100;
/** Long calls at once; each holds a process or waits for one. */
const runningJobsMax = 32;

export interface JobCall {
  /** Aborts when the job is cancelled. */
  signal: AbortSignal;
  progress: (message: string, done: number, total: number) => void;
}

interface Entry {
  job: Job;
  stop: AbortController;
}

/** Long calls: each can be waited for, or looked at by its id while it runs and after it ended. */
export class Jobs {
  readonly #entries = new Map<string, Entry>();
  readonly #onDefect: (error: unknown) => void;

  /** @param onDefect hears of errors that have no code: their text is for the log, not for the wire */
  constructor(onDefect: (error: unknown) => void) {
    this.#onDefect = onDefect;
  }

  /** Starts a job; gives its id and the promise of its result. */
  run<T>(method: string, work: (call: JobCall) => Promise<T>): { jobId: string; result: Promise<T> } {
    if (this.#running().length >= runningJobsMax) {
      throw new CodekeepError(
        'LIMIT_EXCEEDED',
        `${runningJobsMax} long calls run already.`,
        'Wait for one of them; list_jobs shows them.',
      );
    }
    const entry = this.#add(method);
    const { job } = entry;
    const progress: JobCall['progress'] = (message, done, total) => {
      job.progress = { message, done, total };
    };
    const result = work({ signal: entry.stop.signal, progress });
    result.then(
      (value) => this.#end(entry, 'done', value, null),
      (error: unknown) => {
        if (!(error instanceof CodekeepError)) this.#onDefect(error);
        this.#end(entry, entry.stop.signal.aborted ? 'cancelled' : 'failed', null, wireError(error));
      },
    );
    return { jobId: job.job_id, result };
  }

  /** Newest first, without results: those may be large, and `get` has them. */
  list(): Job[] {
    return [...this.#entries.values()].map(({ job }) => ({ ...job, result: null })).reverse();
  }

  get(jobId: string): Job {
    return this.#require(jobId).job;
  }

  cancel(jobId: string): Job {
    const { job, stop } = this.#require(jobId);
    stop.abort();
    return job;
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
