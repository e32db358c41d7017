import { type JSONRPCResponse, JSONRPCServer } from 'json-rpc-2.0';
import type * as z from 'zod';
import { CodekeepError } from '../../base/errors.js';
import { forEachLimited, Slicer } from '../../base/waiting.js';
import type { MethodDefinition } from '../../contract/method.js';
import {
  type AfterReply,
  type CallContext,
  cancelledId,
  type PendingCall,
  type PendingCalls,
} from './calls.js';
import type { RpcLimits } from './limits.js';
import { nearestName } from './nearest.js';
import { readParams } from './params.js';
import {
  errorReply,
  invalidRequest,
  protocolErrors,
  readRequest,
  replyToFailure,
  type WireRequest,
} from '../protocol.js';

/** Methods by wire name; the service's own is `contract`, tests bring smaller ones. */
export type ContractShape = Record<string, MethodDefinition>;

/** One function per method of the contract: params are checked and have their defaults. */
export type Handlers<C extends ContractShape> = {
  [N in keyof C]: (
    params: z.output<C[N]['params']>,
    call: CallContext,
  ) => z.output<C[N]['result']> | Promise<z.output<C[N]['result']>>;
};

/** Told about everything that was thrown and is not a CodekeepError; `where` is a method or a place. */
export type DefectListener = (error: unknown, where: string) => void;

/** So long may one batch of instant calls hold the event loop: half of what health may take. */
const batchSliceMs = 5;

/**
 * Answers JSON-RPC messages. json-rpc-2.0 finds and calls the method; what it gets wrong (batches, the form of
 * requests, errors) is done before and after it, so it only ever sees one well-formed request.
 */
export class Dispatcher<C extends ContractShape> {
  readonly #server: JSONRPCServer<PendingCall>;
  readonly #limits: RpcLimits;
  readonly #onDefect: DefectListener;

  constructor(contract: C, handlers: Handlers<C>, limits: RpcLimits, onDefect: DefectListener) {
    this.#limits = limits;
    this.#onDefect = onDefect;
    // Defects are reported where they are caught, by #bind, with the method's name.
    this.#server = new JSONRPCServer<PendingCall>({ errorListener: () => undefined });
    this.#server.mapErrorToJSONRPCErrorResponse = replyToFailure;
    const names = Object.keys(contract);
    this.#server.handleMethodNotFound = async (request) => replyToUnknownMethod(request, names);
    for (const name in contract) this.#bind(contract, handlers, name);
  }

  /**
   * How many pending requests a message counts as: a batch as many as it runs at once.
   */
  weightOf(message: unknown): number {
    return Array.isArray(message)
      ? Math.max(1, Math.min(message.length, this.#limits.maxBatchConcurrency))
      : 1;
  }

  /**
   * The reply as JSON text, or null where none is due. Never rejects.
   * @param afterReply gets what the calls want done once the reply is on its way
   */
  async answer(message: unknown, calls: PendingCalls, afterReply: AfterReply): Promise<string | null> {
    return Array.isArray(message)
      ? this.#answerBatch(message, calls, afterReply)
      : this.#answerOne(message, calls, afterReply);
  }

  #bind(contract: C, handlers: Handlers<C>, name: Extract<keyof C, string>): void {
    const definition = contract[name];
    if (definition === undefined) return;
    const schema: C[typeof name]['params'] = definition.params;
    const handle = handlers[name];
    this.#server.addMethod(name, async (raw: unknown, call) => {
      try {
        return await handle(readParams(name, schema, raw), call);
      } catch (error) {
        if (error instanceof CodekeepError) throw error;
        // What Node throws where it listens to an aborted signal does not know why it was aborted.
        if (call.over !== null && isAbort(error)) throw call.over;
        this.#onDefect(error, name);
        throw error;
      }
    });
  }

  async #answerOne(message: unknown, calls: PendingCalls, afterReply: AfterReply): Promise<string | null> {
    const unwanted = cancelledId(message);
    if (unwanted !== undefined) {
      if (unwanted !== null) calls.cancel(unwanted);
      return null;
    }
    const read = readRequest(message);
    if ('refusal' in read) return JSON.stringify(read.refusal);
    const { request } = read;
    const call = calls.begin(request.id, afterReply);
    try {
      const reply = await this.#server.receive(request, call);
      return reply === null ? null : this.#textOf(reply, request.method);
    } finally {
      calls.end(call);
    }
  }

  #textOf(reply: JSONRPCResponse, method: string): string {
    try {
      return JSON.stringify(reply);
    } catch (error) {
      // A result that JSON cannot hold (a cycle, a BigInt): still answered.
      this.#onDefect(error, method);
      return JSON.stringify(replyToFailure(reply.id, error));
    }
  }

  /** An array of replies in the order of the requests; null when all were notifications. */
  async #answerBatch(items: unknown[], calls: PendingCalls, afterReply: AfterReply): Promise<string | null> {
    const { maxBatchConcurrency, maxBatchReplyBytes } = this.#limits;
    if (items.length === 0) return JSON.stringify(invalidRequest(null, 'a batch holds at least one request'));
    const replies = items.map((): string | null => null);
    const slicer = new Slicer(undefined, batchSliceMs);
    let replyBytes = 0;
    await forEachLimited(items, maxBatchConcurrency, async (item, index) => {
      await slicer.breathe();
      const reply =
        replyBytes > maxBatchReplyBytes ? replyTooMuch(item) : await this.#answerOne(item, calls, afterReply);
      replies[index] = reply;
      replyBytes += reply === null ? 0 : Buffer.byteLength(reply);
    });
    const due = replies.filter((reply) => reply !== null);
    return due.length === 0 ? null : `[${due.join(',')}]`;
  }
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}

function repliesTooLarge(): CodekeepError {
  return new CodekeepError(
    'LIMIT_EXCEEDED',
    'The replies to this batch are too large.',
    'Send several smaller batches.',
  );
}

/** The item was not run: its reply would not fit any more. */
function replyTooMuch(item: unknown): string | null {
  const read = readRequest(item);
  if ('refusal' in read) return JSON.stringify(read.refusal);
  const { id } = read.request;
  if (id === undefined) return null;
  return JSON.stringify(replyToFailure(id, repliesTooLarge()));
}

async function replyToUnknownMethod(
  request: Pick<WireRequest, 'method' | 'id'>,
  names: readonly string[],
): Promise<ReturnType<typeof errorReply> | null> {
  if (request.id === undefined) return null;
  const nearest = nearestName(request.method, names);
  const hint =
    nearest === null
      ? 'Call rpc.discover for the list of methods.'
      : `Did you mean "${nearest}"? rpc.discover lists all.`;
  return errorReply(request.id, protocolErrors.METHOD_NOT_FOUND, 'Method not found', { hint });
}
