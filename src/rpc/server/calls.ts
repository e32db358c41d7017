import { setMaxListeners } from 'node:events';
import { cancelled, CodekeepError } from '../../base/errors.js';
import { isRecord, readRequest, type RequestId } from '../protocol.js';

/** What a handler knows about the call besides its params. */
export interface CallContext {
  /** Aborts when nobody waits for the reply any more: the request was cancelled, or its client is gone. */
  readonly signal: AbortSignal;
  /**
   * Aborts only when the client asked for the end of this request. A client that goes away wants its reply no
   * more, but has not said that the work should stop: a repair goes on then, and ends only by this signal.
   */
  readonly cancelled: AbortSignal;
  /** Aborts when the connection has ended; subscriptions end with it. */
  readonly gone: AbortSignal;
  /** Counts up from 1 and is never used again. */
  readonly connectionId: number;
  /** Sends a notification to this connection; does nothing when it is gone. */
  notify(method: string, params: Record<string, unknown>): void;
  /** Calls `act` when the reply is on its way, that of the whole batch where the request is in one. */
  afterReply(act: () => void): void;
  /**
   * Keeps the connection of a client that has ended its input: it is still to hear something.
   * @returns the function that lets go of it, once
   */
  keepOpen(): () => void;
}

/** LSP's notification for the end of a request; libraries made for LSP send it for their cancellation tokens. */
const cancelMethod = '$/cancelRequest';

/** What calls need of their connection. */
export interface CallSite {
  notify: CallContext['notify'];
  /** Nobody keeps the connection open any more. */
  onLetGo(): void;
}

/** What is to happen when the reply to a message is on its way. */
export type AfterReply = (() => void)[];

/** The calls of one connection that are not answered yet. */
export class PendingCalls {
  readonly connectionId: number;
  readonly #site: CallSite;
  readonly #gone = new AbortController();
  readonly #pending = new Set<PendingCall>();
  #keepers = 0;

  constructor(connectionId: number, site: CallSite) {
    this.connectionId = connectionId;
    this.#site = site;
    // Every subscription may listen, and every pending call.
    setMaxListeners(0, this.#gone.signal);
  }

  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** Somebody wants to tell this client something, although it may have ended its input. */
  get isKept(): boolean {
    return this.#keepers > 0;
  }

  notify(method: string, params: Record<string, unknown>): void {
    this.#site.notify(method, params);
  }

  keepOpen(): () => void {
    let isKeeping = true;
    this.#keepers += 1;
    return () => {
      if (!isKeeping) return;
      isKeeping = false;
      this.#keepers -= 1;
      if (this.#keepers === 0) this.#site.onLetGo();
    };
  }

  /** @param id null and undefined (a notification) cannot be cancelled: nobody could say which is meant */
  begin(id: RequestId | undefined, afterReply: AfterReply): PendingCall {
    const call = new PendingCall(this, id ?? null, afterReply);
    this.#pending.add(call);
    return call;
  }

  end(call: PendingCall): void {
    this.#pending.delete(call);
  }

  /**
   * Asks for the end of the calls of an id. Each is answered once its handler has ended: with CANCELLED, or with
   * its result where it was too late or is not to be left half done. An id that is not pending is passed over:
   * the reply and the cancellation have met on the way.
   */
  cancel(id: RequestId): void {
    for (const call of this.#pending) if (call.id === id) call.cancel();
  }

  /** The client is gone. */
  close(): void {
    this.#gone.abort(clientGone());
    for (const call of this.#pending) call.abandon();
  }
}

/** One call. Its signals are made when they are first asked for: most calls end before anybody does. */
export class PendingCall implements CallContext {
  readonly id: RequestId;
  readonly #calls: PendingCalls;
  readonly #afterReply: AfterReply;
  readonly #end: LazySignal = new LazySignal();
  readonly #cancel: LazySignal = new LazySignal();

  constructor(calls: PendingCalls, id: RequestId, afterReply: AfterReply) {
    this.#calls = calls;
    this.id = id;
    this.#afterReply = afterReply;
  }

  get signal(): AbortSignal {
    return this.#end.signal;
  }

  get cancelled(): AbortSignal {
    return this.#cancel.signal;
  }

  get gone(): AbortSignal {
    return this.#calls.gone;
  }

  get connectionId(): number {
    return this.#calls.connectionId;
  }

  /** Why nobody waits for the reply any more; null while somebody does. */
  get over(): CodekeepError | null {
    return this.#end.reason;
  }

  notify(method: string, params: Record<string, unknown>): void {
    this.#calls.notify(method, params);
  }

  afterReply(act: () => void): void {
    this.#afterReply.push(act);
  }

  keepOpen(): () => void {
    return this.#calls.keepOpen();
  }

  cancel(): void {
    const reason = cancelled('The request');
    this.#cancel.abort(reason);
    this.#end.abort(reason);
  }

  abandon(): void {
    this.#end.abort(clientGone());
  }
}

class LazySignal {
  reason: CodekeepError | null = null;
  #controller: AbortController | null = null;

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.reason !== null) this.#controller.abort(this.reason);
    return this.#controller.signal;
  }

  abort(reason: CodekeepError): void {
    this.reason ??= reason;
    this.#controller?.abort(this.reason);
  }
}

/** The id that a `$/cancelRequest` names, null where it names none; undefined for any other message. */
export function cancelledId(message: unknown): RequestId | undefined {
  if (!isRecord(message) || message['method'] !== cancelMethod) return undefined;
  const read = readRequest(message);
  if ('refusal' in read || read.request.id !== undefined) return undefined;
  const { params } = read.request;
  const wanted: unknown = isRecord(params) ? params['id'] : params?.[0];
  return typeof wanted === 'string' || typeof wanted === 'number' ? wanted : null;
}

export function isRequestOf(message: unknown, id: RequestId): boolean {
  return isRecord(message) && message['id'] === id;
}

function clientGone(): CodekeepError {
  return new CodekeepError('CANCELLED', 'The client is gone.', 'Connect and call again.');
}
