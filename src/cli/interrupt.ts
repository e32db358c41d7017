import { exitStatus } from './output.js';

let ending: (() => void) | null = null;

/** Ctrl-C: ends what is under way in order where a command said how, and the program at once otherwise. */
export function interrupt(): void {
  const end = ending;
  ending = null;
  if (end === null) process.exit(exitStatus.interrupted);
  end();
}

/**
 * Says how to end what is under way. It is done at the first Ctrl-C only: the second one ends the program.
 * @returns the function that takes it back
 */
export function onInterrupt(end: () => void): () => void {
  ending = end;
  return () => {
    if (ending === end) ending = null;
  };
}
