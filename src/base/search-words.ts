/** Longest word that is kept, in characters: what is longer is data (base64, minified code), not a name. */
const wordMaxChars = 64;

const identifier = /[\p{L}\p{N}_$]+/gu;
/** Most words by far have one part; they need not be taken apart. */
const onePart = /^(?:[A-Z]?[a-z]+|[0-9]+)$/;
const part = /\p{Lu}+(?!\p{Ll})|\p{Lu}?\p{Ll}+|\p{N}+|[^\p{Lu}\p{Ll}\p{N}_$]+/gu;

/** What a byte of UTF-8 can be in: an identifier, or, beyond ASCII, perhaps one. */
const asciiPart = 1;
const beyondAscii = 2;
const partOf: Uint8Array = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= 0x80 ? beyondAscii : /[A-Za-z0-9_$]/.test(String.fromCharCode(byte)) ? asciiPart : 0,
);

/**
 * The words of ASCII identifiers that were met lately, since nearly all are met again: each has one place, by its hash,
 * and is pushed out by another one there. A map would take longer than to split them anew.
 */
const knownPlaces = 65_536;
const knownBytes = new Uint8Array(knownPlaces * wordMaxChars);
const knownLengths = new Uint8Array(knownPlaces);
const knownWords = Array<readonly string[] | null>(knownPlaces).fill(null);

/** Of the hash FNV-1a. */
const fnvPrime = 0x01000193;

/**
 * The search words of a text, lower-cased, in order: each identifier's parts (camelCase, snake_case, digits
 * and acronyms split: `parseHTTPHeader` gives parse, http, header) and, where there is more than one part,
 * the whole identifier after them. SQLite's unicode61 tokenizer does not split camelCase, so text is split
 * here both when it is indexed and when it is asked for.
 */
export function wordsOf(text: string): string[] {
  const words: string[] = [];
  const add = (found: readonly string[]): void => {
    for (let i = 0; i < found.length; i++) words.push(found[i] ?? '');
  };
  const bytes = Buffer.from(text, 'utf8');
  forEachIdentifier(bytes, bytes.length, {
    ascii: (start, end, hash) => add(known(bytes, start, end, hash)),
    other: add,
  });
  return words;
}

/** Takes the identifiers of a text that are not too long, in order. */
export interface IdentifierVisitor {
  /** One of ASCII, by where it lies in the bytes. `hash` is of 32 bits, its lower ones the better ones. */
  ascii: (start: number, end: number, hash: number) => void;
  /** The words of any other one. */
  other: (words: readonly string[]) => void;
}

/** @param bytes whose first `length` bytes are a text as UTF-8 */
export function forEachIdentifier(bytes: Buffer, length: number, { ascii, other }: IdentifierVisitor): void {
  let at = 0;
  while (at < length) {
    let kind = partOf[bytes[at] ?? 0] ?? 0;
    if (kind === 0) {
      at++;
      continue;
    }
    const start = at;
    let kinds = 0;
    let hash = 0;
    while (kind !== 0) {
      kinds |= kind;
      hash = Math.imul(hash ^ (bytes[at] ?? 0), fnvPrime);
      at++;
      kind = at < length ? (partOf[bytes[at] ?? 0] ?? 0) : 0;
    }
    if (kinds !== asciiPart) visitAny(bytes.toString('utf8', start, at), other);
    else if (at - start <= wordMaxChars) ascii(start, at, hash ^ (hash >>> 15));
  }
}

/** The words of the ASCII identifier in `bytes` from `start` to `end`. */
function known(bytes: Buffer, start: number, end: number, hash: number): readonly string[] {
  const place = hash & (knownPlaces - 1);
  const length = end - start;
  const from = place * wordMaxChars;
  if (knownLengths[place] === length) {
    let same = 0;
    while (same < length && knownBytes[from + same] === bytes[start + same]) same++;
    if (same === length) return knownWords[place] ?? [];
  }
  const words = wordsInAscii(bytes, start, end);
  knownLengths[place] = length;
  for (let i = 0; i < length; i++) knownBytes[from + i] = bytes[start + i] ?? 0;
  knownWords[place] = words;
  return words;
}

/** Visits the identifiers of any text. */
function visitAny(text: string, visit: IdentifierVisitor['other']): void {
  for (const whole of text.match(identifier) ?? []) {
    if (whole.length <= wordMaxChars) visit(wordsIn(whole));
  }
}

/** The words of one identifier. */
function wordsIn(whole: string): string[] {
  if (onePart.test(whole)) return [whole.toLowerCase()];
  const words = (whole.match(part) ?? []).map((piece) => piece.toLowerCase());
  if (words.length > 1) words.push(whole.replaceAll(/[_$]/g, '').toLowerCase());
  return words;
}

const isUpper = (byte: number): boolean => byte >= 0x41 && byte <= 0x5a;
const isLower = (byte: number): boolean => byte >= 0x61 && byte <= 0x7a;
const isDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39;

/** As `wordsIn`, of the ASCII identifier in `bytes` from `start` to `end`, without a regular expression. */
function wordsInAscii(bytes: Buffer, start: number, end: number): string[] {
  const lowered = bytes.toString('latin1', start, end).toLowerCase();
  const words: string[] = [];
  forEachPart(bytes, start, end, (from, to) => words.push(lowered.slice(from - start, to - start)));
  // The parts make up all of it but for what stands between them.
  if (words.length > 1) words.push(words.join(''));
  return words;
}

/** Calls back for each part of the ASCII identifier in `bytes` from `start` to `end`, in order. */
export function forEachPart(
  bytes: Uint8Array,
  start: number,
  end: number,
  visit: (start: number, end: number) => void,
): void {
  const runEnd = (from: number, isIn: (byte: number) => boolean): number => {
    let at = from;
    while (at < end && isIn(bytes[at] ?? 0)) at++;
    return at;
  };
  let at = start;
  while (at < end) {
    const capitalsEnd = runEnd(at, isUpper);
    const lettersEnd = runEnd(capitalsEnd, isLower);
    let next = lettersEnd;
    // The last capital before small letters begins their part.
    if (lettersEnd > capitalsEnd && capitalsEnd - at > 1) next = capitalsEnd - 1;
    else if (lettersEnd === at) next = runEnd(at, isDigit);
    if (next > at) visit(at, next);
    at = Math.max(next, at + 1);
  }
}
