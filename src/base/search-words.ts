/** Longest word that is kept, in characters: what is longer is data (base64, minified code), not a name. */
const wordMaxChars = 64;

const identifier = /[\p{L}\p{N}_$]+/gu;
/** Most words by far have one part; they need not be taken apart. */
const onePart = /^(?:[A-Z]?[a-z]+|[0-9]+)$/;
const part = /\p{Lu}+(?!\p{Ll})|\p{Lu}?\p{Ll}+|\p{N}+|[^\p{Lu}\p{Ll}\p{N}_$]+/gu;

/**
 * The search words of a text, lower-cased, in order: each identifier's parts (camelCase, snake_case, digits
 * and acronyms split: `parseHTTPHeader` gives parse, http, header) and, where there is more than one part,
 * the whole identifier after them. SQLite's unicode61 tokenizer does not split camelCase, so text is split
 * here both when it is indexed and when it is asked for.
 */
export function wordsOf(text: string): string[] {
  const words: string[] = [];
  for (const whole of text.match(identifier) ?? []) {
    if (whole.length > wordMaxChars) continue;
    if (onePart.test(whole)) {
      words.push(whole.toLowerCase());
      continue;
    }
    const parts = whole.match(part) ?? [];
    for (const piece of parts) words.push(piece.toLowerCase());
    if (parts.length > 1) words.push(whole.replaceAll(/[_$]/g, '').toLowerCase());
  }
  return words;
}
