import { eventMethod, type EventOf } from '../../contract/events.js';
import { checkedResult } from './check.js';
import type { ClientConnection } from './connection.js';
import { errorOfReply } from './errors.js';
import { isKnownEvent } from './subscriptions.js';
import type { CallProgress, LongCallOptions } from './types.js';
import { bounded, cancelled, tooLate } from './waiting.js';
import { isRecord } from '../protocol.js';

/**
 * Calls a method that takes `wait`, and tells how far it is: as a job, whose events are followed on this
 * connection. Result and errors are those of the call with `wait: true`.
 */
export function callWithProgress(
  connection: ClientConnection,
  name: string,
  params: Record<string, unknown>,
  { onProgress = () => undefined, ...options }: LongCallOptions,
): Promise<unknown> {
  const job = new FollowedJob(connection, onProgress);
  const end = {
    aborted: (): Error => {
      job.cancel();
      return cancelled(name);
    },
    late: (timeoutMs: number): Error => {
      job.leave();
      return tooLate(name, timeoutMs);
    },
  };
  return bounded(options, end, ({ resolve, reject }) => {
    job.run(name, params).then(resolve, reject);
  });
}

class FollowedJob {
  readonly #connection: ClientConnection;
  readonly #onProgress: (progress: CallProgress) => void;
  #subscriptionId: string | null = null;
  #jobId: string | null = null;
  /** Events of jobs that came before it was known which one is ours. */
  #early: EventOf<'job'>[] = [];
  #isCancelled = false;
  #isLeft = false;
  #onEnded: () => void = () => undefined;

  constructor(connection: ClientConnection, onProgress: (progress: CallProgress) => void) {
    this.#connection = connection;
    this.#onProgress = onProgress;
  }

  async run(name: string, params: Record<string, unknown>): Promise<unknown> {
    const stopListening = this.#connection.onNotification((method, received) => {
      if (method === eventMethod && isRecord(received)) this.#receive(received);
    });
    try {
      const ended = this.#whenEnded();
      const subscribed = await this.#connection.request('subscribe', { topics: ['job'] });
      this.#subscriptionId = checkedResult('subscribe', subscribed).subscription_id;
      if (this.#isCancelled) throw cancelled(name);
      const begun = await this.#connection.request(name, { ...params, wait: false });
      this.#begin(String(isRecord(begun) ? begun['job_id'] : undefined));
      await this.#connection.whileAnswering(ended);
      return await this.#outcome();
    } finally {
      stopListening();
      this.#unsubscribe();
    }
  }

  /** Asks for the end of the job, now or as soon as it is known. */
  cancel(): void {
    this.#isCancelled = true;
    this.leave();
    if (this.#jobId !== null) this.#send('cancel_job', { job_id: this.#jobId });
  }

  /** Nobody wants to hear of it any more; it goes on. */
  leave(): void {
    this.#isLeft = true;
  }

  #begin(jobId: string): void {
    this.#jobId = jobId;
    if (this.#isCancelled) this.#send('cancel_job', { job_id: jobId });
    for (const event of this.#early) this.#take(event);
    this.#early = [];
  }

  #receive(params: Record<string, unknown>): void {
    if (params['subscription_id'] !== this.#subscriptionId) return;
    if (!isKnownEvent(params) || params.topic !== 'job') return;
    if (this.#jobId === null) this.#early.push(params);
    else this.#take(params);
  }

  #take({ type, job_id, progress }: EventOf<'job'>): void {
    if (job_id !== this.#jobId) return;
    if (type === 'ended') this.#onEnded();
    else if (!this.#isLeft) this.#onProgress({ ...progress, job_id });
  }

  /** Ends with the job, or with the connection: its next request says why then. */
  async #whenEnded(): Promise<void> {
    await new Promise<void>((resolve) => {
      const stopWatching = this.#connection.onEnd(() => resolve());
      this.#onEnded = () => {
        stopWatching();
        resolve();
      };
    });
  }

  async #outcome(): Promise<unknown> {
    const reply = await this.#connection.request('get_job', { job_id: this.#jobId });
    const job = checkedResult('get_job', reply);
    if (job.state === 'done') return job.result;
    throw errorOfReply(job.error);
  }

  #unsubscribe(): void {
    // Takes the listener off a connection on which no job has ended.
    this.#onEnded();
    if (this.#subscriptionId !== null) this.#send('unsubscribe', { subscription_id: this.#subscriptionId });
  }

  /** Where the connection is lost, so is what this would have ended, or the caller hears of it anyway. */
  #send(name: string, params: Record<string, unknown>): void {
    this.#connection.request(name, params).catch(() => undefined);
  }
}
