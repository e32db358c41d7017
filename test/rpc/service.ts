import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import * as z from 'zod';
import { CodekeepError } from '#src/base/errors.js';
import { contract } from '#src/contract/index.js';
import { defineMethod } from '#src/contract/method.js';
import type { CallContext } from '#src/rpc/server/calls.js';
import type { Handlers } from '#src/rpc/server/dispatch.js';
import type { RpcLimits } from '#src/rpc/server/limits.js';
import { createRpcServer, type RpcServer } from '#src/rpc/server/server.js';

const number = z.number();
const nothing = z.strictObject({});

function method<P extends z.ZodObject, R extends z.ZodType>(name: string, params: P, result: R) {
  return defineMethod({ owner: 'supervisor', summary: `Test ${name}.`, params, result });
}

/** The methods of the specification's examples, and some that misbehave. */
export const testContract = {
  health: contract.health,
  list_jobs: contract.list_jobs,
  subtract: method('subtract', z.strictObject({ minuend: number, subtrahend: number }), number),
  sum: method('sum', z.strictObject({ a: number, b: number, c: number }), number),
  update: method(
    'update',
    z.strictObject({ a: number, b: number, c: number, d: number, e: number }),
    z.null(),
  ),
  notify_hello: method('notify_hello', z.strictObject({ value: number }), z.null()),
  notify_sum: method('notify_sum', z.strictObject({ a: number, b: number, c: number }), z.null()),
  get_data: method('get_data', nothing, z.array(z.union([z.string(), number]))),
  echo: method(
    'echo',
    z.strictObject({ text: z.string(), prefix: z.string().optional(), times: z.int().min(1).default(1) }),
    z.string(),
  ),
  fill: method('fill', z.strictObject({ bytes: z.int() }), z.string()),
  gate: method('gate', nothing, z.string()),
  hold: method('hold', nothing, z.null()),
  announce: method('announce', nothing, z.null()),
  flood: method('flood', nothing, z.null()),
  refuse: method('refuse', nothing, z.null()),
  break: method('break', nothing, z.null()),
  cycle: method('cycle', nothing, z.unknown()),
};
export type TestContract = typeof testContract;

/** A promise with its levers, for handlers that wait until the test lets them go. */
export class Gate {
  readonly opened: Promise<void>;
  open: () => void = () => undefined;
  constructor() {
    this.opened = new Promise((resolve) => {
      this.open = resolve;
    });
  }
}

export interface Service {
  socket: string;
  socketGroup?: string | undefined;
  server: RpcServer;
  /** Methods of the calls that were begun, in order. */
  calls: string[];
  /** What onDefect was told: [error, where]. */
  defects: [unknown, string][];
  /** What was told about the socket's name. */
  problems: (string | null)[];
  gate: Gate;
  /** Opens when a call of `hold` has begun, and when its signal has aborted. */
  held: Gate;
  aborted: Gate;
}

const health: z.output<typeof contract.health.result> = {
  status: 'ok',
  version: '0',
  pid: 1,
  uptime_seconds: 0,
  workers: {},
  repair: null,
  problems: [],
};

function handlersFor(service: Omit<Service, 'server'>): Handlers<TestContract> {
  const { calls, gate, held, aborted } = service;
  const log = (name: string): null => {
    calls.push(name);
    return null;
  };
  return {
    health: () => health,
    list_jobs: () => ({ jobs: [] }),
    subtract: ({ minuend, subtrahend }) => minuend - subtrahend,
    sum: ({ a, b, c }) => a + b + c,
    update: () => log('update'),
    notify_hello: () => log('notify_hello'),
    notify_sum: () => log('notify_sum'),
    get_data: () => ['hello', 5],
    echo: ({ text, prefix = '', times }) => `${prefix}${text.repeat(times)}`,
    fill: ({ bytes }) => 'x'.repeat(bytes),
    gate: async () => {
      log('gate');
      await gate.opened;
      return 'opened';
    },
    hold: async (_params, call) => {
      held.open();
      await Promise.race([once(call.signal, 'abort'), gate.opened]);
      if (call.signal.aborted) log(call.cancelled.aborted ? 'cancelled' : 'gone');
      aborted.open();
      call.signal.throwIfAborted();
      return null;
    },
    announce: (_params, call: CallContext) => {
      call.notify('event', { topic: 'job', connection: call.connectionId });
      return null;
    },
    flood: async (_params, call) => {
      while (!call.signal.aborted) {
        call.notify('event', { text: 'x'.repeat(100_000) });
        await new Promise((resolve) => setImmediate(resolve));
      }
      aborted.open();
      return null;
    },
    refuse: () => {
      throw new CodekeepError('FILE_NOT_FOUND', 'No file a.ts.', 'Give another path.', { path: 'a.ts' });
    },
    break: () => {
      throw new TypeError('secret internals');
    },
    cycle: () => {
      const ring: unknown[] = [];
      ring.push(ring);
      return ring;
    },
  };
}

export async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'codekeep-rpc-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A server in a folder of its own; closed and removed with the test. */
export async function startService(t: TestContext, limits: Partial<RpcLimits> = {}): Promise<Service> {
  const base = {
    socket: join(await temporaryFolder(t), 'run', 'test.sock'),
    calls: [],
    defects: [],
    problems: [],
    gate: new Gate(),
    held: new Gate(),
    aborted: new Gate(),
  };
  const server = serverFor(base, limits);
  await server.listen();
  t.after(() => {
    base.gate.open();
    return server.close();
  });
  return { ...base, server };
}

export function serverFor(service: Omit<Service, 'server'>, limits: Partial<RpcLimits> = {}): RpcServer {
  return createRpcServer({
    contract: testContract,
    handlers: handlersFor(service),
    socketPath: service.socket,
    socketGroup: service.socketGroup,
    onDefect: (error, where) => service.defects.push([error, where]),
    onSocketProblem: (problem) => service.problems.push(problem),
    limits,
  });
}

/** A raw client: what it received so far, and a way to wait for more. */
export class RawClient {
  readonly socket: Socket;
  received = '';
  readonly #closed: Promise<void>;

  constructor(path: string) {
    this.socket = connect({ path, allowHalfOpen: true });
    this.socket.setEncoding('utf8');
    this.socket.on('data', (text: string) => {
      this.received += text;
    });
    this.socket.on('error', () => undefined);
    this.socket.on('end', () => this.socket.end());
    this.#closed = new Promise((resolve) => this.socket.on('close', () => resolve()));
  }

  send(text: string | Buffer): void {
    this.socket.write(text);
  }

  /** The replies received so far. */
  get replies(): unknown[] {
    return parseLines(this.received);
  }

  /** Waits until `count` whole lines have come; the test's own timeout bounds it. */
  async lines(count: number): Promise<unknown[]> {
    while (this.received.split('\n').length <= count) await once(this.socket, 'data');
    return this.replies;
  }

  /** Waits until the server has closed the connection. */
  async closed(): Promise<unknown[]> {
    await this.#closed;
    return this.replies;
  }
}

export function parseLines(text: string): unknown[] {
  const lines = text.split('\n').filter((line) => line !== '');
  return lines.map((line): unknown => JSON.parse(line));
}

/** Sends `input` in the given pieces, ends its side and gives everything that was answered. */
export async function exchange(path: string, ...pieces: (string | Buffer)[]): Promise<unknown[]> {
  return parseLines(await exchangeText(path, ...pieces));
}

export async function exchangeText(path: string, ...pieces: (string | Buffer)[]): Promise<string> {
  const client = new RawClient(path);
  for (const piece of pieces) client.send(piece);
  client.socket.end();
  await once(client.socket, 'close');
  return client.received;
}

/** A request as JSON text. */
export function request(id: unknown, name: string, params?: unknown): string {
  return JSON.stringify({ jsonrpc: '2.0', id, method: name, params });
}

const replySchema = z.looseObject({
  id: z.union([z.string(), z.number(), z.null()]),
  result: z.unknown().optional(),
  error: z
    .looseObject({ code: z.number(), message: z.string(), data: z.looseObject({ hint: z.string().min(1) }) })
    .optional(),
});
export type CheckedReply = z.infer<typeof replySchema>;

/** A reply whose form is right; where it is an error, it has a hint. */
export function checkedReply(value: unknown): CheckedReply {
  return replySchema.parse(value);
}

/** `[id, error code]` of an error reply, `[id, 'ok']` of a result: what most tests compare. */
export function outcome(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(outcome);
  const { id, error } = checkedReply(value);
  return [id, error === undefined ? 'ok' : error.code];
}
