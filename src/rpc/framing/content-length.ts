import { brokenFrame, ByteBuffer, type Frame, type FrameLimits, tooLargeFrame } from './frame.js';
import { JsonScanner } from './json-scanner.js';

const LF = 0x0a;
const CR = 0x0d;

/** Headers of one message, in bytes. Real ones are under 100. */
const headerMaxBytes = 8 * 1024;

/** The body that is being read: bytes still to come, and whether they are kept. */
interface Body {
  missingBytes: number;
  isKept: boolean;
}

/**
 * Reads messages of the form `Content-Length: N\r\n...\r\n\r\n` + N bytes, as LSP clients send them; a bare LF
 * ends a line as well, since that is what a shell's printf and here-documents write.
 * A wrong body costs one error; a wrong header ends the connection, since nobody knows where the next one is.
 */
export class ContentLengthReader {
  readonly #limits: FrameLimits;
  readonly #header = new ByteBuffer();
  readonly #held = new ByteBuffer();
  #body: Body | null = null;
  #failed = false;

  constructor(limits: FrameLimits) {
    this.#limits = limits;
  }

  get isPartial(): boolean {
    return !this.#failed && (this.#body !== null || this.#header.length > 0);
  }

  get heldBytes(): number {
    return this.#held.length;
  }

  push(chunk: Buffer): Frame[] {
    const frames: Frame[] = [];
    let rest = chunk;
    while (rest.byteLength > 0 && !this.#failed) {
      rest = this.#body === null ? this.#readHeader(rest, frames) : this.#readBody(rest, this.#body, frames);
    }
    return frames;
  }

  end(): Frame[] {
    if (!this.isPartial) return [];
    const wasReported = this.#body !== null && !this.#body.isKept;
    this.#failed = true;
    return wasReported ? [] : [brokenFrame('not_json', 'the input ended within a message', true)];
  }

  /** Takes header bytes off `chunk` and gives back the rest. */
  #readHeader(chunk: Buffer, frames: Frame[]): Buffer {
    const before = this.#header.length;
    // Who ends lines with LF ends the body with one, too.
    if (before === 0 && (chunk[0] === LF || chunk[0] === CR)) return chunk.subarray(1);
    this.#header.append(chunk.subarray(0, headerMaxBytes));
    const bytes = this.#header.bytes();
    // The blank line may have begun up to three bytes before this chunk.
    const end = endOfHeader(bytes, Math.max(0, before - 3));
    if (end === null) {
      if (this.#header.length > headerMaxBytes) {
        this.#fail(`a header is longer than ${headerMaxBytes} bytes`, frames);
      }
      return chunk.subarray(headerMaxBytes);
    }
    const length = contentLengthOf(bytes.toString('latin1', 0, end));
    this.#header.clear();
    if (length === null) this.#fail('a header has no usable Content-Length', frames);
    else this.#beginBody(length, frames);
    return chunk.subarray(end - before);
  }

  #beginBody(length: number, frames: Frame[]): void {
    const isKept = length <= this.#limits.maxMessageBytes;
    if (!isKept) frames.push(tooLargeFrame(this.#limits));
    this.#body = { missingBytes: length, isKept };
    if (length === 0) this.#endBody(this.#body, frames);
  }

  #readBody(chunk: Buffer, body: Body, frames: Frame[]): Buffer {
    const taken = chunk.subarray(0, body.missingBytes);
    if (body.isKept) this.#held.append(taken);
    body.missingBytes -= taken.byteLength;
    if (body.missingBytes === 0) this.#endBody(body, frames);
    return chunk.subarray(taken.byteLength);
  }

  #endBody(body: Body, frames: Frame[]): void {
    this.#body = null;
    if (body.isKept) frames.push(frameOfBody(this.#held.bytes(), this.#limits));
    this.#held.clear();
  }

  #fail(detail: string, frames: Frame[]): void {
    this.#failed = true;
    frames.push(brokenFrame('bad_header', detail, true));
  }
}

/** Where the body begins: after the first blank line at or after `from`; null where there is none yet. */
function endOfHeader(bytes: Buffer, from: number): number | null {
  for (let at = bytes.indexOf(LF, from); at >= 0; at = bytes.indexOf(LF, at + 1)) {
    if (bytes[at + 1] === LF) return at + 2;
    if (bytes[at + 1] === CR && bytes[at + 2] === LF) return at + 3;
  }
  return null;
}

/** The body's one JSON text; anything beside it makes the body wrong. */
function frameOfBody(body: Buffer, limits: FrameLimits): Frame {
  const scanner = new JsonScanner(limits);
  const [frame, ...others] = [...scanner.push(body), ...scanner.end()];
  if (frame === undefined) return brokenFrame('not_json', 'the body is empty');
  if (frame.kind === 'error' || others.length === 0) return frame;
  return brokenFrame('not_json', 'the body holds more than one JSON text');
}

/** The header's Content-Length in bytes, or null where it is missing, repeated or not a number. */
function contentLengthOf(header: string): number | null {
  const lengths: string[] = [];
  for (const line of header.split('\n')) {
    const colon = line.indexOf(':');
    if (line.slice(0, colon).trim().toLowerCase() === 'content-length')
      lengths.push(line.slice(colon + 1).trim());
  }
  const [length] = lengths;
  if (length === undefined || lengths.length > 1 || !/^\d{1,15}$/.test(length)) return null;
  return Number(length);
}
