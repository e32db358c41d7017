import { closeSync, fstatSync, openSync } from 'node:fs';
import { isatty } from 'node:tty';

/**
 * Lets go of a terminal that is gone, as the last thing before the exit: Node gives each descriptor of 0 to 2 that was one
 * at the start its settings back, and aborts (SIGABRT, status 134) where that fails. It passes over one that is another file by then.
 */
export function leaveLostTerminal(): void {
  for (const fd of [0, 1, 2]) {
    if (!wasTerminal(fd) || isatty(fd)) continue;
    closeSync(fd);
    // Takes the lowest number that is free, and that is this one.
    openSync('/dev/null', 'r+');
  }
}

/** Other devices, such as /dev/null, are told as terminals, too: nothing is lost with them. */
function wasTerminal(fd: number): boolean {
  try {
    return fstatSync(fd).isCharacterDevice();
  } catch {
    return false;
  }
}
