import { stemOf } from '../../base/search-terms.js';
import { forEachIdentifier, forEachPart } from '../../base/search-words.js';
import { appendWord, GrowingBytes } from './postings-codec.js';
import { grown, Vocabulary } from './postings-vocabulary.js';

/** Words and terms that are remembered, but for those of one document. */
const wordsKeptMax = 100_000;

/** ASCII identifiers that are remembered: each has one place, by its hash, and is pushed out by another one there. */
const places = 65_536;
/**
 * Letters and terms of an identifier that is remembered; longer ones are rare, and their terms found anew. With both a place
 * is one line of the processor's cache.
 */
const placeChars = 32;
const placeTerms = 8;
/** Of a place: its letters, and then its terms, of four bytes each. */
const placeBytes = placeChars + 4 * placeTerms;

/** Takes a term of a chunk; `total` is how many the chunk's name and text have together. */
export type TermVisitor = (term: number, inName: number, inText: number, total: number) => void;

/**
 * Gives terms numbers and counts them. Nothing is looked up by strings, which would take longer than all the rest: most
 * identifiers were met lately and have their terms' numbers at their place, and the words of the others are found by
 * their bytes.
 */
export class TermNumbers {
  readonly #text = new GrowingBytes(64 * 1024);
  /** Of terms, and of the words that they are of. */
  readonly vocabulary = new Vocabulary(this.#text);
  /** By number of a word: that of its term + 1; 0: it was not asked for. */
  #termOf = new Uint32Array(4_096);
  /** By number: how often a chunk has the term. Between two chunks all are 0. */
  #inName = new Uint32Array(4_096);
  #inText = new Uint32Array(4_096);
  /** Terms that the chunk has. */
  #used: number[] = [];
  readonly #placeChars = new Uint8Array(places * placeBytes);
  readonly #placeTerms = new Uint32Array(this.#placeChars.buffer);
  /** By place: how many of both there are. */
  readonly #charCounts = new Uint8Array(places);
  readonly #termCounts = new Uint8Array(places);
  #bytes = Buffer.allocUnsafeSlow(16 * 1024);

  /** Another one is better begun with the next document. */
  get isFull(): boolean {
    return this.vocabulary.count >= wordsKeptMax;
  }

  /** Calls back for each term of a chunk once. */
  count(name: string, text: string, visit: TermVisitor): void {
    this.#reserve(name.length + text.length);
    const total = this.#add(name, this.#inName) + this.#add(text, this.#inText);
    const [inName, inText] = [this.#inName, this.#inText];
    for (const term of this.#used) {
      visit(term, inName[term] ?? 0, inText[term] ?? 0, total);
      inName[term] = 0;
      inText[term] = 0;
    }
    this.#used = [];
  }

  /** An identifier of n units has n parts at most and itself, each of which may have a term that is another word. */
  #reserve(units: number): void {
    while (this.#inText.length < this.vocabulary.count + 2 * (units + 2)) {
      this.#termOf = grown(this.#termOf);
      this.#inName = grown(this.#inName);
      this.#inText = grown(this.#inText);
    }
  }

  /** Gives how many terms the text has. */
  #add(text: string, counts: Uint32Array): number {
    if (this.#bytes.length < 3 * text.length) this.#bytes = Buffer.allocUnsafeSlow(6 * text.length);
    const bytes = this.#bytes;
    let total = 0;
    const add = (terms: Uint32Array | readonly number[], start: number, end: number): void => {
      for (let at = start; at < end; at++) {
        const term = terms[at] ?? 0;
        if (this.#inName[term] === 0 && this.#inText[term] === 0) this.#used.push(term);
        counts[term] = (counts[term] ?? 0) + 1;
      }
      total += end - start;
    };
    forEachIdentifier(bytes, bytes.write(text, 0, 'utf8'), {
      ascii: (start, end, hash) => {
        const place = hash & (places - 1);
        const from = firstTermOf(place);
        if (this.#isAt(place, bytes, start, end))
          return add(this.#placeTerms, from, from + (this.#termCounts[place] ?? 0));
        const terms = this.#termsIn(bytes, start, end);
        this.#place(place, bytes, start, end, terms);
        return add(terms, 0, terms.length);
      },
      other: (words) =>
        add(
          words.map((word) => this.#termOfOther(word)),
          0,
          words.length,
        ),
    });
    return total;
  }

  /** Whether the identifier from `start` to `end` has this place. */
  #isAt(place: number, bytes: Uint8Array, start: number, end: number): boolean {
    if (this.#charCounts[place] !== end - start) return false;
    const placed = this.#placeChars;
    const from = place * placeBytes - start;
    let at = start;
    while (at < end && placed[from + at] === bytes[at]) at++;
    return at === end;
  }

  #place(place: number, bytes: Uint8Array, start: number, end: number, terms: readonly number[]): void {
    if (end - start > placeChars || terms.length > placeTerms) return;
    this.#charCounts[place] = end - start;
    this.#termCounts[place] = terms.length;
    const from = place * placeBytes - start;
    for (let at = start; at < end; at++) this.#placeChars[from + at] = bytes[at] ?? 0;
    for (let at = 0; at < terms.length; at++) this.#placeTerms[firstTermOf(place) + at] = terms[at] ?? 0;
  }

  /** Of the words that wordsOf has of an ASCII identifier. */
  #termsIn(bytes: Uint8Array, start: number, end: number): number[] {
    const text = this.#text;
    const from = text.length;
    const { count } = this.vocabulary;
    // The parts adjoin there, lower-cased: from the first to the last one they are the whole.
    const ends: number[] = [];
    forEachPart(bytes, start, end, (partStart, partEnd) => {
      text.reserve(partEnd - partStart);
      for (let at = partStart; at < partEnd; at++) text.bytes[text.length++] = lowered(bytes[at] ?? 0);
      ends.push(text.length);
    });
    const whole = text.length;
    let before = from;
    const terms = ends.map((partEnd) => {
      const term = this.#termAt(before, partEnd);
      before = partEnd;
      return term;
    });
    if (terms.length > 1) terms.push(this.#termAt(from, whole));
    if (this.vocabulary.count === count) text.length = from;
    return terms;
  }

  /** Of the ASCII word that is in the text. */
  #termAt(start: number, end: number): number {
    const word = this.vocabulary.numberOf(start, end - start);
    const known = this.#termOf[word] ?? 0;
    return known === 0 ? this.#learn(word, this.#text.bytes.toString('latin1', start, end)) : known - 1;
  }

  #termOfOther(word: string): number {
    const number = this.#numberOf(word);
    const known = this.#termOf[number] ?? 0;
    return known === 0 ? this.#learn(number, word) : known - 1;
  }

  #learn(number: number, word: string): number {
    const stem = stemOf(word);
    const term = stem === word ? number : this.#numberOf(stem);
    this.#termOf[number] = term + 1;
    return term;
  }

  #numberOf(word: string): number {
    const text = this.#text;
    const start = text.length;
    const { count } = this.vocabulary;
    appendWord(text, word);
    const number = this.vocabulary.numberOf(start, text.length - start);
    if (this.vocabulary.count === count) text.length = start;
    return number;
  }
}

/** Where its terms begin among those of all places. */
function firstTermOf(place: number): number {
  return (place * placeBytes + placeChars) >>> 2;
}

function lowered(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte;
}
