import { wordsOf } from '../base/words.js';

/** Different words of a query that are looked for. A query is a question, not a document; each word costs a scan. */
const queryWordsMax = 32;

/** What a query asks for. */
export interface Query {
  readonly text: string;
  /** Different search words, in order; none for a query of punctuation. */
  readonly words: readonly string[];
}

export function parseQuery(text: string): Query {
  return { text, words: [...new Set(wordsOf(text))].slice(0, queryWordsMax) };
}

/**
 * The FTS5 expression that finds a chunk with any of the words. Each is a quoted string, in which FTS5 knows no
 * operators, and has no quotation mark in it: a word is made of letters and digits only. So no query is a syntax error.
 */
export function matchExpression(words: readonly string[]): string {
  return words.map((word) => `"${word}"`).join(' OR ');
}
