/** Longest word that is kept, in characters: what is longer is data (base64, minified code), not a name. */
const wordMaxChars = 64;

const identifier = /[\p{L}\p{N}_$]+/gu;
/** Most words by far have one part; they need not be taken apart. */
const onePart = /^(?:[A-Z]?[a-z]+|[0-9]+)$/;
const part = /\p{Lu}+(?!\p{Ll})|\p{Lu}?\p{Ll}+|\p{N}+|[^\p{Lu}\p{Ll}\p{N}_$]+/gu;

/** What a byte of UTF-8 can be in: an identifier, or, beyond ASCII, perhaps one. */
const ascii = 1;
const beyondAscii = 2;
const partOf: Uint8Array = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= 0x80 ? beyondAscii : /[A-Za-z0-9_$]/.test(String.fromCharCode(byte)) ? ascii : 0,
);

/**
 * The words of ASCII identifiers that were met lately, since nearly all are met again: each has one place, by its hash,
 * and is pushed out by another one there. A map would take longer than to split them anew.
 */
export const identifierPlaces = 65_536;
const knownBytes = new Uint8Array(identifierPlaces * wordMaxChars);
const knownLengths = new Uint8Array(identifierPlaces);
const knownWords = Array<readonly string[] | null>(identifierPlaces).fill(null);

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
  forEachIdentifier(text, (found) => {
    for (let i = 0; i < found.length; i++) words.push(found[i] ?? '');
  });
  return words;
}

/** Takes the words of an identifier. As long as it is remembered it comes with the same array and place, from 0. */
type IdentifierVisitor = (words: readonly string[], place: number) => void;

/** The place of identifiers that are not remembered. */
export const noPlace = -1;

/** Calls `visit` for each identifier of a text that is not too long, in order. */
export function forEachIdentifier(text: string, visit: IdentifierVisitor): void {
  const bytes = Buffer.from(text, 'utf8');
  const { length } = bytes;
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
    if (kinds !== ascii) visitAny(bytes.toString('utf8', start, at), visit);
    else if (at - start <= wordMaxChars) {
      const place = (hash ^ (hash >>> 15)) & (identifierPlaces - 1);
      visit(known(bytes, start, at, place), place);
    }
  }
}

/** The words of the ASCII identifier in `bytes` from `start` to `end`, which has that place. */
function known(bytes: Buffer, start: number, end: number, place: number): readonly string[] {
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
function visitAny(text: string, visit: IdentifierVisitor): void {
  for (const whole of text.match(identifier) ?? []) {
    if (whole.length <= wordMaxChars) visit(wordsIn(whole), noPlace);
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
    if (next > at) words.push(lowered.slice(at - start, next - start));
    at = Math.max(next, at + 1);
  }
  // The parts make up all of it but for what stands between them.
  if (words.length > 1) words.push(words.join(''));
  return words;
}
