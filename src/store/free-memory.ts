import type { Connection } from './connection.js';

/** Growth of this process (bytes) from which on it is worth the pause, of some 30 ms. */
const worthBytes = 32 * 1024 * 1024;
let bytesAfter = 0;

/**
 * Gives the system what lies free between blocks in use in this process's heap, which free(3) keeps: after a first index a
 * third of the process. Node has no call for malloc_trim(3) of glibc, but SQLite's loader of extensions calls a function of any
 * library by its name, and what this one gives counts as a failure there. Other C libraries have none, and nothing happens.
 */
export function giveBackMemory({ db }: Connection): void {
  if (process.memoryUsage.rss() < bytesAfter + worthBytes) return;
  // Its types lack the entry point.
  const load: (path: string, entryPoint: string) => unknown = db.loadExtension.bind(db);
  try {
    load('libc.so.6', 'malloc_trim');
  } catch {
    // As said.
  }
  bytesAfter = process.memoryUsage.rss();
}
