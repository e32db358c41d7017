import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { CodekeepError } from '../../base/errors.js';
import { groupId } from '../../base/group-id.js';
import { sleep, Slicer } from '../../base/waiting.js';
import { ByteBudget } from './byte-budget.js';
import { Connection, pieceBytes, type Shared } from './connection.js';
import { type ContractShape, type DefectListener, Dispatcher, type Handlers } from './dispatch.js';
import { defaultLimits, type RpcLimits } from './limits.js';
import { replyToFailure } from '../protocol.js';
import { listenAt, removeSocketFile, type SocketFile, socketFileAt } from './socket-file.js';
import { RunQueue } from './run-queue.js';
import { watchSocketFile } from './socket-watch.js';

/** How often connections that are not being read are asked whether their clients still exist. */
const goneProbeEveryMs = 1_000;
const probeSliceMs = 1;
/** How long, in milliseconds, a refused client has to read why. */
const refusalMaxMs = 1_000;

export interface RpcServerOptions<C extends ContractShape> {
  /** The methods to serve: `contract` of src/contract, or a smaller one in tests. */
  contract: C;
  handlers: Handlers<C>;
  /** Where listen() puts the socket; absolute, at most 107 bytes. */
  socketPath: string;
  /** The name of a group whose members may use the socket that listen() makes. */
  socketGroup?: string | undefined;
  /** Told about every error that is not a CodekeepError; `where` is the method, or a place in rpc. */
  onDefect: DefectListener;
  /** Told when the socket file is not ours any more, and null when it is again. */
  onSocketProblem?: (problem: string | null) => void;
  limits?: Partial<RpcLimits>;
}

/** A JSON-RPC server on one Unix socket. Call one of listen and listenFd, once. */
export interface RpcServer {
  /** @throws as listenAt and groupId: TARGET_FILE_EXISTS where the path is taken, INVALID_PARAMS for the group */
  listen(): Promise<void>;
  /** Serves a listening socket that this process was given, as by systemd (3); its file stays at close. */
  listenFd(fd: number): Promise<void>;
  /** Stops accepting and reading, lets pending replies go out for at most closeGraceMs, closes everything. */
  close(): Promise<void>;
  /** Clients that are connected now. */
  connectionCount(): number;
}

export function createRpcServer<C extends ContractShape>(options: RpcServerOptions<C>): RpcServer {
  return new SocketServer(options);
}

class SocketServer<C extends ContractShape> implements RpcServer {
  readonly #options: RpcServerOptions<C>;
  readonly #limits: RpcLimits;
  readonly #shared: Shared;
  /** More than one only where the socket's name was lost: the one before serves until its clients are gone. */
  readonly #servers = new Set<Server>();
  readonly #probing: NodeJS.Timeout;
  readonly #connections = new Set<Connection>();
  readonly #refused = new Set<Socket>();
  #lastId = 0;
  #stopWatching: () => Promise<void> = async () => undefined;
  #file: SocketFile | null = null;
  #closing: Promise<void> | null = null;

  constructor(options: RpcServerOptions<C>) {
    this.#options = options;
    this.#limits = { ...defaultLimits, ...options.limits };
    const { contract, handlers, onDefect } = options;
    this.#shared = {
      answerer: new Dispatcher(contract, handlers, this.#limits, onDefect),
      limits: this.#limits,
      queue: new RunQueue(),
      budget: new ByteBudget(this.#limits.maxHeldBytes),
      onDefect,
    };
    this.#probing = setInterval(() => void this.#probe(), goneProbeEveryMs).unref();
  }

  async listen(): Promise<void> {
    const { socketGroup } = this.#options;
    const group = socketGroup === undefined ? null : await groupId(socketGroup);
    this.#watch(await this.#listenAt(group), () => this.#listenAgain(group));
  }

  async listenFd(fd: number): Promise<void> {
    const server = this.#newServer();
    server.listen({ fd });
    await once(server, 'listening');
    // Its name is systemd's: whether it is there can only be told.
    const file = await socketFileAt(this.#options.socketPath);
    if (file !== null) this.#watch(file, null);
  }

  async #listenAt(group: number | null): Promise<SocketFile> {
    const server = this.#newServer();
    try {
      this.#file = await listenAt(server, this.#options.socketPath, group);
      return this.#file;
    } catch (error) {
      this.#servers.delete(server);
      throw error;
    }
  }

  /** The servers before let go of a socket that nobody can find any more; their connections live on. */
  async #listenAgain(group: number | null): Promise<SocketFile> {
    const earlier = [...this.#servers];
    const file = await this.#listenAt(group);
    for (const server of earlier) server.close();
    return file;
  }

  #newServer(): Server {
    // Without allowHalfOpen Node closes our side at the client's end of input, and its replies are lost. With a low
    // mark it reads on only when we do, so that the clients' input waits with them and not in our memory.
    const readLate = { allowHalfOpen: true, highWaterMark: pieceBytes };
    const server = createServer(readLate, (socket) => this.#accept(socket));
    // Node closes what is beyond at once, also where thousands come in one turn.
    server.maxConnections = this.#limits.maxSockets;
    // A failing accept (no file descriptors left) costs that client its connection and nobody else anything.
    server.on('error', (error) => {
      if (server.listening) this.#options.onDefect(error, 'accept');
    });
    server.on('close', () => this.#servers.delete(server));
    this.#servers.add(server);
    return server;
  }

  connectionCount(): number {
    return this.#connections.size;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#stopWatching();
    const closed = Promise.all([...this.#servers].map(closeServer));
    if (this.#file !== null) await removeSocketFile(this.#file);
    for (const connection of this.#connections) connection.finish();
    const isClosed = new AbortController();
    const grace = sleep(this.#limits.closeGraceMs, isClosed.signal);
    await Promise.race([closed, grace]);
    isClosed.abort();
    clearInterval(this.#probing);
    for (const connection of this.#connections) connection.destroy();
    for (const socket of this.#refused) socket.destroy();
    await closed;
  }

  #watch(file: SocketFile, heal: (() => Promise<SocketFile>) | null): void {
    this.#stopWatching = watchSocketFile(file, {
      everyMs: this.#limits.socketCheckEveryMs,
      heal,
      onChange: (problem) => this.#options.onSocketProblem?.(problem),
    });
  }

  #accept(socket: Socket): void {
    if (this.#connections.size >= this.#limits.maxConnections) {
      this.#refuse(socket);
      return;
    }
    this.#lastId += 1;
    const connection = new Connection(this.#lastId, socket, this.#shared);
    this.#connections.add(connection);
    socket.on('close', () => this.#connections.delete(connection));
  }

  /** In slices: an empty write takes some 20 µs, and there may be a thousand of them. */
  async #probe(): Promise<void> {
    const slicer = new Slicer(undefined, probeSliceMs);
    for (const connection of this.#connections) {
      connection.probe();
      await slicer.breathe();
    }
  }

  #refuse(socket: Socket): void {
    const error = new CodekeepError(
      'LIMIT_EXCEEDED',
      `There are ${this.#limits.maxConnections} connections already.`,
      'Close one, or use one connection for several calls.',
    );
    const isCrowded = this.#refused.size >= this.#limits.maxRefused;
    this.#refused.add(socket);
    const timer = setTimeout(() => socket.destroy(), refusalMaxMs);
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clearTimeout(timer);
      this.#refused.delete(socket);
    });
    socket.end(`${JSON.stringify(replyToFailure(null, error))}\n`, () => {
      if (isCrowded) socket.destroy();
    });
    // Unread requests would turn the client's end of input into a reset.
    socket.resume();
  }
}

/** Resolves when it has let go of its socket and its last connection has ended. */
async function closeServer(server: Server): Promise<void> {
  const closed = once(server, 'close');
  // It may have been closed before, and still have connections: its event is still to come then.
  server.close();
  await closed;
}
