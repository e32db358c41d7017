import type { EventOf, ServiceEvent, Topic } from '../../contract/events.js';
import type { Input, MethodName, Result } from '../../contract/index.js';
import { checkedResult } from './check.js';
import { Link } from './link.js';
import { callWithProgress } from './progress.js';
import { ClientSubscriptions } from './subscriptions.js';
import type {
  CallOptions,
  Client,
  ConnectOptions,
  LongCallOptions,
  NotificationListener,
  Subscription,
} from './types.js';
import { afterMs } from './waiting.js';
import { isRecord } from '../protocol.js';

/** The package's `codekeep/client`: the whole of what a program needs to talk to the supervisor. */
export { CodekeepError } from '../../base/errors.js';
export type { EventOf, ServiceEvent, Topic } from '../../contract/events.js';
export type { Input, MethodName, Result } from '../../contract/index.js';
export { ConnectionLostError, RpcError, UnansweredError, UnreachableError } from './errors.js';
export type * from './types.js';

/** @throws UnreachableError where nobody answers on the socket */
export async function connect(options: ConnectOptions): Promise<Client> {
  const subscriptions = new ClientSubscriptions();
  const listeners = new Set<NotificationListener>();
  const link = await Link.open(options, (connection) => {
    subscriptions.renew(connection);
    connection.onNotification((method, params) => {
      for (const listener of listeners) listener(method, params);
    });
  });
  return new SocketClient(link, subscriptions, listeners);
}

class SocketClient implements Client {
  readonly closed: Promise<Error>;
  readonly #link: Link;
  readonly #subscriptions: ClientSubscriptions;
  readonly #listeners: Set<NotificationListener>;

  constructor(link: Link, subscriptions: ClientSubscriptions, listeners: Set<NotificationListener>) {
    this.#link = link;
    this.#subscriptions = subscriptions;
    this.#listeners = listeners;
    this.closed = link.closed;
  }

  async call<N extends MethodName>(
    name: N,
    params?: Input<N>,
    options: LongCallOptions = {},
  ): Promise<Result<N>> {
    const given: unknown = params ?? {};
    const isFollowed = options.onProgress !== undefined && isRecord(given) && given['wait'] !== false;
    const result = isFollowed
      ? await this.#callLong(name, given, options)
      : await this.callAny(name, params, options);
    return checkedResult(name, result);
  }

  async callAny(name: string, params?: unknown, options: CallOptions = {}): Promise<unknown> {
    const { current } = this.#link;
    if (current !== null) return await current.request(name, params, options);
    const startedAt = performance.now();
    const connection = await this.#link.next(name, options);
    return await connection.request(name, params, afterMs(options, performance.now() - startedAt));
  }

  async subscribe<T extends Topic>(
    topics: readonly T[],
    listener: (event: EventOf<T>) => void,
    options: CallOptions = {},
  ): Promise<Subscription> {
    const startedAt = performance.now();
    const connection = await this.#link.next('subscribe', options);
    const isWanted = (event: ServiceEvent): event is EventOf<T> =>
      topics.some((topic) => topic === event.topic);
    return await this.#subscriptions.begin(
      connection,
      topics,
      (event) => {
        if (isWanted(event)) listener(event);
      },
      afterMs(options, performance.now() - startedAt),
    );
  }

  onNotification(listener: NotificationListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#link.close();
  }

  async #callLong(name: string, params: Record<string, unknown>, options: LongCallOptions): Promise<unknown> {
    const startedAt = performance.now();
    const connection = await this.#link.next(name, options);
    const rest = afterMs(options, performance.now() - startedAt);
    return await callWithProgress(connection, name, params, { ...options, ...rest });
  }
}
