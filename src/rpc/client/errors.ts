import { CodekeepError, type ErrorCode, errorCodes, unsureHint } from '../../base/errors.js';
import { isRecord } from '../protocol.js';

/** Nobody answers on the socket. The CLI's exit status for it is 3. */
export class UnreachableError extends Error {
  readonly socket: string;
  /** Why connecting failed, such as ENOENT. EAGAIN: a supervisor is there, but took no new connection the whole time. */
  readonly errno: string;
  /** What the reader can do about it, as a full sentence. */
  readonly hint: string;

  constructor(socket: string, errno: string) {
    super(
      errno === 'EAGAIN'
        ? `The supervisor on ${socket} takes no new connection: too many wait already (EAGAIN).`
        : `No supervisor answers on ${socket} (${errno}).`,
    );
    this.name = 'UnreachableError';
    this.socket = socket;
    this.errno = errno;
    this.hint =
      unreachableHints[errno] ??
      'Start one with "codekeep serve", or name its socket with --socket or CODEKEEP_SOCKET.';
  }
}

const foreignHint = 'The socket belongs to another user; give your own with --socket or CODEKEEP_SOCKET.';

const unreachableHints: Readonly<Record<string, string>> = {
  EACCES: foreignHint,
  EPERM: foreignHint,
  EAGAIN: 'Try again in a moment; where it stays so, the supervisor is halted or overloaded.',
};

/** The connection ended before the reply came: whether the call was carried out is not known. */
export class ConnectionLostError extends Error {
  readonly socket: string;
  readonly hint = unsureHint;

  constructor(socket: string, why: string) {
    super(`The connection to ${socket} ended before the reply: ${why}.`);
    this.name = 'ConnectionLostError';
    this.socket = socket;
  }
}

/** The supervisor is there, but answered nobody any more, and so the connection was given up. */
export class UnansweredError extends ConnectionLostError {
  constructor(socket: string) {
    super(socket, 'the supervisor does not answer any more');
    this.name = 'UnansweredError';
  }
}

/** An error reply without one of the program's own codes: -32601, -32603 and their like. */
export class RpcError extends Error {
  readonly number: number;
  readonly hint: string;
  /** `error.data` as it came. */
  readonly data: unknown;

  constructor(number: number, message: string, hint: string, data?: unknown) {
    super(message);
    this.name = 'RpcError';
    this.number = number;
    this.hint = hint;
    this.data = data;
  }
}

function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(errorCodes, code);
}

/** The error that an error reply stands for; takes any value, since it came over a wire. */
export function errorOfReply(error: unknown): CodekeepError | RpcError {
  if (!isRecord(error)) return new RpcError(-32603, 'An error reply without an error came.', versionHint);
  const { code: number, message, data } = error;
  const text = typeof message === 'string' ? message : 'An error without a message came.';
  const { code, hint, ...details } = isRecord(data) ? data : {};
  const advice = typeof hint === 'string' ? hint : '';
  if (isErrorCode(code)) return new CodekeepError(code, text, advice, details);
  return new RpcError(typeof number === 'number' ? number : -32603, text, advice, data);
}

export const versionHint = 'Use the same version of codekeep on both sides.';
