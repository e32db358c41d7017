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

/** More than any request of an agent needs. After a longer one the SDK reads nothing more. */
const messageMaxBytes = 10 * 1024 * 1024;

/** What the SDK has to say, in words of this program; as it is, a line that is no message would be told in pages. */
export function wordsFor(error: Error): string {
  if ('issues' in error) return 'A line that is no JSON-RPC message was passed over.';
  if (error.message.includes('exceeded maximum size'))
    return `A message of more than ${messageMaxBytes} bytes came: nothing more is read. Start "codekeep mcp" again, and send less at once.`;
  return error.message;
}

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
    super(process.stdin, process.stdout, { maxBufferSize: messageMaxBytes });
    this.closed = new Promise((resolve) => {
      this.#onClosed = resolve;
    });
    process.stdout.on('error', () => {
      this.#isBroken = true;
      this.#onAnswered();
    });
  }

  /** True where it ended because of what came, and neither with the input nor because nobody reads the output. */
  get hasGivenUp(): boolean {
    return !this.#isBroken && !process.stdin.readableEnded;
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

  /** The SDK calls it at the end of input, where stdout is broken, and where what comes cannot be read on. */
  override async close(): Promise<void> {
    process.stdin.pause();
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
