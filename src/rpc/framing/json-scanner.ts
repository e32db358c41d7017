import {
  brokenFrame,
  ByteBuffer,
  type Frame,
  frameOfText,
  type FrameLimits,
  tooLargeFrame,
} from './frame.js';
import { isBlank, isClosing, isOpening, JsonAutomaton } from './json-automaton.js';

const LF = 0x0a;
const CR = 0x0d;

type Mode = 'between' | 'message' | 'skip_line' | 'skip_block';

/**
 * Cuts a stream of JSON texts into frames, wherever its chunks were cut. Every byte is looked at once: the
 * state is kept from chunk to chunk, and a text that lies in one chunk is not copied.
 *
 * Recovery. A text is given up at the first byte that cannot continue it, with one error; reading goes on at the
 * next line. Two exceptions keep a person's mistakes to one error each and lose no request:
 * - If that byte is a bracket that opens a line, the text before it was cut off: the bracket begins a new text.
 * - In a text of several lines, indented lines and the closing bracket that follow still belong to it.
 * A text whose brackets are balanced but which JSON.parse refuses ends at its last bracket. One that is cut off
 * just where a value must come ("a":) takes the next line as that value, as JSON demands.
 */
export class JsonScanner {
  readonly #limits: FrameLimits;
  #automaton: JsonAutomaton;
  #mode: Mode = 'between';
  /** The current text as far as it came in earlier chunks. */
  readonly #held = new ByteBuffer();
  #chunk: Buffer = Buffer.alloc(0);
  /** Where in the chunk the current text begins, or goes on. */
  #from = 0;
  /** The current text was reported as too long: it is followed to its end but not kept. */
  #oversize = false;
  #hasSeveralLines = false;
  /** Of the line before the current byte: nothing but blanks so far; begins with a blank. */
  #lineIsBlank = true;
  #lineIsIndented = false;

  constructor(limits: FrameLimits) {
    this.#limits = limits;
    this.#automaton = new JsonAutomaton(limits.maxDepth);
  }

  /** True while the end of something that has begun is still to come. */
  get isPartial(): boolean {
    if (this.#mode === 'skip_block') return !this.#isAtLineStart();
    return this.#mode !== 'between';
  }

  get heldBytes(): number {
    return this.#held.length;
  }

  push(chunk: Buffer): Frame[] {
    const frames: Frame[] = [];
    this.#chunk = chunk;
    this.#from = 0;
    for (let at = 0; at < chunk.length; at += 1) {
      // Within a string no line begins, so nothing is to be tracked there.
      if (this.#mode === 'message') at = this.#automaton.skipText(chunk, at);
      const byte = chunk[at];
      if (byte === undefined) break;
      this.#feed(byte, at, frames);
      this.#trackLine(byte);
    }
    this.#hold(frames);
    return frames;
  }

  /** The input has ended: a bare number or word is complete by that, anything else is cut off. */
  end(): Frame[] {
    const mode = this.#mode;
    this.#mode = 'between';
    if (mode !== 'message' || this.#oversize) return [];
    const frame = this.#automaton.endsWithInput()
      ? frameOfText(this.#held.bytes())
      : brokenFrame('not_json', 'the input ended within a message');
    this.#held.clear();
    return [frame];
  }

  #feed(byte: number, at: number, frames: Frame[]): void {
    switch (this.#mode) {
      case 'message':
        return this.#continueText(byte, at, frames);
      case 'between':
        if (isBlank(byte)) return;
        this.#beginText(at);
        return this.#continueText(byte, at, frames);
      case 'skip_line':
        if (byte === LF) this.#mode = 'between';
        return;
      case 'skip_block':
        return this.#skipBlock(byte, at, frames);
    }
  }

  #beginText(at: number): void {
    this.#automaton = new JsonAutomaton(this.#limits.maxDepth);
    this.#mode = 'message';
    this.#from = at;
    this.#oversize = false;
    this.#hasSeveralLines = false;
  }

  #continueText(byte: number, at: number, frames: Frame[]): void {
    switch (this.#automaton.step(byte)) {
      case 'more':
        return;
      case 'done':
        this.#endText(at + 1, frames);
        return;
      case 'done_before': {
        // A bare word that is none ("hello") is garbage: its line holds nothing to be read either.
        const isGood = this.#endText(at, frames);
        if (!isGood) this.#mode = 'skip_line';
        return this.#feed(byte, at, frames);
      }
      case 'broken':
        return this.#recover(byte, at, frames);
    }
  }

  /** Reports the text that ends before `end`; false when it is not JSON. */
  #endText(end: number, frames: Frame[]): boolean {
    this.#mode = 'between';
    if (this.#oversize) return true;
    const frame = this.#frameUpTo(end);
    this.#held.clear();
    frames.push(frame);
    return frame.kind === 'message';
  }

  #frameUpTo(end: number): Frame {
    const last = this.#chunk.subarray(this.#from, end);
    if (this.#held.length + last.byteLength > this.#limits.maxMessageBytes)
      return tooLargeFrame(this.#limits);
    if (this.#automaton.tooDeep) {
      return brokenFrame('too_deep', `a message is nested deeper than ${this.#limits.maxDepth} levels`);
    }
    const tooMany = this.#tooMany();
    if (tooMany !== null) return brokenFrame('too_many', tooMany);
    if (this.#held.length === 0) return frameOfText(last);
    this.#held.append(last);
    return frameOfText(this.#held.bytes());
  }

  /** Counted while it was read, so that it never has to be parsed; null where it is within the limits. */
  #tooMany(): string | null {
    const { maxBatchItems, maxValues } = this.#limits;
    if (this.#automaton.items > maxBatchItems) return `a batch has more than ${maxBatchItems} items`;
    return this.#automaton.values > maxValues ? `a message has more than ${maxValues} values` : null;
  }

  #recover(byte: number, at: number, frames: Frame[]): void {
    if (!this.#oversize) frames.push(brokenFrame('not_json', 'its punctuation is not that of JSON'));
    this.#held.clear();
    if (this.#hasSeveralLines && this.#lineIsBlank && isOpening(byte)) {
      this.#beginText(at);
      return this.#continueText(byte, at, frames);
    }
    this.#mode = this.#hasSeveralLines && this.#lineIsIndented ? 'skip_block' : 'skip_line';
    if (this.#mode === 'skip_line' && byte === LF) this.#mode = 'between';
  }

  #skipBlock(byte: number, at: number, frames: Frame[]): void {
    if (!this.#isAtLineStart() || byte === 0x20 || byte === 0x09) return;
    this.#mode = isClosing(byte) ? 'skip_line' : 'between';
    if (this.#mode === 'between') this.#feed(byte, at, frames);
  }

  #isAtLineStart(): boolean {
    return this.#lineIsBlank && !this.#lineIsIndented;
  }

  #trackLine(byte: number): void {
    if (byte === LF) {
      this.#lineIsBlank = true;
      this.#lineIsIndented = false;
      this.#hasSeveralLines = true;
    } else if (this.#lineIsBlank && byte !== CR) {
      if (isBlank(byte)) this.#lineIsIndented = true;
      else this.#lineIsBlank = false;
    }
  }

  /** Keeps what came of an unfinished text, unless that is too long already. */
  #hold(frames: Frame[]): void {
    const rest = this.#chunk.subarray(this.#from);
    this.#chunk = Buffer.alloc(0);
    if (this.#mode !== 'message' || this.#oversize) return;
    if (this.#held.length + rest.byteLength > this.#limits.maxMessageBytes) {
      this.#oversize = true;
      this.#held.clear();
      frames.push(tooLargeFrame(this.#limits));
      return;
    }
    this.#held.append(rest);
  }
}
