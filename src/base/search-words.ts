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
const knownPlaces = 16_384;
const knownBytes = new Uint8Array(knownPlaces * wordMaxChars);
const knownLengths = new Uint8Array(knownPlaces);
const knownWords: (readonly string[])[] = Array.from({ length: knownPlaces }, () => []);

/** Of the hash FNV-1a. */
const fnvPrime = 0x01000193;

/**
 * The search words of a text, lower-cased, in order: each identifier's parts (camelCase, snake_case, digits
 * and acronyms split: `parseHTTPHeader` gives parse, http, header) and, where there is more than one part,
 * the whole identifier after them. SQLite's unicode61 tokenizer does not split camelCase, so text is split
 * here both when it is indexed and when it is asked for.
 */
export function wordsOf(text: string): string[] {
  const bytes = Buffer.from(text, 'utf8');
  const words: string[] = [];
  let at = 0;
  while (at < bytes.length) {
    let kinds = partOf[bytes[at] ?? 0] ?? 0;
    if (kinds === 0) {
      at++;
      continue;
    }
    const start = at;
    let hash = 0;
    for (let kind = kinds; kind !== 0; kind = partOf[bytes[at] ?? 0] ?? 0) {
      kinds |= kind;
      hash = Math.imul(hash ^ (bytes[at] ?? 0), fnvPrime);
      at++;
    }
    if (kinds !== ascii) appendAny(words, bytes.toString('utf8', start, at));
    else if (at - start <= wordMaxChars) {
      const found = known(bytes, start, at, hash);
      for (let i = 0; i < found.length; i++) words.push(found[i] ?? '');
    }
  }
  return words;
}

/** The words of the ASCII identifier in `bytes` from `start` to `end`. */
function known(bytes: Buffer, start: number, end: number, hash: number): readonly string[] {
  const place = (hash ^ (hash >>> 15)) & (knownPlaces - 1);
  const length = end - start;
  const from = place * wordMaxChars;
  if (knownLengths[place] === length) {
    let same = 0;
    while (same < length && knownBytes[from + same] === bytes[start + same]) same++;
    if (same === length) return knownWords[place] ?? [];
  }
  const words = wordsIn(bytes.toString('latin1', start, end));
  knownLengths[place] = length;
  for (let i = 0; i < length; i++) knownBytes[from + i] = bytes[start + i] ?? 0;
  knownWords[place] = words;
  return words;
}

/** Appends the words of any text. */
function appendAny(words: string[], text: string): void {
  for (const whole of text.match(identifier) ?? []) {
    if (whole.length <= wordMaxChars) words.push(...wordsIn(whole));
  }
}

/** The words of one identifier. */
function wordsIn(whole: string): string[] {
  if (onePart.test(whole)) return [whole.toLowerCase()];
  const words = (whole.match(part) ?? []).map((piece) => piece.toLowerCase());
  if (words.length > 1) words.push(whole.replaceAll(/[_$]/g, '').toLowerCase());
  return words;
}
