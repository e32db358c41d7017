import { setMaxListeners } from 'node:events';
import { CodekeepError } from '../../base/errors.js';
import { isRecord, type RequestId, type WireRequest } from '../protocol.js';

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
}

/** LSP's notification for the end of a request; libraries made for LSP send it for their cancellation tokens. */
const cancelMethod = '$/cancelRequest';

/** What the calls of a connection send notifications with. */
type Notify = CallContext['notify'];

/** The calls of one connection that are not answered yet. */
export class PendingCalls {
  readonly connectionId: number;
  readonly notify: Notify;
  readonly #gone = new AbortController();
  readonly #pending = new Set<PendingCall>();

  constructor(connectionId: number, notify: Notify) {
    this.connectionId = connectionId;
    this.notify = notify;
    // Every subscription may listen, and every pending call.
    setMaxListeners(0, this.#gone.signal);
  }

  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** @param id null and undefined (a notification) cannot be cancelled: nobody could say which is meant */
  begin(id: RequestId | undefined): PendingCall {
    const call = new PendingCall(this, id ?? null);
    this.#pending.add(call);
    return call;
  }

  end(call: PendingCall): void {
    this.#pending.delete(call);
  }

  /**
   * Carries out `$/cancelRequest`; false for any other message. The request is answered once its handler has
   * ended: with CANCELLED, or with its result where it was too late or is not to be left half done. An id that
   * is not pending is passed over: the reply and the cancellation have met on the way.
   */
  takeCancellation({ method, id, params }: WireRequest): boolean {
    if (method !== cancelMethod || id !== undefined) return false;
    const wanted = isRecord(params) ? params['id'] : params?.[0];
    if (wanted === null || wanted === undefined) return true;
    for (const call of this.#pending) if (call.id === wanted) call.cancel();
    return true;
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
  readonly #end: LazySignal = new LazySignal();
  readonly #cancel: LazySignal = new LazySignal();

  constructor(calls: PendingCalls, id: RequestId) {
    this.#calls = calls;
    this.id = id;
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

  cancel(): void {
    const reason = cancelled();
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

function cancelled(): CodekeepError {
  return new CodekeepError(
    'CANCELLED',
    'The request was cancelled.',
    'What was done so far is complete; call again for the rest.',
  );
}

function clientGone(): CodekeepError {
  return new CodekeepError('CANCELLED', 'The client is gone.', 'Connect and call again.');
}
