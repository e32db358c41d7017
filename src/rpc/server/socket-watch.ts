import { lstat } from 'node:fs/promises';
import { errnoOf } from '../../base/errors.js';
import type { SocketFile } from './socket-file.js';

/**
 * Looks now and then whether the name still leads to our socket: where it was removed or replaced, those who are
 * connected notice nothing and nobody else can connect.
 * @param onChange hears what is wrong, once, and null when it is right again
 * @returns the function that ends the watch
 */
export function watchSocketFile(
  file: SocketFile,
  everyMs: number,
  onChange: (problem: string | null) => void,
): () => void {
  let known: string | null = null;
  let isEnded = false;
  const look = async (): Promise<void> => {
    const problem = await problemOf(file);
    if (isEnded || problem === known) return;
    known = problem;
    onChange(problem);
  };
  const timer = setInterval(() => void look(), everyMs).unref();
  return () => {
    isEnded = true;
    clearInterval(timer);
  };
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
