import { CodekeepError } from '../../base/errors.js';
import type { CallOptions } from './types.js';

/** What ends a wait early, besides its outcome. */
interface Wait<T> {
  resolve: (value: T) => void;
  reject: (error: unknown) => void;
}

/** What to do, and what to reject with, when the caller waits no longer. */
interface EarlyEnd {
  aborted: () => Error;
  late: (timeoutMs: number) => Error;
}

/** A promise that ends at the latest with the caller's signal or timeout; `begin` gets what settles it. */
export function bounded<T>(
  { signal, timeoutMs }: CallOptions,
  end: EarlyEnd,
  begin: (wait: Wait<T>) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(end.aborted());
    const stopWaiting = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    };
    const wait: Wait<T> = {
      resolve: (value) => {
        stopWaiting();
        resolve(value);
      },
      reject: (error) => {
        stopWaiting();
        reject(error);
      },
    };
    const onAbort = (): void => wait.reject(end.aborted());
    const timer =
      timeoutMs === undefined ? undefined : setTimeout(() => wait.reject(end.late(timeoutMs)), timeoutMs);
    signal?.addEventListener('abort', onAbort, { once: true });
    begin(wait);
  });
}

/** The same options after some of their time has passed. */
export function afterMs(options: CallOptions, elapsedMs: number): CallOptions {
  const { timeoutMs } = options;
  return timeoutMs === undefined ? options : { ...options, timeoutMs: Math.max(0, timeoutMs - elapsedMs) };
}

export function cancelled(name: string): CodekeepError {
  return new CodekeepError(
    'CANCELLED',
    `${name} was cancelled.`,
    'It stops at its next safe point; ask for the state before you call again.',
  );
}

export function tooLate(name: string, timeoutMs: number): CodekeepError {
  return new CodekeepError(
    'TIMEOUT',
    `${name} did not answer within ${timeoutMs} ms.`,
    'It may still be carried out; wait longer, or call health.',
  );
}

export function notSent(name: string, timeoutMs: number): CodekeepError {
  return new CodekeepError(
    'TIMEOUT',
    `${name} was not sent: no supervisor answered for ${timeoutMs} ms.`,
    'Start one with "codekeep serve"; the client connects by itself.',
  );
}
