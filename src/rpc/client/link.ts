import { sleep } from '../../base/waiting.js';
import { ClientConnection, dial } from './connection.js';
import { ConnectionLostError, UnreachableError } from './errors.js';
import type { CallOptions, ConnectOptions } from './types.js';
import { bounded, cancelled, notSent } from './waiting.js';

const connectTimeoutMs = 5_000;
/** The first pause before connecting again: a restart takes about half a second. */
const reconnectMinMs = 50;
/** The longest pause: what a person who has just started the daemon waits without wondering. */
const reconnectMaxMs = 2_000;

interface Waiter {
  resolve: (connection: ClientConnection) => void;
  reject: (error: unknown) => void;
}

/** The connection of a client: one for its life, or with `reconnect` one after the other. */
export class Link {
  /** Resolves with the reason, once there will be no connection any more. */
  readonly closed: Promise<Error>;
  readonly #options: ConnectOptions;
  readonly #onConnection: (connection: ClientConnection) => void;
  readonly #waiters = new Set<Waiter>();
  readonly #closing = new AbortController();
  #current: ClientConnection | null = null;
  #ended: Error | null = null;
  #pauseMs = reconnectMinMs;
  #resolveClosed: (reason: Error) => void = () => undefined;

  private constructor(options: ConnectOptions, onConnection: (connection: ClientConnection) => void) {
    this.#options = options;
    this.#onConnection = onConnection;
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
  }

  /**
   * @param onConnection hears of each connection before anybody can call on it
   * @throws UnreachableError where nobody answers on the socket
   */
  static async open(
    options: ConnectOptions,
    onConnection: (connection: ClientConnection) => void,
  ): Promise<Link> {
    const link = new Link(options, onConnection);
    const socket = await dial(options.socket, options.timeoutMs ?? connectTimeoutMs);
    link.#use(new ClientConnection(options.socket, socket));
    return link;
  }

  /** The connection to call on; null while there is none, and after the end. */
  get current(): ClientConnection | null {
    return this.#current;
  }

  /**
   * Waits for the next connection.
   * @param name of the method that waits, for the errors
   * @throws CodekeepError CANCELLED or TIMEOUT by the caller's options; why the link has ended
   */
  async next(name: string, options: CallOptions): Promise<ClientConnection> {
    if (this.#current !== null) return this.#current;
    if (this.#ended !== null) throw this.#ended;
    let waiter: Waiter | null = null;
    const forget = (error: Error): Error => {
      if (waiter !== null) this.#waiters.delete(waiter);
      return error;
    };
    const end = {
      aborted: (): Error => forget(cancelled(name)),
      late: (ms: number): Error => forget(notSent(name, ms)),
    };
    return await bounded(options, end, (wait) => {
      waiter = wait;
      this.#waiters.add(wait);
    });
  }

  close(): void {
    this.#closing.abort();
    const reason = new ConnectionLostError(this.#options.socket, 'this side closed it');
    if (this.#current === null) this.#end(reason);
    else this.#current.end(reason);
  }

  #use(connection: ClientConnection): void {
    const since = performance.now();
    // Whatever it sends now goes out before any call does.
    this.#onConnection(connection);
    this.#current = connection;
    for (const { resolve } of this.#waiters) resolve(connection);
    this.#waiters.clear();
    connection.onEnd((reason) => {
      this.#current = null;
      const isWanted = this.#options.reconnect === true && !this.#closing.signal.aborted;
      if (!isWanted) return this.#end(reason);
      // One that is refused again and again does not count as connected.
      if (performance.now() - since > reconnectMaxMs) this.#pauseMs = reconnectMinMs;
      void this.#connectAgain();
    });
  }

  async #connectAgain(): Promise<void> {
    const { signal } = this.#closing;
    for (;;) {
      await sleep(this.#pauseMs, signal);
      if (signal.aborted) return;
      this.#pauseMs = Math.min(this.#pauseMs * 2, reconnectMaxMs);
      const connection = await this.#attempt();
      if (connection === null) continue;
      if (signal.aborted) return connection.end('this side closed it');
      this.#use(connection);
      this.#options.onReconnect?.();
      return;
    }
  }

  async #attempt(): Promise<ClientConnection | null> {
    const { socket: path } = this.#options;
    try {
      return new ClientConnection(path, await dial(path, connectTimeoutMs));
    } catch (error) {
      if (error instanceof UnreachableError) return null;
      throw error;
    }
  }

  #end(reason: Error): void {
    if (this.#ended !== null) return;
    this.#ended = reason;
    for (const { reject } of this.#waiters) reject(reason);
    this.#waiters.clear();
    this.#resolveClosed(reason);
  }
}
