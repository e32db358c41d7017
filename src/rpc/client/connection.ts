import { connect as connectSocket, type Socket } from 'node:net';
import { CodekeepError, errnoOf, messageOf } from '../../base/errors.js';
import { sleep } from '../../base/waiting.js';
import { ConnectionLostError, errorOfReply, UnansweredError, UnreachableError } from './errors.js';
import type { CallOptions, NotificationListener } from './types.js';
import { bounded, cancelled, tooLate } from './waiting.js';
import type { Frame } from '../framing/frame.js';
import { MessageReader } from '../framing/message-reader.js';
import { isRecord } from '../protocol.js';

/**
 * Results may be long (a page of files, a whole content in base64) and deep (a syntax tree). The supervisor is
 * trusted not to overdo it; this only keeps a mistake from filling the memory.
 */
const replyLimits = {
  maxMessageBytes: 256 * 1024 * 1024,
  maxDepth: 100_000,
  maxBatchItems: Number.POSITIVE_INFINITY,
  maxValues: Number.POSITIVE_INFINITY,
};

/** Between two attempts where the supervisor's queue of new connections is full (EAGAIN). */
const busyRetryMs = 20;

/** After so long without a reply (ms) it is looked whether the supervisor answers anybody. */
const patienceMs = 5_000;
/** health answers within 10 ms; so long (ms) also on a machine that swaps. */
const healthMaxMs = 5_000;
/** A second look, since it may be this process that was halted during the first one. */
const looks = 2;

/** @throws UnreachableError where nobody answers on the socket within `timeoutMs` */
export async function dial(path: string, timeoutMs: number): Promise<Socket> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const attempt = await open(path, deadline - performance.now());
    if (typeof attempt !== 'string') return attempt;
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
  reject: (error: unknown) => void;
}

/** One connected socket: requests and their replies, until it ends. */
export class ClientConnection {
  readonly path: string;
  readonly #socket: Socket;
  readonly #reader = new MessageReader(replyLimits);
  readonly #pending = new Map<number, Pending>();
  readonly #notified = new Set<NotificationListener>();
  readonly #onEnd = new Set<(reason: Error) => void>();
  #lastId = 0;
  #isLooking = false;
  #ended: Error | null = null;

  constructor(path: string, socket: Socket) {
    this.path = path;
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      for (const frame of this.#reader.push(chunk)) this.#receive(frame);
    });
    socket.on('error', (error) => this.end(messageOf(error)));
    socket.on('close', () => this.end('the supervisor closed it'));
  }

  /**
   * Without a timeout it may take as long as it takes, while the supervisor answers others.
   * @param onResult runs before anything that came after the reply is looked at; a promise's reaction would not
   */
  request(
    name: string,
    params: unknown,
    options: CallOptions = {},
    onResult?: (result: unknown) => void,
  ): Promise<unknown> {
    if (this.#ended !== null) return Promise.reject(this.#ended);
    this.#lastId += 1;
    const id = this.#lastId;
    const forget = (error: Error): Error => {
      this.#pending.delete(id);
      return error;
    };
    const end = {
      aborted: (): Error => {
        // It was aborted before it was sent where it is not pending.
        if (this.#pending.has(id)) this.notify('$/cancelRequest', { id });
        return forget(cancelled(name));
      },
      late: (ms: number): Error => forget(tooLate(name, ms)),
    };
    const reply = bounded<unknown>(options, end, ({ resolve, reject }) => {
      this.#pending.set(id, {
        resolve: (result) => {
          try {
            onResult?.(result);
            resolve(result);
          } catch (error) {
            reject(error);
          }
        },
        reject,
      });
      this.#write({ jsonrpc: '2.0', id, method: name, params });
    });
    return options.timeoutMs === undefined ? this.whileAnswering(reply) : reply;
  }

  /** Waits for what the supervisor brings about; where that answers nobody any more, the connection ends (UnansweredError). */
  async whileAnswering<T>(outcome: Promise<T>): Promise<T> {
    const timer = setInterval(() => void this.#look(), patienceMs);
    return await outcome.finally(() => clearInterval(timer));
  }

  async #look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    let left = looks;
    while (left > 0 && !(await isAnswering(this.path))) left -= 1;
    this.#isLooking = false;
    if (left === 0) this.end(new UnansweredError(this.path));
  }

  /** Sends a notification; does nothing when the connection has ended. */
  notify(method: string, params: Record<string, unknown>): void {
    if (this.#ended === null) this.#write({ jsonrpc: '2.0', method, params });
  }

  onNotification(listener: NotificationListener): () => void {
    this.#notified.add(listener);
    return () => this.#notified.delete(listener);
  }

  /** Called once; at once where it has ended already. */
  onEnd(listener: (reason: Error) => void): () => void {
    if (this.#ended === null) this.#onEnd.add(listener);
    else listener(this.#ended);
    return () => this.#onEnd.delete(listener);
  }

  /** @param why for people, or the error that the supervisor ended it with */
  end(why: string | Error): void {
    if (this.#ended !== null) return;
    const reason = typeof why === 'string' ? new ConnectionLostError(this.path, why) : why;
    this.#ended = reason;
    this.#socket.destroy();
    for (const { reject } of this.#pending.values()) reject(reason);
    this.#pending.clear();
    for (const listener of this.#onEnd) listener(reason);
  }

  #write(message: Record<string, unknown>): void {
    this.#socket.write(`${JSON.stringify(message)}\n`);
  }

  #receive(frame: Frame): void {
    if (frame.kind === 'error') {
      this.end(`what came is no JSON-RPC: ${frame.detail}`);
      return;
    }
    const message = frame.value;
    if (!isRecord(message)) return;
    const { id, method, params } = message;
    if (typeof method === 'string') {
      for (const listener of this.#notified) listener(method, params);
    } else if (typeof id === 'number') {
      this.#settle(id, message);
    } else if (message['error'] !== undefined) {
      // Not about one call: the two sides have lost track of each other, or the connection was refused.
      this.end(errorOfReply(message['error']));
    }
  }

  /** A reply that nobody waits for any more is let go. */
  #settle(id: number, reply: Record<string, unknown>): void {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    if (reply['error'] === undefined) pending?.resolve(reply['result']);
    else pending?.reject(errorOfReply(reply['error']));
  }
}

/**
 * On a connection of its own, because requests on another one may have to wait for those before them. False only where it
 * is certain: what else goes wrong, such as a refusal for too many clients, comes from somebody who lives.
 */
async function isAnswering(path: string): Promise<boolean> {
  let connection: ClientConnection | null = null;
  try {
    connection = new ClientConnection(path, await dial(path, healthMaxMs));
    await connection.request('health', {}, { timeoutMs: healthMaxMs });
    return true;
  } catch (error) {
    const isLate = error instanceof CodekeepError && error.code === 'TIMEOUT';
    return !isLate && !(error instanceof UnreachableError && error.errno === 'EAGAIN');
  } finally {
    connection?.end('it was for a look only');
  }
}
