/** Why a piece of input is no message. */
export type FrameProblem = 'not_json' | 'too_large' | 'too_deep' | 'too_many' | 'bad_header';

/** One thing that the input held: a JSON text, or something that must be answered with one error. */
export type Frame =
  | { kind: 'message'; value: unknown; bytes: number }
  /** `detail` is a clause for people. After a `fatal` one the rest of the input cannot be understood. */
  | { kind: 'error'; problem: FrameProblem; detail: string; fatal: boolean };

/** How messages are told apart on a connection. */
export type Framing = 'stream' | 'content_length';

export interface FrameLimits {
  maxMessageBytes: number;
  maxDepth: number;
  /** Items of an array at the top: a batch. */
  maxBatchItems: number;
  /** Values of one text: what it costs to parse it goes by their number more than by its length. */
  maxValues: number;
}

export function brokenFrame(problem: FrameProblem, detail: string, fatal = false): Frame {
  return { kind: 'error', problem, detail, fatal };
}

export function tooLargeFrame(limits: FrameLimits): Frame {
  return brokenFrame('too_large', `a message is longer than ${limits.maxMessageBytes} bytes`);
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * The frame of one whole JSON text. Bytes that are not UTF-8 are refused: replacing them would silently turn
 * one path into another.
 */
export function frameOfText(bytes: Uint8Array): Frame {
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    return brokenFrame('not_json', 'it is not valid UTF-8');
  }
  try {
    const value: unknown = JSON.parse(text);
    return { kind: 'message', value, bytes: bytes.byteLength };
  } catch {
    return brokenFrame('not_json', 'a word, number or escape in it is not JSON');
  }
}

/** A message as it is written: `text` is JSON without line breaks. */
export function encodeFrame(text: string, framing: Framing): string {
  return framing === 'stream' ? `${text}\n` : `Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`;
}

/** Bytes in a block that doubles when it is full, so that many small pieces cost O(n) in total. */
export class ByteBuffer {
  #block = Buffer.alloc(0);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  append(bytes: Uint8Array): void {
    const needed = this.#length + bytes.byteLength;
    if (needed > this.#block.byteLength) {
      const larger = Buffer.allocUnsafe(Math.max(needed, this.#block.byteLength * 2));
      this.bytes().copy(larger);
      this.#block = larger;
    }
    this.#block.set(bytes, this.#length);
    this.#length = needed;
  }

  /** A view that is valid until the next call of append or clear. */
  bytes(): Buffer {
    return this.#block.subarray(0, this.#length);
  }

  clear(): void {
    this.#block = Buffer.alloc(0);
    this.#length = 0;
  }
}
