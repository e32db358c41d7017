import { identify, isAlive } from './process-identity.js';

/** Names of temporary files; a cut-off run finds its own by the token. */
export function temporaryName(token: string): string {
  return `.codekeep-${token}.tmp`;
}

/** For temporaryName: says who makes it, so that another process can tell that it is left over. */
export function ownToken(token: string): string {
  return `${self()}-${token}`;
}

/** Names that are never content, whatever made them: every walker passes over them. */
export function isTemporaryName(name: string): boolean {
  return name.startsWith('.codekeep-') && (name.endsWith('.tmp') || name.endsWith('.taken'));
}

/** The private folder of a file that was taken aside (taken-file.ts). It says who took it, pid and start time. */
export function takenName(token: string): string {
  return `.codekeep-${self()}-${token}.taken`;
}

function self(): string {
  return `${process.pid}-${identify(process.pid)?.startTime ?? 0}`;
}

const taken = /^\.codekeep-(?<pid>\d+)-(?<start>\d+)-.*\.taken$/s;

export function isTakenName(name: string): boolean {
  return taken.test(name);
}

const owned = /^\.codekeep-(?<pid>\d+)-(?<start>\d+)-.*\.tmp$/s;

/** A temporary file or folder whose maker says who it was, and was killed. */
export function isDeadTemporary(name: string): boolean {
  return owned.test(name) && !isByLiving(owned, name);
}

/** Whether the process that took it aside is still there to put it back. */
export function isTakenByLiving(name: string): boolean {
  return isByLiving(taken, name);
}

function isByLiving(format: RegExp, name: string): boolean {
  const { pid, start } = format.exec(name)?.groups ?? {};
  return pid !== undefined && start !== undefined && isAlive({ pid: Number(pid), startTime: start });
}
