import type { Socket } from 'node:net';
import { cancelled, CodekeepError } from '../../base/errors.js';
import { encodeFrame, type Frame } from '../framing/frame.js';
import { replyToBrokenInput, replyToFailure } from '../protocol.js';
import type { ByteBudget } from './byte-budget.js';
import { type AfterReply, PendingCalls } from './calls.js';
import type { DefectListener } from './dispatch.js';
import { bytesOf, Inbox } from './inbox.js';
import type { RpcLimits } from './limits.js';
import { Outbox } from './outbox.js';
import type { Lane, RunQueue } from './run-queue.js';

/** What a connection needs of the dispatcher. */
export interface Answerer {
  weightOf(message: unknown): number;
  answer(message: unknown, calls: PendingCalls, afterReply: AfterReply): Promise<string | null>;
}

/** What all connections of a server share. */
export interface Shared {
  answerer: Answerer;
  limits: RpcLimits;
  queue: RunQueue;
  budget: ByteBudget;
  onDefect: DefectListener;
}

/** Input is taken in pieces of so many bytes: what a step reads and scans takes a tenth of a millisecond. */
export const pieceBytes = 8 * 1024;

const nothing = Buffer.alloc(0);

/** After the last reply, how long the client may take to close its side before it is closed for it. */
const lingerMs = 500;

/** A connection is destroyed when so many full buffers wait in it and a notification is to be added. */
const destroyAtBuffers = 4;

/**
 * One client. All that is done for it is done in steps of the server's one queue: a piece of input is read, or a
 * request begun. What is not read waits in the kernel, that is, with the client. Its end of input is not its end:
 * what is pending is answered first, and who has subscribed goes on hearing.
 *
 * Invariants: every message gets its reply unless the client is gone or never reads; memory is bounded by one
 * chunk of the socket, the share of the byte budget, the write buffer and the replies to maxPendingRequests, which
 * are never dropped for being many at once, only for not being read; nothing here waits for another client.
 */
export class Connection {
  readonly #socket: Socket;
  readonly #shared: Shared;
  readonly #limits: RpcLimits;
  readonly #lane: Lane;
  readonly #inbox: Inbox;
  readonly #outbox: Outbox;
  readonly #calls: PendingCalls;
  #partialTimer: NodeJS.Timeout | undefined;
  #pending = 0;
  #pendingBytes = 0;
  /** All that came is read: Node waits for more of it, and will see its end. */
  #isRead = false;
  #input: 'open' | 'ended' | 'thrown_away' = 'open';
  #isEnding = false;

  constructor(id: number, socket: Socket, shared: Shared) {
    const { limits, queue } = shared;
    this.#socket = socket;
    this.#shared = shared;
    this.#limits = limits;
    this.#lane = queue.lane(() => this.#safeStep());
    this.#inbox = new Inbox(limits);
    const stall = { chars: limits.maxWriteBufferChars, maxMs: limits.writeStallMaxMs };
    this.#outbox = new Outbox(socket, stall, () => this.#goOn());
    this.#calls = new PendingCalls(id, {
      notify: (method, params) => this.#notify(method, params),
      onLetGo: () => this.#goOn(),
    });
    socket.on('readable', () => {
      this.#isRead = false;
      this.#lane.wake();
    });
    socket.on('end', () => this.#endInput('ended'));
    // EPIPE, ECONNRESET and the like: the client is gone, and 'close' follows.
    socket.on('error', () => undefined);
    socket.on('close', () => this.#onClose());
  }

  /** Reads no more, answers what came in, then ends. */
  finish(): void {
    this.#endInput('thrown_away');
  }

  destroy(): void {
    this.#socket.destroy();
  }

  get isServed(): boolean {
    return this.#pendingBytes > 0;
  }

  /** It may read on: there is room again. */
  wake(): void {
    this.#lane.wake();
  }

  /**
   * A client that closed altogether looks like one that only ended its input, as socat does, and like one that is
   * not read. An empty write tells them apart: it sends nothing, and fails with EPIPE where nobody can read any more.
   */
  probe(): void {
    const isWatched = this.#isRead && this.#input === 'open';
    if (!isWatched && this.#socket.writable && this.#outbox.isEmpty) this.#socket.write(nothing);
  }

  #safeStep(): boolean {
    try {
      return this.#step();
    } catch (error) {
      this.#shared.onDefect(error, 'connection');
      this.#socket.destroy();
      return false;
    }
  }

  /** Reads a piece and begins a request; false when there is nothing more to do, or no room for it. */
  #step(): boolean {
    if (this.#socket.destroyed) return false;
    clearTimeout(this.#partialTimer);
    if (this.#hasRoom()) {
      const isBegun = this.#startNext();
      const isRefused = !isBegun && !this.#read();
      if (!isBegun && !isRefused) this.#startNext();
      // Said at once: who has nothing more to do is first again with the next small request.
      return !this.#inbox.isEmpty || (!isRefused && !this.#isRead) || this.#onDrained();
    }
    if (this.#outbox.length > this.#limits.maxWriteBufferChars) return false;
    this.#cancelWaiting();
    return this.#read();
  }

  #hasRoom(): boolean {
    return (
      this.#pending < this.#limits.maxPendingRequests &&
      this.#outbox.length <= this.#limits.maxWriteBufferChars
    );
  }

  /** Takes a piece of what came in; false where there is none, or no room for it. */
  #read(): boolean {
    this.#isRead = false;
    if (this.#input === 'thrown_away') return false;
    const complete = this.#inbox.waitingBytes + this.#pendingBytes;
    if (complete >= this.#limits.maxMessageBytes) return false;
    if (!this.#shared.budget.mayGrow(this, this.#inbox.heldBytes + this.#pendingBytes)) return false;
    const isMore = this.#socket.readableLength > pieceBytes;
    // With nothing there it is asked all the same: that is how a stream reads on, and comes to its end.
    const piece: unknown = isMore ? this.#socket.read(pieceBytes) : this.#socket.read();
    this.#isRead = !isMore;
    if (!Buffer.isBuffer(piece)) return false;
    this.#inbox.push(piece);
    this.#noteHeld();
    return true;
  }

  #startNext(): boolean {
    const frame = this.#inbox.next();
    if (frame === null) return false;
    if (frame.kind === 'message') {
      void this.#run(frame.value, bytesOf(frame));
      return true;
    }
    this.#noteHeld();
    this.#send(JSON.stringify(replyToBrokenInput(frame.problem, frame.detail)));
    // Nobody knows where in what came in, or comes, the next message begins.
    if (frame.fatal) this.#endInput('thrown_away');
    return true;
  }

  async #run(message: Extract<Frame, { kind: 'message' }>['value'], bytes: number): Promise<void> {
    const weight = this.#shared.answerer.weightOf(message);
    const afterReply: AfterReply = [];
    this.#pending += weight;
    this.#pendingBytes += bytes;
    try {
      const reply = await this.#shared.answerer.answer(message, this.#calls, afterReply);
      if (reply !== null) this.#send(reply);
      for (const act of afterReply) act();
    } catch (error) {
      this.#shared.onDefect(error, 'connection');
      this.#socket.destroy();
    } finally {
      this.#pending -= weight;
      this.#pendingBytes -= bytes;
      this.#noteHeld();
      this.#goOn();
    }
  }

  /** There is room again; a step that would find nothing to do costs this client its place before others. */
  #goOn(): void {
    const isIdle = this.#input === 'open' && this.#isRead && this.#inbox.isEmpty;
    if (!isIdle) this.#lane.wake();
  }

  /** There is no room for the requests that wait: what cancels them or others must not wait with them. */
  #cancelWaiting(): void {
    for (const id of this.#inbox.takeCancellations()) {
      this.#calls.cancel(id);
      if (this.#inbox.takeRequests(id))
        this.#send(JSON.stringify(replyToFailure(id, cancelled('The request'))));
    }
    this.#noteHeld();
  }

  /** Everything that came is begun; true where that gave something to do. */
  #onDrained(): boolean {
    if (this.#input === 'open') {
      if (this.#inbox.isPartial && this.#isRead) this.#watchPartialMessage();
      return false;
    }
    if (this.#input === 'ended' && this.#inbox.isPartial) {
      this.#inbox.end();
      return true;
    }
    const isKept = this.#input === 'ended' && this.#calls.isKept;
    if (this.#pending === 0 && !isKept) this.#endOutput();
    return false;
  }

  #endInput(how: 'ended' | 'thrown_away'): void {
    if (this.#input === 'thrown_away' || this.#input === how) return;
    this.#input = how;
    clearTimeout(this.#partialTimer);
    if (how === 'thrown_away') {
      // It flows away, so that the client's own end is seen.
      this.#socket.removeAllListeners('readable');
      this.#socket.resume();
    }
    if (this.#pending > 0) this.probe();
    this.#lane.wake();
  }

  #noteHeld(): void {
    this.#shared.budget.note(this, this.#inbox.heldBytes + this.#pendingBytes);
  }

  /** Nobody asked for notifications, so nothing else holds them back from a client that does not read them. */
  #notify(method: string, params: Record<string, unknown>): void {
    if (this.#outbox.length > destroyAtBuffers * this.#limits.maxWriteBufferChars) {
      this.#socket.destroy();
      return;
    }
    this.#send(JSON.stringify({ jsonrpc: '2.0', method, params }));
  }

  #send(text: string): void {
    if (!this.#isEnding) this.#outbox.send(encodeFrame(text, this.#inbox.framing));
  }

  #watchPartialMessage(): void {
    this.#partialTimer = setTimeout(() => this.#giveUpPartialMessage(), this.#limits.partialMessageMaxMs);
  }

  #giveUpPartialMessage(): void {
    const seconds = this.#limits.partialMessageMaxMs / 1000;
    const error = new CodekeepError(
      'TIMEOUT',
      `A message was left incomplete for ${seconds} seconds.`,
      'Send whole messages; connect again.',
    );
    this.#send(JSON.stringify(replyToFailure(null, error)));
    this.#endInput('thrown_away');
  }

  #endOutput(): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    this.#outbox.end(() => {
      const linger = setTimeout(() => this.#socket.destroy(), lingerMs);
      this.#socket.once('close', () => clearTimeout(linger));
    });
  }

  #onClose(): void {
    clearTimeout(this.#partialTimer);
    this.#outbox.drop();
    this.#inbox.clear();
    this.#shared.budget.forget(this);
    this.#noteHeld();
    this.#calls.close();
  }
}
