import { setPriority } from 'node:os';

/** Whoever is waited for by people goes before the thread that calls this: the kernel has a priority for each thread. */
export function giveWay(niceness: number): void {
  try {
    // 0 is the thread that calls.
    setPriority(0, niceness);
  } catch {
    // Then it is as quick as everybody else.
  }
}
