import { type ErrorCode } from '../base/errors.js';
import { CodekeepError, RpcError, UnreachableError } from '../rpc/client/client.js';

/** Exit statuses of every command, fixed by the contract. */
export const exitStatus = { done: 0, failed: 1, usage: 2, unreachable: 3, interrupted: 130 } as const;

/** The state directory or the socket is taken: like "no supervisor reachable", nothing was started. */
const takenCodes: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['INDEX_UNAVAILABLE', 'TARGET_FILE_EXISTS']);

export function exitStatusOf(error: unknown, isServe: boolean): number {
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
  readonly status: number;

  constructor(message: string, hint: string, status: number = exitStatus.failed) {
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
    return JSON.stringify({ error: { code, message, hint, ...details } });
  }
  return hint === null ? `codekeep: ${message}` : `codekeep: ${message}\n  ${hint}`;
}

function hintOf(error: unknown): string | null {
  if (error instanceof CodekeepError) return error.hint;
  if (error instanceof Error && 'hint' in error && typeof error.hint === 'string') return error.hint;
  return null;
}

export function print(text: string): void {
  process.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, process.stdout.isTTY ? 2 : 0));
}

/** Rows under aligned columns; the last column is not padded. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows)
    row.forEach((cell, column) => (widths[column] = Math.max(widths[column] ?? 0, cell.length)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
      .join('  '),
  );
  return lines.join('\n');
}
