import type { Socket } from 'node:net';
import { CodekeepError } from '../../base/errors.js';
import { PendingCalls } from './calls.js';
import type { DefectListener } from './dispatch.js';
import { encodeFrame, type Frame } from '../framing/frame.js';
import { MessageReader } from '../framing/message-reader.js';
import type { RpcLimits } from './limits.js';
import { replyToBrokenInput, replyToFailure } from '../protocol.js';
import type { Turn } from './turn.js';

/** What a connection needs of the dispatcher. */
export interface Answerer {
  weightOf(message: unknown): number;
  answer(message: unknown, calls: PendingCalls): Promise<string | null>;
}

/** How often a connection that is not being read is asked whether its client still exists. */
const goneProbeEveryMs = 1_000;

/** Input is taken to pieces of so many bytes, so that a turn can end between two of them. */
const pieceBytes = 8 * 1024;

/** After the last reply, how long the client may take to close its side before it is closed for it. */
const lingerMs = 500;

/** A connection is destroyed when so many full buffers wait in it and a notification is to be added. */
const destroyAtBuffers = 4;

/**
 * One client. Input is read as long as the turn lasts and there is room for its requests and for their replies;
 * the rest waits in the kernel, that is, with the client. Its end of input is not its end: what is pending is
 * answered first.
 *
 * Invariants: every message gets its reply unless the client is gone or never reads; memory is bounded by one
 * chunk of frames, the write buffer and the replies to maxPendingRequests, which are never dropped for being
 * many at once, only for not being read; nothing here waits for another client, and no client's input is worked
 * on for longer than a turn.
 */
export class Connection {
  readonly id: number;
  readonly #socket: Socket;
  readonly #answerer: Answerer;
  readonly #limits: RpcLimits;
  readonly #turn: Turn;
  readonly #onDefect: DefectListener;
  readonly #reader: MessageReader;
  readonly #calls: PendingCalls;
  /** Bytes that came in and are not taken to frames yet. */
  #unread: Buffer = Buffer.alloc(0);
  /** Frames of the last piece that are not started yet, from #next on. */
  #frames: Frame[] = [];
  #next = 0;
  #pending = 0;
  #inputEnded = false;
  /** What the reader still holds counts as cut off, once everything before it is read. */
  #cutOffIsDue = false;
  #outputEnded = false;
  #pumpIsDue = false;
  #partialTimer: NodeJS.Timeout | undefined;
  #stallTimer: NodeJS.Timeout | undefined;
  #probeTimer: NodeJS.Timeout | undefined;

  constructor(
    id: number,
    socket: Socket,
    answerer: Answerer,
    { limits, turn, onDefect }: { limits: RpcLimits; turn: Turn; onDefect: DefectListener },
  ) {
    this.id = id;
    this.#turn = turn;
    this.#socket = socket;
    this.#answerer = answerer;
    this.#limits = limits;
    this.#onDefect = onDefect;
    this.#reader = new MessageReader(limits);
    this.#calls = new PendingCalls(id, (method, params) => this.#notify(method, params));
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('end', () => this.#endInput(true));
    // EPIPE, ECONNRESET and the like: the client is gone, and 'close' follows.
    socket.on('error', () => undefined);
    socket.on('close', () => this.#onClose());
  }

  /** Reads no more, answers what came in, then ends. */
  finish(): void {
    this.#endInput(false);
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #onData(chunk: Buffer): void {
    if (this.#inputEnded) return;
    this.#unread = this.#unread.length === 0 ? chunk : Buffer.concat([this.#unread, chunk]);
    this.#pump();
    this.#watchPartialMessage();
  }

  /** @param isCutOff whether what the reader holds is a message that will never be whole */
  #endInput(isCutOff: boolean): void {
    if (this.#inputEnded) return;
    this.#inputEnded = true;
    this.#cutOffIsDue = isCutOff;
    clearTimeout(this.#partialTimer);
    // What still comes is thrown away, so that the client's own end is seen.
    this.#socket.resume();
    this.#schedulePump();
    if (!this.#outputEnded) this.#watchForGoneClient();
  }

  /** Nobody knows where in what came in, or comes, the next message begins. */
  #discardInput(): void {
    this.#unread = Buffer.alloc(0);
    this.#endInput(false);
  }

  /** Starts as many requests as there is room and time for; reads on, or ends, when there are no more. */
  #pump(): void {
    if (this.#socket.destroyed) return;
    while (this.#hasRoom()) {
      const frame = this.#nextFrame();
      if (frame === null) return this.#onDrained();
      if (frame !== 'later') this.#start(frame);
      if (this.#turn.isOver()) {
        this.#pauseInput();
        return this.#schedulePump();
      }
    }
    this.#pauseInput();
  }

  /** Null when all that came in is started; 'later' after a piece of input that completed no message. */
  #nextFrame(): Frame | 'later' | null {
    const frame = this.#frames[this.#next++];
    if (frame !== undefined) return frame;
    this.#next = 0;
    this.#frames = [];
    if (this.#unread.length > 0) {
      this.#frames = this.#reader.push(this.#unread.subarray(0, pieceBytes));
      this.#unread = this.#unread.subarray(pieceBytes);
    } else if (this.#cutOffIsDue) {
      this.#cutOffIsDue = false;
      this.#frames = this.#reader.end();
    } else return null;
    return this.#frames[this.#next++] ?? 'later';
  }

  #onDrained(): void {
    if (!this.#inputEnded) {
      if (this.#socket.isPaused()) this.#resumeInput();
    } else if (this.#pending === 0) this.#endOutput();
  }

  #hasRoom(): boolean {
    return (
      this.#pending < this.#limits.maxPendingRequests &&
      this.#socket.writableLength <= this.#limits.maxWriteBufferBytes
    );
  }

  #pauseInput(): void {
    // After its end input is thrown away, and must go on being so.
    if (this.#inputEnded) return;
    clearTimeout(this.#partialTimer);
    this.#partialTimer = undefined;
    this.#socket.pause();
    this.#watchForGoneClient();
  }

  #resumeInput(): void {
    this.#socket.resume();
    this.#watchPartialMessage();
  }

  #start(frame: Frame): void {
    if (frame.kind === 'message') {
      void this.#run(frame.value);
      return;
    }
    this.#send(JSON.stringify(replyToBrokenInput(frame.problem, frame.detail)));
    if (frame.fatal) this.#discardInput();
  }

  async #run(message: unknown): Promise<void> {
    const weight = this.#answerer.weightOf(message);
    this.#pending += weight;
    try {
      const reply = await this.#answerer.answer(message, this.#calls);
      if (reply !== null) this.#send(reply);
    } catch (error) {
      this.#onDefect(error, 'connection');
      this.#socket.destroy();
    } finally {
      this.#pending -= weight;
      this.#schedulePump();
    }
  }

  /** Not at once: a chunk of thousands of instant requests would keep the loop from everybody else. */
  #schedulePump(): void {
    if (this.#pumpIsDue) return;
    this.#pumpIsDue = true;
    setImmediate(() => {
      this.#pumpIsDue = false;
      this.#pump();
    });
  }

  /** Nobody asked for notifications, so nothing else holds them back from a client that does not read them. */
  #notify(method: string, params: Record<string, unknown>): void {
    if (this.#socket.writableLength > destroyAtBuffers * this.#limits.maxWriteBufferBytes) {
      this.#socket.destroy();
      return;
    }
    this.#send(JSON.stringify({ jsonrpc: '2.0', method, params }));
  }

  #send(text: string): void {
    if (!this.#socket.writable || this.#outputEnded) return;
    this.#socket.write(encodeFrame(text, this.#reader.framing), () => this.#onWritten());
    if (this.#socket.writableLength > this.#limits.maxWriteBufferBytes) this.#watchStalledWrites();
  }

  #onWritten(): void {
    if (this.#socket.destroyed) return;
    clearTimeout(this.#stallTimer);
    this.#stallTimer = undefined;
    if (this.#socket.writableLength > this.#limits.maxWriteBufferBytes) this.#watchStalledWrites();
    else if (this.#socket.isPaused() || this.#inputEnded) this.#schedulePump();
  }

  #watchStalledWrites(): void {
    this.#stallTimer ??= setTimeout(() => this.#socket.destroy(), this.#limits.writeStallMaxMs);
  }

  #watchPartialMessage(): void {
    clearTimeout(this.#partialTimer);
    if (!this.#reader.isPartial) return;
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
    this.#discardInput();
  }

  /**
   * A client that closed altogether looks like one that only ended its input, as socat does. An empty write
   * tells them apart: it sends nothing, and fails with EPIPE where nobody can read any more.
   */
  #watchForGoneClient(): void {
    if (this.#probeTimer !== undefined) return;
    const probe = (): void => {
      if (this.#socket.writable && this.#socket.writableLength === 0) this.#socket.write(Buffer.alloc(0));
    };
    this.#probeTimer = setInterval(probe, goneProbeEveryMs);
    if (this.#pending > 0) probe();
  }

  #endOutput(): void {
    if (this.#outputEnded) return;
    this.#outputEnded = true;
    clearInterval(this.#probeTimer);
    this.#socket.end(() => {
      const linger = setTimeout(() => this.#socket.destroy(), lingerMs);
      this.#socket.once('close', () => clearTimeout(linger));
    });
  }

  #onClose(): void {
    clearTimeout(this.#partialTimer);
    clearTimeout(this.#stallTimer);
    clearInterval(this.#probeTimer);
    this.#frames = [];
    this.#next = 0;
    this.#unread = Buffer.alloc(0);
    this.#calls.close();
  }
}
