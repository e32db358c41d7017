import type { EventOf, Progress, Topic } from '../../contract/events.js';
import type { Input, MethodName, Result } from '../../contract/index.js';

export interface ConnectOptions {
  /** Path of the supervisor's socket. */
  socket: string;
  /** Milliseconds until connecting is given up; 5,000 by default. */
  timeoutMs?: number;
  /**
   * Connects again by itself whenever the connection is lost, until `close`. Calls that were pending reject with
   * ConnectionLostError and are never repeated; later ones wait for the connection. The first connection has to
   * succeed, as without this.
   */
  reconnect?: boolean;
  /** With `reconnect`: the connection is there again. Events between were missed, so read the state anew. */
  onReconnect?: () => void;
}

export interface CallOptions {
  /** Cancels the call: it rejects with CANCELLED at once, and the supervisor stops it at its next safe point. */
  signal?: AbortSignal;
  /** Milliseconds to wait for the reply (TIMEOUT); without it, as long as it takes. The call itself goes on. */
  timeoutMs?: number;
}

/** How far a long call is. Before the supervisor has counted, `done` and `total` are 0. */
export interface CallProgress extends Progress {
  /** For cancel_job, by which a call ends like by its signal, but is still waited for. */
  job_id: string;
}

export interface LongCallOptions extends CallOptions {
  /** Hears of each step; passed over where the params have `wait: false`. */
  onProgress?: (progress: CallProgress) => void;
}

/** Methods that take `wait`, because they can take minutes. */
export type LongMethod = {
  [N in MethodName]: 'wait' extends keyof Input<N> ? N : never;
}[MethodName];

export type NotificationListener = (method: string, params: unknown) => void;

export interface Subscription {
  /** Nothing reaches the listener from now on; resolves when the supervisor knows. */
  end(): Promise<void>;
}

/**
 * A connection to the supervisor. Every call rejects with CodekeepError for the program's own errors, RpcError for
 * the protocol's, ConnectionLostError where the connection ended first.
 */
export interface Client {
  /** The result is checked against the contract; fields it does not know are kept. */
  call<N extends LongMethod>(name: N, params?: Input<N>, options?: LongCallOptions): Promise<Result<N>>;
  call<N extends MethodName>(name: N, params?: Input<N>, options?: CallOptions): Promise<Result<N>>;
  /** Any method with any params, unchecked. */
  callAny(name: string, params?: unknown, options?: CallOptions): Promise<unknown>;
  /** Events of these topics, of types that this version knows. With `reconnect` it is made again by itself. */
  subscribe<T extends Topic>(
    topics: readonly T[],
    listener: (event: EventOf<T>) => void,
    options?: CallOptions,
  ): Promise<Subscription>;
  /** Gives the function that takes the listener away again. */
  onNotification(listener: NotificationListener): () => void;
  /** Resolves with why, when nothing can be called any more: the connection is lost, or `close` was called. */
  readonly closed: Promise<Error>;
  /** Ends the connection; what is pending rejects. */
  close(): void;
}
