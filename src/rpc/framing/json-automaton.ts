/**
 * What a byte did to the JSON text it was given to:
 * `more`: it belongs to the text, which goes on; `done`: it is the text's last byte;
 * `done_before`: the text (a bare number or word) ended before it; `broken`: no JSON text continues like this.
 */
export type Step = 'more' | 'done' | 'done_before' | 'broken';

type State =
  | 'value'
  | 'value_or_end'
  | 'key'
  | 'key_or_end'
  | 'colon'
  | 'comma_or_end'
  | 'string'
  | 'escape'
  | 'literal'
  | 'too_deep';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** Space, tab, line feed, carriage return: JSON's whitespace. */
export function isBlank(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

export function isOpening(byte: number): boolean {
  return byte === OPEN_OBJECT || byte === OPEN_ARRAY;
}

export function isClosing(byte: number): boolean {
  return byte === CLOSE_OBJECT || byte === CLOSE_ARRAY;
}

/** Letters, digits, `+`, `-` and `.`: what numbers, true, false and null are made of. */
function isLiteral(byte: number): boolean {
  return (
    (byte >= 0x30 && byte <= 0x39) ||
    (byte >= 0x61 && byte <= 0x7a) ||
    (byte >= 0x41 && byte <= 0x5a) ||
    byte === 0x2b ||
    byte === 0x2d ||
    byte === 0x2e
  );
}

/** `-`, a digit, or the first letter of true, false and null. */
function beginsLiteral(byte: number): boolean {
  return byte === 0x2d || (byte >= 0x30 && byte <= 0x39) || byte === 0x74 || byte === 0x66 || byte === 0x6e;
}

/**
 * Finds the end of one JSON text byte by byte, and the first byte at which it cannot be one any more.
 * It knows the punctuation; whether words, numbers and escapes are right is left to JSON.parse, so that
 * a wrong word inside balanced brackets costs only the message it is in. Works on UTF-8 bytes: all of JSON's
 * punctuation is ASCII, which never occurs inside a longer sequence.
 */
export class JsonAutomaton {
  readonly #maxDepth: number;
  #state: State = 'value';
  #stringIsKey = false;
  /** Opening brackets that are not closed yet; at most maxDepth, deeper ones are only counted. */
  readonly #open: number[] = [];
  #openBeyond = 0;
  #tooDeep = false;
  #values = 0;
  #items = 0;

  constructor(maxDepth: number) {
    this.#maxDepth = maxDepth;
  }

  /** True once the text was nested deeper than allowed; it is still followed to its end. */
  get tooDeep(): boolean {
    return this.#tooDeep;
  }

  /** Values so far: members of objects, items of arrays, and the text itself. */
  get values(): number {
    return this.#values;
  }

  /** Items so far where the text is an array; 0 where it is not. */
  get items(): number {
    return this.#items;
  }

  /** True for a bare number or word, which only the end of the input or another byte ends. */
  endsWithInput(): boolean {
    return this.#state === 'literal' && this.#open.length === 0;
  }

  /**
   * Inside a string, the index of the first byte from `at` on that can end or break it; `at` itself elsewhere.
   * Most bytes of long messages are passed over by this, at many times the speed of `step`.
   */
  skipText(bytes: Uint8Array, at: number): number {
    if (this.#state !== 'string') return at;
    let index = at;
    while (index < bytes.length) {
      const byte = bytes[index] as number;
      if (byte === QUOTE || byte === BACKSLASH || byte < 0x20) break;
      index += 1;
    }
    return index;
  }

  step(byte: number): Step {
    switch (this.#state) {
      case 'string':
        return this.#inString(byte);
      case 'escape':
        this.#state = 'string';
        return byte < 0x20 ? 'broken' : 'more';
      case 'literal':
        if (isLiteral(byte)) return 'more';
        if (this.#endValue() === 'done') return 'done_before';
        return this.step(byte);
      case 'too_deep':
        return this.#inTooDeep(byte);
      default:
        return isBlank(byte) ? 'more' : this.#atToken(byte);
    }
  }

  #inString(byte: number): Step {
    if (byte === BACKSLASH) this.#state = 'escape';
    else if (byte === QUOTE) return this.#endString();
    else if (byte < 0x20) return 'broken';
    return 'more';
  }

  #endString(): Step {
    if (this.#openBeyond > 0) this.#state = 'too_deep';
    else if (this.#stringIsKey) this.#state = 'colon';
    else return this.#endValue();
    return 'more';
  }

  #inTooDeep(byte: number): Step {
    if (byte === QUOTE) this.#state = 'string';
    else if (isOpening(byte)) this.#openBeyond += 1;
    else if (isClosing(byte) && --this.#openBeyond === 0) return this.#endValue();
    return 'more';
  }

  #atToken(byte: number): Step {
    switch (this.#state) {
      case 'value_or_end':
        return byte === CLOSE_ARRAY ? this.#close(byte) : this.#beginValue(byte);
      case 'value':
        return this.#beginValue(byte);
      case 'key_or_end':
        return byte === CLOSE_OBJECT ? this.#close(byte) : this.#beginKey(byte);
      case 'key':
        return this.#beginKey(byte);
      case 'colon':
        if (byte !== COLON) return 'broken';
        this.#state = 'value';
        return 'more';
      default:
        return this.#afterValue(byte);
    }
  }

  #beginValue(byte: number): Step {
    this.#values += 1;
    if (this.#open.length === 1 && this.#open[0] === OPEN_ARRAY) this.#items += 1;
    if (isOpening(byte)) return this.#openBracket(byte);
    if (byte === QUOTE) {
      this.#stringIsKey = false;
      this.#state = 'string';
      return 'more';
    }
    if (!beginsLiteral(byte)) return 'broken';
    this.#state = 'literal';
    return 'more';
  }

  #beginKey(byte: number): Step {
    if (byte !== QUOTE) return 'broken';
    this.#stringIsKey = true;
    this.#state = 'string';
    return 'more';
  }

  #openBracket(byte: number): Step {
    if (this.#open.length === this.#maxDepth) {
      this.#tooDeep = true;
      this.#openBeyond = 1;
      this.#state = 'too_deep';
      return 'more';
    }
    this.#open.push(byte);
    this.#state = byte === OPEN_OBJECT ? 'key_or_end' : 'value_or_end';
    return 'more';
  }

  #afterValue(byte: number): Step {
    if (isClosing(byte)) return this.#close(byte);
    if (byte !== COMMA) return 'broken';
    this.#state = this.#open.at(-1) === OPEN_OBJECT ? 'key' : 'value';
    return 'more';
  }

  #close(byte: number): Step {
    const expected = byte === CLOSE_OBJECT ? OPEN_OBJECT : OPEN_ARRAY;
    return this.#open.pop() === expected ? this.#endValue() : 'broken';
  }

  #endValue(): Step {
    this.#state = 'comma_or_end';
    return this.#open.length === 0 ? 'done' : 'more';
  }
}
