import {
  isJSONRPCErrorResponse,
  isJSONRPCNotification,
  isJSONRPCRequest,
  isJSONRPCResultResponse,
  type JSONRPCMessage,
  type RequestId,
} from '@modelcontextprotocol/server';
import { StdioServerTransport } from '@modelcontextprotocol/server/stdio';

/** A request that is answered only when the connection ends. */
const endless = 'subscriptions/listen';

/**
 * stdin and stdout, with an end in order: at the end of input what is pending is answered first, as over the socket.
 * The SDK's own transport drops it.
 */
export class PatientTransport extends StdioServerTransport {
  /** Resolves at the end, whichever side came to it. */
  readonly closed: Promise<void>;
  readonly #unanswered = new Set<RequestId>();
  #isClosed = false;
  #isBroken = false;
  #onAnswered: () => void = () => undefined;
  #onClosed: () => void = () => undefined;

  constructor() {
    super();
    this.closed = new Promise((resolve) => {
      this.#onClosed = resolve;
    });
    process.stdout.on('error', () => {
      this.#isBroken = true;
      this.#onAnswered();
    });
  }

  /** True once nobody can be answered any more. What is aborted then was not cancelled by anybody. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  override async start(): Promise<void> {
    const deliver = this.onmessage;
    this.onmessage = (message) => {
      this.#noteReceived(message);
      deliver?.(message);
    };
    await super.start();
  }

  override async send(message: JSONRPCMessage): Promise<void> {
    await super.send(message);
    if (isJSONRPCResultResponse(message) || isJSONRPCErrorResponse(message)) this.#settle(message.id);
  }

  /** The SDK calls it at the end of input, and where stdout is broken. */
  override async close(): Promise<void> {
    if (!this.#isBroken && this.#unanswered.size > 0)
      await new Promise<void>((resolve) => {
        this.#onAnswered = resolve;
      });
    this.#isClosed = true;
    await super.close();
    this.#onClosed();
  }

  #noteReceived(message: JSONRPCMessage): void {
    if (isJSONRPCRequest(message) && message.method !== endless) this.#unanswered.add(message.id);
    // What was cancelled is not answered.
    if (isJSONRPCNotification(message) && message.method === 'notifications/cancelled')
      this.#settle(message.params?.['requestId']);
  }

  #settle(id: unknown): void {
    if (typeof id === 'string' || typeof id === 'number') this.#unanswered.delete(id);
    if (this.#unanswered.size === 0) this.#onAnswered();
  }
}
