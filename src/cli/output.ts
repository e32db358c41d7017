import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Writable } from 'node:stream';
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
let goesOn = false;

/** From now on the command comes to its end, and to its exit status, also where nobody reads what it prints. */
export function goOnUnread(): void {
  goesOn = true;
}

/** Nobody reads any more. Gives whether the command is to go on. */
export function isToGoOn(): boolean {
  if (goesOn) beQuiet();
  return goesOn;
}

/** From now on nothing is written to stdout: errors and the exit status say it all (--quiet). */
export function beQuiet(): void {
  isQuiet = true;
}

/** True where progress may be drawn. */
export function isTalkative(): boolean {
  return !isQuiet && process.stderr.isTTY;
}

let reader: Writable = process.stdout;

/** From now on what is printed goes to `other`, such as a pager. */
export function printTo(other: Writable): void {
  reader = other;
}

/** True where a person reads what is printed: on a terminal, or in the pager there. */
export function isForPeople(): boolean {
  return !isQuiet && process.stdout.isTTY;
}

/** The one place that writes to stdout for people; what comes here has been escaped. */
function write(line: string): void {
  if (!isQuiet) reader.write(`${line}\n`);
}

/** Prints what a program is to read, exactly; never on a terminal, which would carry out what is in it. */
export function printExact(content: string | Buffer): void {
  if (!isQuiet) reader.write(content);
}

export type Style = 'bold' | 'red' | 'green' | 'cyan';
const styles: Record<Style, number> = { bold: 1, red: 31, green: 32, cyan: 36 };

/** Prints one line, in colour where the terminal has any and nobody has asked for none (no-color.org). */
export function printStyled(line: string, style: Style | null): void {
  const { NO_COLOR: noColor = '', TERM: terminal } = process.env;
  const isPlain = style === null || !isForPeople() || noColor !== '' || terminal === 'dumb';
  const text = manyLines(line);
  write(isPlain ? text : `\u001b[${styles[style]}m${text}\u001b[m`);
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

/**
 * @param otherwise what shows it without doing it
 * @throws CommandError where nobody could answer a question
 */
export function assertCanAsk(isJson: boolean, otherwise: string): void {
  if (isForPeople() && process.stdin.isTTY && !isJson) return;
  throw new CommandError(
    'Nobody can be asked here whether it shall be done.',
    `${otherwise}, or add --yes to have it done.`,
    exitStatus.usage,
  );
}

/** Asks the person at the terminal; no answer, as at its end, is a no. */
export async function isAgreed(question: string): Promise<boolean> {
  process.stdout.write(`${question} [y/N] `);
  const lines = createInterface({ input: process.stdin });
  const ended = once(lines, 'close');
  const [answer = ''] = (await Promise.race([once(lines, 'line'), ended])) as [string?];
  lines.close();
  return /^y(?:es)?$/iu.test(answer.trim());
}

/** Paths that are shown of a list; --json has what the supervisor gives, and get_repair all. */
export const shownMax = 20;
