import { setPriority } from 'node:os';

/**
 * Whoever is waited for by people goes before this thread: the kernel has a priority for each one, and those that it starts
 * have the same.
 * @param thread 0 for the one that calls; the pid of a process for its first one
 */
export function giveWay(niceness: number, thread = 0): void {
  try {
    setPriority(thread, niceness);
  } catch {
    // Then it is as quick as everybody else.
  }
}
