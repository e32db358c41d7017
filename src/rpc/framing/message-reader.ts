import { ContentLengthReader } from './content-length.js';
import { ByteBuffer, type Frame, type FrameLimits, type Framing } from './frame.js';
import { isBlank } from './json-automaton.js';
import { JsonScanner } from './json-scanner.js';

/** `Content-Length` and `Content-Type` headers begin like this, in any case; no JSON text does. */
const headerStart = 'content-';

/**
 * Turns the bytes of one connection into frames, without I/O. The first bytes that are not blank decide for
 * the whole connection: headers, or a stream of JSON texts, which may stand one per line, over many lines or
 * one right after the other.
 */
export class MessageReader {
  readonly #limits: FrameLimits;
  /** Bytes that are not enough to decide; shorter than headerStart. */
  readonly #undecided = new ByteBuffer();
  #reader: JsonScanner | ContentLengthReader | null = null;

  constructor(limits: FrameLimits) {
    this.#limits = limits;
  }

  /** How replies are to be framed: as the requests are. */
  get framing(): Framing {
    return this.#reader instanceof ContentLengthReader ? 'content_length' : 'stream';
  }

  /** True while the end of something that has begun is still to come. */
  get isPartial(): boolean {
    return this.#reader === null ? this.#undecided.length > 0 : this.#reader.isPartial;
  }

  /** Bytes that are kept of a message that has begun. */
  get heldBytes(): number {
    return this.#reader === null ? this.#undecided.length : this.#reader.heldBytes;
  }

  push(chunk: Buffer): Frame[] {
    if (this.#reader !== null) return this.#reader.push(chunk);
    this.#undecided.append(this.#undecided.length > 0 ? chunk : withoutLeadingBlanks(chunk));
    const start = this.#undecided.bytes().toString('latin1', 0, headerStart.length).toLowerCase();
    if (start.length < headerStart.length && headerStart.startsWith(start)) return [];
    return this.#decide(start === headerStart);
  }

  /** The end of the input; nothing may be pushed after it. */
  end(): Frame[] {
    const frames = this.#undecided.length > 0 ? this.#decide(false) : [];
    return this.#reader === null ? frames : [...frames, ...this.#reader.end()];
  }

  #decide(hasHeaders: boolean): Frame[] {
    const reader = hasHeaders ? new ContentLengthReader(this.#limits) : new JsonScanner(this.#limits);
    this.#reader = reader;
    const frames = reader.push(Buffer.from(this.#undecided.bytes()));
    this.#undecided.clear();
    return frames;
  }
}

function withoutLeadingBlanks(chunk: Buffer): Buffer {
  const first = chunk.findIndex((byte) => !isBlank(byte));
  return first < 0 ? Buffer.alloc(0) : chunk.subarray(first);
}
