/**
 * Which chunks have the words of a question, and how much they say: BM25F (Robertson, Zaragoza and Taylor 2004) over the
 * chunks' names and texts and the paths of their files. Statistics are the project's own.
 *
 * The rarest words propose chunks, until there are enough; commoner ones only score what is proposed, so that a question
 * costs what its rare words cost. A chunk that has none of the rarer ones would not come first anyway.
 */
import type { DerivedDatabase } from '../store/derived/derived-database.js';
import { pathTerm } from '../store/derived/documents.js';
import { readWord, type WordPostings } from '../store/derived/postings.js';
import { weightOfLevel } from '../store/derived/term-weights.js';
import { bestOf } from './best.js';
import type { ChunkRanges } from './chunk-ranges.js';

/**
 * Less than BM25's usual 1.2, since the length of a typical chunk is fixed (term-weights.ts): NDCG@10 of questions to eleven
 * repositories was 0.696, 0.700, 0.719 with 1.2, 0.8, 0.4, MRR@10 of two sets of docstrings (0.52, 0.36), (0.50, 0.34), (0.46, 0.32).
 */
const saturation = 0.8;
/** What a word in the path counts, where one in a text of the usual length counts 1. */
const pathWeight = 1;
/** Chunks that are enough to choose from: 100 times what is asked for at most. */
const proposedMax = 20_000;

/** A word of the question. */
export interface QueryTerm {
  readonly term: string;
  /** Inverse document frequency; it is never below 0, however common the word is. */
  readonly idf: number;
  readonly postings: WordPostings;
  /** Paths that have it. */
  readonly inPaths: WordPostings;
}

/** The words as the project knows them, the rarest first; those that it does not have are left out. */
export function readTerms(derived: DerivedDatabase, terms: readonly string[]): QueryTerm[] {
  const { chunks } = derived.facts;
  return terms
    .map((term) => {
      const postings = readWord(derived, term);
      const inPaths = readWord(derived, pathTerm(term));
      const having = Math.max(postings.count, inPaths.count);
      // What is dropped and not merged away yet still counts among those that have it.
      const all = Math.max(chunks, having);
      return { term, idf: Math.log(1 + (all - having + 0.5) / (having + 0.5)), postings, inPaths };
    })
    .filter(({ postings, inPaths }) => postings.count + inPaths.count > 0)
    .sort((a, b) => b.idf - a.idf || (a.term < b.term ? -1 : 1));
}

/** Chunks that have words of the question. */
export class WordMatches {
  readonly #terms: readonly QueryTerm[];
  /** Ids in ascending order. */
  readonly #chunks: Uint32Array;
  /** Per term the levels of the chunks. */
  readonly #levels: readonly Uint8Array[];

  /** @param also chunks that something else proposes, in ascending order */
  constructor(terms: readonly QueryTerm[], ranges: ChunkRanges, also: Uint32Array) {
    this.#terms = terms;
    this.#chunks = proposed(terms, ranges, also);
    this.#levels = terms.map(({ postings }) => postings.levelsOf(this.#chunks));
  }

  get count(): number {
    return this.#chunks.length;
  }

  /**
   * Best first, so many at most; what is equal in the order of ids.
   * @param pathTermsOf which of the terms the path of a chunk's file has, as far as that is known beforehand
   */
  best(limit: number, pathTermsOf: (chunkId: number) => readonly boolean[] | undefined): number[] {
    const scores = Float64Array.from(this.#chunks, (chunkId, position) =>
      this.#scoreAt(position, pathTermsOf(chunkId)),
    );
    return bestOf(scores, limit).map((position) => this.#chunks[position] ?? 0);
  }

  /** @param pathTerms which of the terms the path has */
  scoreOf(chunkId: number, pathTerms: readonly boolean[]): number {
    const position = positionIn(this.#chunks, chunkId);
    return position === -1 ? 0 : this.#scoreAt(position, pathTerms);
  }

  #scoreAt(position: number, pathTerms: readonly boolean[] | undefined): number {
    let score = 0;
    for (let at = 0; at < this.#terms.length; at += 1) {
      const inPath = pathTerms?.[at] === true ? pathWeight : 0;
      const weight = (weightOfLevel[this.#levels[at]?.[position] ?? 0] ?? 0) + inPath;
      score += ((this.#terms[at]?.idf ?? 0) * (saturation + 1) * weight) / (weight + saturation);
    }
    return score;
  }
}

function proposed(terms: readonly QueryTerm[], ranges: ChunkRanges, also: Uint32Array): Uint32Array {
  let chunks = also;
  for (const { postings } of terms) {
    if (chunks.length - also.length >= proposedMax) break;
    const having = new Uint32Array(postings.count);
    let count = 0;
    const isIn = ranges.walk();
    postings.forEach((chunkId) => {
      if (isIn(chunkId)) having[count++] = chunkId;
    });
    chunks = union(chunks, having.subarray(0, count));
  }
  return chunks;
}

/** Of two ascending lists. */
export function union(a: Uint32Array, b: Uint32Array): Uint32Array {
  if (a.length === 0) return b;
  const merged = new Uint32Array(a.length + b.length);
  let count = 0;
  for (let i = 0, j = 0; i < a.length || j < b.length;) {
    const left = a[i] ?? Number.POSITIVE_INFINITY;
    const right = b[j] ?? Number.POSITIVE_INFINITY;
    merged[count++] = Math.min(left, right);
    if (left <= right) i += 1;
    if (right <= left) j += 1;
  }
  return merged.subarray(0, count);
}

function positionIn(ascending: Uint32Array, value: number): number {
  let low = 0;
  let high = ascending.length - 1;
  while (low <= high) {
    const middle = (low + high) >>> 1;
    const found = ascending[middle] ?? 0;
    if (found === value) return middle;
    if (found < value) low = middle + 1;
    else high = middle - 1;
  }
  return -1;
}
