import { lstat } from 'node:fs/promises';
import { errnoOf, messageOf } from '../../base/errors.js';
import { sleep } from '../../base/waiting.js';
import type { SocketFile } from './socket-file.js';

export interface SocketWatch {
  everyMs: number;
  /** Listens anew at the path; null where that is not ours to do (systemd listens). */
  heal: (() => Promise<SocketFile>) | null;
  /** Hears what is wrong, once, and null when it is right again. */
  onChange: (problem: string | null) => void;
}

/**
 * Looks now and then whether the name still leads to our socket: where it was removed or replaced, those who are
 * connected notice nothing and nobody else can connect. Then it is listened at the name again, by the same rules
 * as at the start, as often as it takes.
 * @returns the function that ends the watch and waits for what it has begun
 */
export function watchSocketFile(file: SocketFile, watch: SocketWatch): () => Promise<void> {
  const ending = new AbortController();
  const watching = follow(file, watch, ending.signal);
  return async () => {
    ending.abort();
    await watching;
  };
}

async function follow(first: SocketFile, watch: SocketWatch, signal: AbortSignal): Promise<void> {
  let file = first;
  let known: string | null = null;
  for (;;) {
    await sleep(watch.everyMs, signal);
    let problem = await problemOf(file);
    if (signal.aborted) return;
    if (problem !== null && watch.heal !== null) {
      try {
        file = await watch.heal();
        // Said although it is over: who was sent away meanwhile finds out why.
        if (known === null) watch.onChange(`${problem}; it listens there again`);
        known = problem;
        problem = null;
      } catch (error) {
        problem = `${problem}, and it cannot be listened there again: ${messageOf(error)}`;
      }
    }
    if (problem !== known) watch.onChange(problem);
    known = problem;
  }
}

async function problemOf({ path, dev, ino }: SocketFile): Promise<string | null> {
  const found = await lstat(path, { bigint: true }).catch(errnoOf);
  if (found === null || typeof found === 'string')
    return found === 'ENOENT'
      ? `The socket ${path} was removed`
      : `The socket ${path} cannot be looked at (${found ?? 'unknown error'})`;
  return found.dev === dev && found.ino === ino
    ? null
    : `Something else is at ${path} in place of the socket`;
}
