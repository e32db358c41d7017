/**
 * Which chunks have the words of a question, and how much they say: BM25F (Robertson, Zaragoza and Taylor 2004) over the
 * chunks' names and texts and the paths of their files. Statistics are the project's own.
 *
 * The rarest words propose chunks, until there are enough; commoner ones only score what is proposed, so that a question
 * costs what its rare words cost. A chunk that has none of the rarer ones would not come first anyway.
 */
import type { DerivedDatabase } from '../store/derived/derived-database.js';
import { pathTerm } from '../store/derived/documents.js';
import { lowerBound, readWord, type WordPostings } from '../store/derived/postings.js';
import { weightOfLevel } from '../store/derived/term-weights.js';
import { bestOf } from './best.js';
import type { ChunkRange, ChunkRanges } from './chunk-ranges.js';

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

/** Chunks of a file whose path has some of the words. */
export interface PathMatch extends ChunkRange {
  /** Which of the terms. */
  readonly terms: readonly boolean[];
}

/** Chunks that have words of the question. */
export class WordMatches {
  /** Ids in ascending order. */
  readonly #chunks: Uint32Array;
  readonly #terms: readonly MatchedTerm[];

  /** @param also chunks that something else proposes, in ascending order */
  constructor(terms: readonly QueryTerm[], ranges: ChunkRanges, also: Uint32Array) {
    const chunks = proposed(terms, ranges, also);
    this.#chunks = chunks;
    this.#terms = terms.map(({ idf, postings }) => ({
      levels: postings.levelsOf(chunks),
      scores: weightOfLevel.map((weight) => scoreOf(idf, weight)),
      inPathScores: weightOfLevel.map((weight) => scoreOf(idf, weight + pathWeight)),
    }));
  }

  get count(): number {
    return this.#chunks.length;
  }

  /**
   * Best first, so many at most; what is equal in the order of ids.
   * @param pathMatches those that are known beforehand, in the order of their chunks
   */
  best(limit: number, pathMatches: readonly PathMatch[]): number[] {
    const scores = new Float64Array(this.#chunks.length);
    for (const { levels, scores: ofLevel } of this.#terms) {
      for (let at = 0; at < scores.length; at += 1)
        scores[at] = (scores[at] ?? 0) + (ofLevel[levels[at] ?? 0] ?? 0);
    }
    for (const { firstChunk, chunks, terms } of pathMatches) {
      const end = lowerBound(this.#chunks, firstChunk + chunks);
      for (let at = lowerBound(this.#chunks, firstChunk); at < end; at += 1)
        scores[at] = this.#scoreAt(at, terms);
    }
    return bestOf(scores, limit).map((position) => this.#chunks[position] ?? 0);
  }

  /** @param pathTerms which of the terms the path has */
  scoreOf(chunkId: number, pathTerms: readonly boolean[]): number {
    const position = lowerBound(this.#chunks, chunkId);
    return this.#chunks[position] === chunkId ? this.#scoreAt(position, pathTerms) : 0;
  }

  #scoreAt(position: number, pathTerms: readonly boolean[]): number {
    return this.#terms.reduce((sum, { levels, scores, inPathScores }, term) => {
      const level = levels[position] ?? 0;
      return sum + ((pathTerms[term] === true ? inPathScores[level] : scores[level]) ?? 0);
    }, 0);
  }
}

/** A term and what it says of the chunks. */
interface MatchedTerm {
  /** By the position of the chunk; 0: it is not in it. */
  readonly levels: Uint8Array;
  /** By level. */
  readonly scores: Float64Array;
  /** By level, where the path has it, too. */
  readonly inPathScores: Float64Array;
}

/** BM25's part of one term. */
function scoreOf(idf: number, weight: number): number {
  return (idf * (saturation + 1) * weight) / (weight + saturation);
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
function union(a: Uint32Array, b: Uint32Array): Uint32Array {
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
