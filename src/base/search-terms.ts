import { stemmer } from 'stemmer';
import { wordsOf } from './search-words.js';

/** Terms that are remembered by their words: the words of a project repeat, and a stem takes a microsecond. */
const rememberedMax = 200_000;

const remembered = new Map<string, string>();

/** What the full-text index knows a search word by: without marks on its letters, and by its stem (Porter 1980). */
export function termOf(word: string): string {
  const known = remembered.get(word);
  if (known !== undefined) return known;
  const term = stemOf(word);
  if (remembered.size >= rememberedMax) remembered.clear();
  remembered.set(word, term);
  return term;
}

/** Last letters of all endings that are taken off or changed: a word with another one, or a digit, is its own stem. */
const stemmedEnds: ReadonlySet<string> = new Set('cdegilmnrstuy');

/** As termOf, of a word that is hardly met again. */
export function stemOf(word: string): string {
  const bare = isAscii(word) ? word : word.normalize('NFKD').replaceAll(/\p{M}/gu, '');
  return stemmedEnds.has(bare.at(-1) ?? '') ? stemmer(bare) : bare.toLowerCase();
}

/** The terms of a text, in order. */
export function termsOf(text: string): string[] {
  return wordsOf(text).map(termOf);
}

function isAscii(word: string): boolean {
  for (let i = 0; i < word.length; i += 1) if (word.charCodeAt(i) > 0x7f) return false;
  return true;
}
