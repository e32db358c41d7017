import { stemmer } from 'stemmer';
import { forEachIdentifier, identifierPlaces, noPlace, wordsOf } from './search-words.js';

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

function stemOf(word: string): string {
  return stemmer(isAscii(word) ? word : word.normalize('NFKD').replaceAll(/\p{M}/gu, ''));
}

/** The terms of a text, in order. */
export function termsOf(text: string): string[] {
  return wordsOf(text).map(termOf);
}

/** The terms of a text in order of appearance, each once, with how often it occurs; `total` is the sum of that. */
export interface TermCounts {
  readonly terms: readonly string[];
  readonly counts: readonly number[];
  readonly total: number;
}

/** One object for each term, so that it is counted without looking it up. Between two texts `count` is 0. */
interface Counter {
  readonly term: string;
  count: number;
}

/** Counters that are remembered, but for those of one text: by estimate 10 MB. */
const countersMax = 100_000;

/** By word; words of one term have the same one. */
const counters = new Map<string, Counter>();
const countersByTerm = new Map<string, Counter>();
/**
 * By the place of an identifier: its words when it was last met, and their counters. Filled from the start, since V8 keeps
 * an array with gaps as a slow map.
 */
const placedWords = Array<readonly string[] | null>(identifierPlaces).fill(null);
const placedCounters = Array<readonly Counter[] | null>(identifierPlaces).fill(null);

function countersOf(words: readonly string[], place: number): readonly Counter[] {
  if (place !== noPlace && placedWords[place] === words) return placedCounters[place] ?? [];
  const found = words.map(counterOf);
  if (place !== noPlace) {
    placedWords[place] = words;
    placedCounters[place] = found;
  }
  return found;
}

function counterOf(word: string): Counter {
  const known = counters.get(word);
  if (known !== undefined) return known;
  const term = stemOf(word);
  const counter = countersByTerm.get(term) ?? { term, count: 0 };
  countersByTerm.set(term, counter);
  counters.set(word, counter);
  return counter;
}

/** Counts what `termsOf` gives, in a third of the time where nearly all identifiers were met before. */
export function countTerms(text: string): TermCounts {
  // Two counters of one term must not be in use: all of them are forgotten, and never within a text.
  if (counters.size >= countersMax) {
    counters.clear();
    countersByTerm.clear();
    placedWords.fill(null);
    placedCounters.fill(null);
  }
  const used: Counter[] = [];
  let total = 0;
  forEachIdentifier(text, (words, place) => {
    const found = countersOf(words, place);
    total += found.length;
    for (let i = 0; i < found.length; i++) {
      const counter = found[i];
      if (counter !== undefined && counter.count++ === 0) used.push(counter);
    }
  });
  const terms = used.map(({ term }) => term);
  const counts = used.map(({ count }) => count);
  for (const counter of used) counter.count = 0;
  return { terms, counts, total };
}

function isAscii(word: string): boolean {
  for (let i = 0; i < word.length; i += 1) if (word.charCodeAt(i) > 0x7f) return false;
  return true;
}
