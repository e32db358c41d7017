import type { Socket } from 'node:net';

/** Output is handed over in pieces of so many characters: the next when the client has taken the one before. */
const pieceChars = 64 * 1024;

/** How long (ms) a client may take nothing of a buffer of so many characters before it is given up. */
export interface StallLimit {
  chars: number;
  maxMs: number;
}

/**
 * What goes to one client and is not taken by it yet. Node writes all that waits in a socket as one piece, of
 * which nobody knows how far it has come; here it waits outside, and each piece that is taken is progress: a
 * slow reader is not cut off as long as it reads.
 */
export class Outbox {
  readonly #socket: Socket;
  readonly #stall: StallLimit;
  readonly #onTaken: () => void;
  #waiting: string[] = [];
  #length = 0;
  #isWriting = false;
  #flushIsDue = false;
  #isEnding = false;
  #onEnd: (() => void) | null = null;
  #stallTimer: NodeJS.Timeout | undefined;

  /** @param onTaken called when the client has taken a piece */
  constructor(socket: Socket, stall: StallLimit, onTaken: () => void) {
    this.#socket = socket;
    this.#stall = stall;
    this.#onTaken = onTaken;
  }

  /** Characters that the client has not taken yet. */
  get length(): number {
    return this.#length;
  }

  get isEmpty(): boolean {
    return this.#length === 0;
  }

  send(text: string): void {
    if (this.#isEnding || !this.#socket.writable) return;
    this.#waiting.push(text);
    this.#length += text.length;
    if (this.#length > this.#stall.chars) this.#watchStall();
    this.#flushSoon();
  }

  /** Ends this side once everything is out. */
  end(onEnd: () => void): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    this.#onEnd = onEnd;
    this.#flushSoon();
  }

  /** The connection is closed. */
  drop(): void {
    clearTimeout(this.#stallTimer);
    this.#isEnding = true;
    this.#waiting = [];
    this.#length = 0;
  }

  /** What is sent in one go is written in one go. */
  #flushSoon(): void {
    if (this.#flushIsDue || this.#isWriting) return;
    this.#flushIsDue = true;
    process.nextTick(() => this.#flush());
  }

  #flush(): void {
    this.#flushIsDue = false;
    if (this.#socket.destroyed) return;
    const piece = this.#take();
    if (piece === '') {
      if (this.#onEnd !== null) this.#socket.end(this.#onEnd);
      return;
    }
    this.#isWriting = true;
    this.#socket.write(piece, () => this.#onWritten(piece.length));
  }

  #onWritten(chars: number): void {
    this.#isWriting = false;
    if (this.#socket.destroyed) return;
    this.#length -= chars;
    if (this.#length > this.#stall.chars) this.#stallTimer?.refresh();
    else {
      clearTimeout(this.#stallTimer);
      this.#stallTimer = undefined;
    }
    this.#onTaken();
    // A large reply to a fast reader must not keep the loop from everybody else.
    if (this.#waiting.length === 0 && !this.#isEnding) return;
    this.#flushIsDue = true;
    setImmediate(() => this.#flush());
  }

  #take(): string {
    const [first] = this.#waiting;
    if (first === undefined) return '';
    if (first.length > pieceChars) {
      const end = lengthOfPiece(first);
      this.#waiting[0] = first.slice(end);
      return first.slice(0, end);
    }
    let count = 0;
    let chars = 0;
    for (const text of this.#waiting) {
      if (chars + text.length > pieceChars) break;
      chars += text.length;
      count += 1;
    }
    return this.#waiting.splice(0, count).join('');
  }

  #watchStall(): void {
    this.#stallTimer ??= setTimeout(() => this.#socket.destroy(), this.#stall.maxMs);
  }
}

/** Not between the two halves of a character. */
function lengthOfPiece(text: string): number {
  const last = text.charCodeAt(pieceChars - 1);
  return last >= 0xd800 && last < 0xdc00 ? pieceChars - 1 : pieceChars;
}
