import type { Frame, Framing } from '../framing/frame.js';
import { MessageReader } from '../framing/message-reader.js';
import type { RequestId } from '../protocol.js';
import { cancelledId, isRequestOf } from './calls.js';
import type { RpcLimits } from './limits.js';

/** What a waiting message counts as at least (bytes): a short one costs more memory than it has bytes. */
const messageMinBytes = 256;

/**
 * What came from one client and is not begun yet, without I/O: part of a message, and whole ones in their order.
 * Where the next one has to wait, cancellations are taken out of their order: each may be what makes room.
 */
export class Inbox {
  readonly #limits: RpcLimits;
  #reader: MessageReader;
  /** From #next on; null for what was taken out. */
  #frames: (Frame | null)[] = [];
  #next = 0;
  /** Up to here there are no cancellations any more. */
  #looked = 0;
  #waitingBytes = 0;

  constructor(limits: RpcLimits) {
    this.#limits = limits;
    this.#reader = new MessageReader(limits);
  }

  get framing(): Framing {
    return this.#reader.framing;
  }

  get isPartial(): boolean {
    return this.#reader.isPartial;
  }

  get isEmpty(): boolean {
    return this.#next >= this.#frames.length;
  }

  /** Of whole messages. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  get heldBytes(): number {
    return this.#waitingBytes + this.#reader.heldBytes;
  }

  push(piece: Buffer): void {
    this.#add(this.#reader.push(piece));
  }

  /** The input has ended; what the reader still holds will never be whole. */
  end(): void {
    this.#add(this.#reader.end());
  }

  /** The next message, which waits no more; null where there is none. */
  next(): Frame | null {
    while (this.#next < this.#frames.length) {
      const frame = this.#frames[this.#next++] ?? null;
      if (this.#next === this.#frames.length) this.#reset();
      if (frame === null) continue;
      this.#waitingBytes -= bytesOf(frame);
      return frame;
    }
    return null;
  }

  /** Takes out the cancellations that wait; gives the ids that they name. */
  takeCancellations(): RequestId[] {
    const ids: RequestId[] = [];
    for (let at = Math.max(this.#looked, this.#next); at < this.#frames.length; at += 1) {
      const frame = this.#frames[at];
      const id = frame?.kind === 'message' ? cancelledId(frame.value) : undefined;
      if (id === undefined) continue;
      this.#takeOut(at);
      if (id !== null) ids.push(id);
    }
    this.#looked = this.#frames.length;
    return ids;
  }

  /** Takes out the waiting requests of an id; false where there is none. */
  takeRequests(id: RequestId): boolean {
    let isFound = false;
    for (let at = this.#next; at < this.#frames.length; at += 1) {
      const frame = this.#frames[at];
      if (frame?.kind !== 'message' || !isRequestOf(frame.value, id)) continue;
      this.#takeOut(at);
      isFound = true;
    }
    return isFound;
  }

  clear(): void {
    this.#reset();
    this.#reader = new MessageReader(this.#limits);
    this.#waitingBytes = 0;
  }

  #add(frames: Frame[]): void {
    for (const frame of frames) {
      this.#frames.push(frame);
      this.#waitingBytes += bytesOf(frame);
    }
  }

  #takeOut(at: number): void {
    const frame = this.#frames[at] ?? null;
    if (frame !== null) this.#waitingBytes -= bytesOf(frame);
    this.#frames[at] = null;
  }

  #reset(): void {
    this.#frames = [];
    this.#next = 0;
    this.#looked = 0;
  }
}

/** What a message counts as, in bytes, while it waits and until it is answered. */
export function bytesOf(frame: Frame): number {
  return frame.kind === 'message' ? Math.max(messageMinBytes, frame.bytes) : messageMinBytes;
}
