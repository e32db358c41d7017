/** The program's own error codes as JSON-RPC numbers; names and numbers are fixed by the contract. */
export const errorCodes = {
  PROJECT_NOT_FOUND: -32001,
  FILE_NOT_FOUND: -32002,
  TARGET_FILE_EXISTS: -32003,
  WORKER_START_ERROR: -32004,
  WORKER_STOP_ERROR: -32005,
  REPAIR_DATABASE_ERROR: -32006,
  REPAIR_IN_PROGRESS: -32007,
  ROOT_UNAVAILABLE: -32008,
  DATABASE_CORRUPT: -32009,
  INDEX_UNAVAILABLE: -32010,
  TIMEOUT: -32011,
  CANCELLED: -32012,
  LIMIT_EXCEEDED: -32013,
  PATH_OUTSIDE_ROOT: -32014,
  LOG_VIEW_ERROR: -32015,
  NOT_FOUND: -32016,
  INDEX_STALE: -32017,
  PLAN_STALE: -32018,
  INVALID_PARAMS: -32602,
} as const;

export type ErrorCode = keyof typeof errorCodes;

/** What an error looks like between processes and on the wire (`error.data` without the number). */
export interface ErrorShape {
  code: ErrorCode;
  message: string;
  hint: string;
  details?: Record<string, unknown>;
}

/**
 * The one error class of the program. The place that can name the cause throws it; `rpc` maps it to
 * the wire and `cli` to an exit status. Anything else that is thrown is a defect (-32603).
 */
export class CodekeepError extends Error {
  readonly code: ErrorCode;
  /** What the reader can do about it, as a full sentence. */
  readonly hint: string;
  /** Further fields of `error.data`, for instance the pid that could not be stopped. */
  readonly details: Record<string, unknown>;

  constructor(code: ErrorCode, message: string, hint: string, details: Record<string, unknown> = {}) {
    super(message);
    this.name = 'CodekeepError';
    this.code = code;
    this.hint = hint;
    this.details = details;
  }

  toShape(): ErrorShape {
    const shape: ErrorShape = { code: this.code, message: this.message, hint: this.hint };
    if (Object.keys(this.details).length > 0) shape.details = this.details;
    return shape;
  }

  static fromShape(shape: ErrorShape): CodekeepError {
    return new CodekeepError(shape.code, shape.message, shape.hint, shape.details);
  }
}

/**
 * Somebody asked for the end of a piece of work.
 * @param what the subject of a sentence: "The job"
 */
export function cancelled(what: string): CodekeepError {
  return new CodekeepError(
    'CANCELLED',
    `${what} was cancelled.`,
    'What was done so far is complete; call again for the rest.',
  );
}

/** For a call whose outcome nobody could say any more. */
export const unsureHint = 'Ask for the state before you repeat the call: it may have been carried out.';

/** The `code` of a Node system error (ENOENT, EACCES, ...), or null for anything else. */
export function errnoOf(error: unknown): string | null {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  return null;
}

/** For `catch`: passes over errors with these codes, as where what is to go is gone already; throws any other. */
export function ignoreErrno(...errnos: string[]): (error: unknown) => undefined {
  return (error) => {
    if (!errnos.includes(errnoOf(error) ?? '')) throw error;
    return undefined;
  };
}

const systemErrors: Readonly<Record<string, string>> = {
  EROFS: 'the file system is read-only',
  EACCES: 'permission is denied',
  EPERM: 'the system does not permit it',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  EIO: 'the disk reports an error',
  EMFILE: 'this process has too many files open',
  ENFILE: 'the system has too many files open',
  ENAMETOOLONG: 'the name is too long for the file system',
  ESTALE: 'the network file system has lost it',
};

/** The cause of a system error in words, as the end of a sentence; null for what has no words here. */
export function systemErrorText(error: unknown): string | null {
  return systemErrors[errnoOf(error) ?? ''] ?? null;
}

/** Why something failed, for people: in words where the system has only a code. */
export function reasonOf(error: unknown): string {
  return systemErrorText(error) ?? messageOf(error);
}

/** A one-line description of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
