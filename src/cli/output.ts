import { type ErrorCode } from '../base/errors.js';
import { CodekeepError, RpcError, UnreachableError } from '../rpc/client/client.js';
import { jsonText, manyLines, oneLine, tableLines } from './text.js';

/**
 * Exit statuses of every command, fixed by the contract. notFound is as grep has it: a search without a hit.
 * left: it is done, but something is left that a person must look at.
 */
export const exitStatus = {
  done: 0,
  failed: 1,
  notFound: 1,
  usage: 2,
  unreachable: 3,
  left: 4,
  interrupted: 130,
} as const;
export type ExitStatus = (typeof exitStatus)[keyof typeof exitStatus];

/** The state directory or the socket is taken: like "no supervisor reachable", nothing was started. */
const takenCodes: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['INDEX_UNAVAILABLE', 'TARGET_FILE_EXISTS']);

export function exitStatusOf(error: unknown, isServe: boolean): ExitStatus {
  if (error instanceof UnreachableError) return exitStatus.unreachable;
  if (error instanceof CommandError) return error.status;
  if (isServe && error instanceof CodekeepError && takenCodes.has(error.code)) return exitStatus.unreachable;
  return exitStatus.failed;
}

/** What a command could not do by itself, or was kept from doing, without a supervisor's error code. */
export class CommandError extends Error {
  /** What the reader can do about it, as a full sentence. */
  readonly hint: string;
  /** The exit status of the program. */
  readonly status: ExitStatus;

  constructor(message: string, hint: string, status: ExitStatus = exitStatus.failed) {
    super(message);
    this.name = 'CommandError';
    this.hint = hint;
    this.status = status;
  }
}

/** What went wrong and what to do about it, for people and for scripts. */
export function describeError(error: unknown, asJson: boolean): string {
  const hint = hintOf(error);
  const message = error instanceof Error ? error.message : String(error);
  if (asJson) {
    const code =
      error instanceof CodekeepError ? error.code : error instanceof RpcError ? error.number : null;
    const details = error instanceof CodekeepError ? error.details : {};
    return jsonText({ error: { code, message, hint, ...details } });
  }
  return manyLines(hint === null ? `codekeep: ${message}` : `codekeep: ${message}\n  ${hint}`);
}

function hintOf(error: unknown): string | null {
  if (error instanceof CodekeepError) return error.hint;
  if (error instanceof Error && 'hint' in error && typeof error.hint === 'string') return error.hint;
  return null;
}

let isQuiet = false;

/** From now on nothing is written to stdout: errors and the exit status say it all (--quiet). */
export function beQuiet(): void {
  isQuiet = true;
}

/** True where progress may be drawn. */
export function isTalkative(): boolean {
  return !isQuiet && process.stderr.isTTY;
}

/** The one place that writes to stdout for people; what comes here has been escaped. */
function write(line: string): void {
  if (!isQuiet) process.stdout.write(`${line}\n`);
}

/** Prints one line: the words of the template are the program's own, and everything put into it is data. */
export function print(words: TemplateStringsArray, ...data: (string | number)[]): void {
  write(words.reduce((line, part, index) => `${line}${oneLine(data[index - 1] ?? '')}${part}`));
}

/** Prints text of several lines, such as a snippet, each behind `indent`. */
export function printText(text: string, indent = ''): void {
  for (const line of manyLines(text).split('\n')) write(`${indent}${line}`);
}

export function printTable(rows: readonly (readonly (string | number)[])[]): void {
  for (const line of tableLines(rows)) write(line);
}

export function printJson(value: unknown): void {
  write(jsonText(value, process.stdout.isTTY ? 2 : 0));
}

/** Paths that are shown of a list; --json has what the supervisor gives, and get_repair all. */
export const shownMax = 20;
