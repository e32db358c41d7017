import type { WorkerKind } from '../../base/ipc.js';
import { CodekeepError, unsureHint } from '../../base/errors.js';

/** How a worker's process ended. */
export interface WorkerExit {
  code: number | null;
  signal: NodeJS.Signals | null;
  /** Last lines of stderr. */
  stderr: string[];
}

/** One that was told to stop before it could listen has nothing to end yet: the signal itself ends it. */
export function isInOrder({ code, signal }: WorkerExit): boolean {
  return code === 0 || signal === 'SIGTERM';
}

export function describeExit({ code, signal }: Pick<WorkerExit, 'code' | 'signal'>): string {
  if (signal !== null) return `was ended by ${signal}`;
  return code === null ? 'could not be started' : `ended with exit status ${code}`;
}

/** The line in which Node or V8 says what is fatal; around it are source, stack and fields of the error. */
const fatalLine = /^(?:FATAL ERROR|Error \[\w+\]|\w*Error)\b[^:]*: /;

/** How it ended and, where its stderr says so, why. */
export function reasonOf(exit: WorkerExit): string {
  const lines = exit.stderr.filter((line) => line.trim() !== '');
  const said = lines.findLast((line) => fatalLine.test(line)) ?? lines.at(-1);
  const words = said?.replace(/^\w*CodekeepError: /u, '').replace(/\.$/u, '');
  return words === undefined ? describeExit(exit) : `${describeExit(exit)}: ${words}`;
}

/** What a process says that cannot open the index (guardOpening in store/index-database.ts). */
export function saysDamage(reason: string): boolean {
  return reason.includes(' is damaged: ');
}

export const damageHint =
  'Call rebuild_database: it makes a new index of what can be read, of the backups and the disk, and keeps the damaged one.';

/** The process ended before it answered. */
export class EndedEarly extends CodekeepError {
  /**
   * @param why a clause: "hung"
   * @param isWrite what it was asked changes something, and may be done, or be finished by another process
   */
  constructor(kind: WorkerKind, why: string, isWrite: boolean) {
    super(
      'INDEX_UNAVAILABLE',
      `The ${kind} process ended before it answered: it ${why}.`,
      isWrite ? unsureHint : 'Call again; it is started again by itself.',
    );
  }
}

/** @param why a clause: "was not ready within 30 s" */
export function startFailure(kind: WorkerKind, why: string, stderr: readonly string[]): CodekeepError {
  if (saysDamage(why))
    return new CodekeepError('DATABASE_CORRUPT', `${kind} ${why}.`, damageHint, { stderr });
  return new CodekeepError(
    'WORKER_START_ERROR',
    `${kind} ${why}`,
    `Look into its log with view_worker_logs ${kind}, mend the cause, then call again.`,
    { stderr },
  );
}
