import { connect as connectSocket, type Socket } from 'node:net';
import { z } from 'zod';
import { CodekeepError, errnoOf, messageOf } from '../base/errors.js';
import { sleep } from '../base/waiting.js';
import { contract, type Input, type MethodName, type Result } from '../contract/index.js';
import {
  ConnectionLostError,
  errorOfReply,
  RpcError,
  UnreachableError,
  versionHint,
} from './client-errors.js';
import type { Frame } from './frame.js';
import { MessageReader } from './framing.js';
import { isRecord } from './protocol.js';

export { CodekeepError } from '../base/errors.js';
export { ConnectionLostError, RpcError, UnreachableError } from './client-errors.js';

export interface ConnectOptions {
  /** Path of the supervisor's socket. */
  socket: string;
  /** Milliseconds until connecting is given up; 5,000 by default. */
  timeoutMs?: number;
}

export interface CallOptions {
  /** Stops waiting (CANCELLED); the supervisor goes on with the call. */
  signal?: AbortSignal;
  /** Milliseconds to wait for the reply (TIMEOUT); without it, as long as it takes. */
  timeoutMs?: number;
}

export type NotificationListener = (method: string, params: unknown) => void;

/**
 * A connection to the supervisor. Every call rejects with CodekeepError for the program's own errors, RpcError for
 * the protocol's, ConnectionLostError where the connection ended first.
 */
export interface Client {
  /** The result is checked against the contract; fields it does not know are kept. */
  call<N extends MethodName>(name: N, params?: Input<N>, options?: CallOptions): Promise<Result<N>>;
  /** Any method with any params, unchecked. */
  callAny(name: string, params?: unknown, options?: CallOptions): Promise<unknown>;
  /** Gives the function that takes the listener away again. */
  onNotification(listener: NotificationListener): () => void;
  /** Ends the connection; what is pending rejects. */
  close(): void;
}

const connectTimeoutMs = 5_000;

/**
 * Results may be long (a page of files, a whole content in base64) and deep (a syntax tree). The supervisor is
 * trusted not to overdo it; this only keeps a mistake from filling the memory.
 */
const replyLimits = { maxMessageBytes: 256 * 1024 * 1024, maxDepth: 100_000 };

/** Between two attempts where the supervisor's queue of new connections is full (EAGAIN). */
const busyRetryMs = 20;

/** @throws UnreachableError where nobody answers on the socket */
export async function connect(options: ConnectOptions): Promise<Client> {
  const { socket: path, timeoutMs = connectTimeoutMs } = options;
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const attempt = await open(path, deadline - performance.now());
    if (typeof attempt !== 'string') return new SocketClient(path, attempt);
    if (attempt !== 'EAGAIN' || performance.now() > deadline) throw new UnreachableError(path, attempt);
    await sleep(busyRetryMs);
  }
}

/** A connected socket, or why there is none (ENOENT, ...). */
function open(path: string, timeoutMs: number): Promise<Socket | string> {
  return new Promise((resolve) => {
    const socket = connectSocket({ path });
    const settle = (attempt: Socket | string): void => {
      clearTimeout(timer);
      socket.off('error', onError);
      if (attempt !== socket) socket.destroy();
      resolve(attempt);
    };
    const onError = (error: Error): void => settle(errnoOf(error) ?? messageOf(error));
    const timer = setTimeout(() => settle('ETIMEDOUT'), timeoutMs);
    socket.once('error', onError);
    socket.once('connect', () => settle(socket));
  });
}

interface Pending {
  resolve: (result: unknown) => void;
  reject: (error: Error) => void;
}

class SocketClient implements Client {
  readonly #path: string;
  readonly #socket: Socket;
  readonly #reader = new MessageReader(replyLimits);
  readonly #pending = new Map<number, Pending>();
  readonly #listeners = new Set<NotificationListener>();
  #lastId = 0;
  /** Why nothing can be called any more. */
  #ended: Error | null = null;

  constructor(path: string, socket: Socket) {
    this.#path = path;
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      for (const frame of this.#reader.push(chunk)) this.#receive(frame);
    });
    socket.on('error', (error) => this.#end(this.#lost(messageOf(error))));
    socket.on('close', () => this.#end(this.#lost('the supervisor closed it')));
  }

  async call<N extends MethodName>(
    name: N,
    params?: Input<N>,
    options: CallOptions = {},
  ): Promise<Result<N>> {
    const result = await this.callAny(name, params, options);
    return checkedResult(name, result);
  }

  callAny(name: string, params?: unknown, options: CallOptions = {}): Promise<unknown> {
    const { signal, timeoutMs } = options;
    return new Promise((resolve, reject) => {
      if (this.#ended !== null) return reject(this.#ended);
      if (signal?.aborted === true) return reject(cancelled(name));
      this.#lastId += 1;
      const id = this.#lastId;
      const stopWaiting = (): void => {
        this.#pending.delete(id);
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
      };
      const fail = (error: Error): void => {
        stopWaiting();
        reject(error);
      };
      const onAbort = (): void => fail(cancelled(name));
      const timer =
        timeoutMs === undefined ? undefined : setTimeout(() => fail(tooLate(name, timeoutMs)), timeoutMs);
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#pending.set(id, {
        resolve: (result) => {
          stopWaiting();
          resolve(result);
        },
        reject: fail,
      });
      this.#socket.write(`${JSON.stringify({ jsonrpc: '2.0', id, method: name, params })}\n`);
    });
  }

  onNotification(listener: NotificationListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#end(this.#lost('this side closed it'));
  }

  #receive(frame: Frame): void {
    if (frame.kind === 'error') {
      this.#end(this.#lost(`what came is no JSON-RPC: ${frame.detail}`));
      return;
    }
    const message = frame.value;
    if (!isRecord(message)) return;
    const { id, method, params } = message;
    if (typeof method === 'string') {
      for (const listener of this.#listeners) listener(method, params);
    } else if (typeof id === 'number') {
      this.#settle(id, message);
    } else if (message['error'] !== undefined) {
      // Not about one call: the two sides have lost track of each other, or the connection was refused.
      this.#end(errorOfReply(message['error']));
    }
  }

  /** A reply that nobody waits for any more is let go. */
  #settle(id: number, reply: Record<string, unknown>): void {
    const pending = this.#pending.get(id);
    if (reply['error'] === undefined) pending?.resolve(reply['result']);
    else pending?.reject(errorOfReply(reply['error']));
  }

  #end(reason: Error): void {
    if (this.#ended !== null) return;
    this.#ended = reason;
    this.#socket.destroy();
    for (const { reject } of this.#pending.values()) reject(reason);
  }

  #lost(why: string): ConnectionLostError {
    return new ConnectionLostError(this.#path, why);
  }
}

/**
 * The result itself and not what zod makes of it, which would lack the fields that a newer supervisor adds.
 * @throws RpcError where it is not what this version's contract says
 */
function checkedResult<N extends MethodName>(name: N, result: unknown): Result<N> {
  if (fitsContract(name, result)) return result;
  const problem = z.safeParse(contract[name].result, result).error?.issues[0];
  const where = problem === undefined ? '' : ` (${problem.path.join('.')}: ${problem.message})`;
  throw new RpcError(-32603, `The result of ${name} is not what the contract says${where}.`, versionHint);
}

function fitsContract<N extends MethodName>(name: N, result: unknown): result is Result<N> {
  return z.safeParse(contract[name].result, result).success;
}

function cancelled(name: string): CodekeepError {
  return new CodekeepError('CANCELLED', `Waiting for ${name} was cancelled.`, 'It may still be carried out.');
}

function tooLate(name: string, timeoutMs: number): CodekeepError {
  return new CodekeepError(
    'TIMEOUT',
    `${name} did not answer within ${timeoutMs} ms.`,
    'It may still be carried out; wait longer, or call health.',
  );
}
