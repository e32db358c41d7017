import { CodekeepError, errorCodes } from '../base/errors.js';
import type { FrameProblem } from './framing/frame.js';

/** The specification's own error numbers. */
export const protocolErrors = {
  PARSE_ERROR: -32700,
  INVALID_REQUEST: -32600,
  METHOD_NOT_FOUND: -32601,
  INTERNAL_ERROR: -32603,
} as const;

export type RequestId = string | number | null;

/** A request whose form is right; without `id` it is a notification. */
export interface WireRequest {
  jsonrpc: '2.0';
  method: string;
  params?: unknown[] | Record<string, unknown>;
  id?: RequestId;
}

/** `data` always has a `hint`, and a `code` where the error is one of the program's own. */
export interface ErrorReply {
  jsonrpc: '2.0';
  id: RequestId;
  error: { code: number; message: string; data: { hint: string; [field: string]: unknown } };
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Checks the form of one request; gives the error reply where it is wrong. */
export function readRequest(value: unknown): { request: WireRequest } | { refusal: ErrorReply } {
  if (!isRecord(value)) return refuse(null, 'a request is an object');
  const { jsonrpc, method, params, id } = value;
  if (id !== undefined && !isId(id)) {
    return refuse(null, 'id is a string, a number that JSON readers keep exactly, or null');
  }
  const replyId = id ?? null;
  if (jsonrpc !== '2.0') return refuse(replyId, 'jsonrpc is "2.0"');
  if (typeof method !== 'string') return refuse(replyId, 'method is a string');
  if (value['result'] !== undefined || value['error'] !== undefined) {
    return refuse(replyId, 'a request has neither result nor error');
  }
  const request: WireRequest = { jsonrpc, method };
  if (id !== undefined) request.id = id;
  if (Array.isArray(params) || isRecord(params)) request.params = params;
  else if (params !== undefined) return refuse(replyId, 'params is an object or an array, or left out');
  return { request };
}

/** Integers beyond 2^53 would come back as other numbers, and the client would wait for ever. */
function isId(id: unknown): id is RequestId {
  if (typeof id === 'number')
    return Number.isFinite(id) && (!Number.isInteger(id) || Number.isSafeInteger(id));
  return typeof id === 'string' || id === null;
}

function refuse(id: RequestId, rule: string): { refusal: ErrorReply } {
  return { refusal: invalidRequest(id, rule) };
}

export function invalidRequest(id: RequestId, rule: string): ErrorReply {
  return errorReply(id, protocolErrors.INVALID_REQUEST, 'Invalid Request', {
    hint: `Send requests as JSON-RPC 2.0 defines them: ${rule}.`,
  });
}

export function errorReply(
  id: RequestId,
  code: number,
  message: string,
  data: { hint: string; [field: string]: unknown },
): ErrorReply {
  return { jsonrpc: '2.0', id, error: { code, message, data } };
}

/** The reply to something that was thrown: the program's own errors as they are, anything else is a defect. */
export function replyToFailure(id: RequestId, error: unknown): ErrorReply {
  if (error instanceof CodekeepError) {
    const data = { ...error.details, code: error.code, hint: error.hint };
    return errorReply(id, errorCodes[error.code], shortened(error.message), data);
  }
  return errorReply(id, protocolErrors.INTERNAL_ERROR, 'Internal error', {
    hint: 'This is a defect of codekeep. Look into the supervisor log (view_worker_logs supervisor).',
  });
}

/** Room for the longest path (PATH_MAX, 4,096 bytes) and what is said of it, in UTF-16 units: what is longer is a param that was too long. */
const messageMax = 5_000;
const endKept = 400;

function shortened(message: string): string {
  if (message.length <= messageMax) return message;
  return `${message.slice(0, messageMax - endKept)} … ${message.slice(-endKept)}`;
}

/** The reply to input that is no message. */
export function replyToBrokenInput(problem: FrameProblem, detail: string): ErrorReply {
  if (problem === 'too_large' || problem === 'too_deep' || problem === 'too_many') {
    const limit = new CodekeepError(
      'LIMIT_EXCEEDED',
      `Refused: ${detail}.`,
      'Split the request into smaller ones.',
    );
    return replyToFailure(null, limit);
  }
  return errorReply(null, protocolErrors.PARSE_ERROR, 'Parse error', {
    hint: `What was sent is not JSON: ${detail}. Send one JSON text per request, in UTF-8.`,
  });
}
