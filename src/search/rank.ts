/**
 * How answers are put in order. Pure: all facts are arguments, so that the order can be tested without an index.
 *
 * The scores of the two searches have nothing in common but their order of size, so each is turned into a z-score,
 * how many standard deviations it lies above the mean of its kind, and these are added. Measured against
 * reciprocal-rank fusion, sums of scores find more, since they know how much better the first is than the second.
 */
import { wordsOf } from '../base/search-words.js';
import type { Query } from './query-words.js';

/**
 * Weight of similarity beside a weight of 1 for words. MRR@10 of 566 questions to commented functions was 0.397, 0.400,
 * 0.397 and 0.387 with 0.15, 0.3, 0.5 and 0.8, where words alone had 0.368.
 */
const semanticWeight = 0.3;
/** In standard deviations: an entity whose name is the query is what was asked for. */
const exactNameBoost = 3;
/** For a name that has all words of the query; in proportion for some of them. */
const nameWordsBoost = 1;
/** A test repeats the words of what it tests. */
const testPenalty = 0.5;

/** A chunk that at least one of the searches found. */
export interface Candidate {
  readonly chunkId: number;
  readonly path: string;
  readonly startLine: number;
  readonly endLine: number;
  /** Qualified name of its entity. */
  readonly entity: string | null;
  /** BM25; 0 where no word of the query is in it. */
  readonly wordScore: number;
  /** In standard deviations above the mean of its project's chunks; null where it has no vector. */
  readonly similarity: number | null;
}

export interface Ranked<T> {
  readonly candidate: T;
  readonly score: number;
}

/** Candidates by fused score, best first. Scores compare within one answer only. */
export function fuse<T extends Candidate>(candidates: readonly T[], query: Query): Ranked<T>[] {
  const wordZ = zScores(candidates.map(({ wordScore }) => wordScore));
  const asksForTests = query.words.some((word) => testWords.has(word));
  const ranked = candidates.map((candidate, position) => ({
    candidate,
    score:
      (wordZ[position] ?? 0) +
      semanticWeight * (candidate.similarity ?? 0) +
      nameBoost(candidate.entity, query) -
      (isTestPath(candidate.path) && !asksForTests ? testPenalty : 0),
  }));
  return ranked.sort(byScore);
}

/** (value - mean) / standard deviation; all 0 where the values do not differ. */
export function zScores(values: readonly number[]): number[] {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  const deviation = Math.sqrt(variance);
  return values.map((value) => (deviation > 0 ? (value - mean) / deviation : 0));
}

/** Best score first; where equal by path (code units), line and id, so that the order never varies. */
export function byScore<T extends Candidate>(a: Ranked<T>, b: Ranked<T>): number {
  if (a.score !== b.score) return b.score - a.score;
  if (a.candidate.path !== b.candidate.path) return a.candidate.path < b.candidate.path ? -1 : 1;
  return a.candidate.startLine - b.candidate.startLine || a.candidate.chunkId - b.candidate.chunkId;
}

function nameBoost(entity: string | null, query: Query): number {
  if (entity === null || query.words.length === 0) return 0;
  const name = lastName(entity);
  const asked = squashed(query.text);
  if (squashed(name) === asked || squashed(entity) === asked) return exactNameBoost;
  const nameWords = new Set(wordsOf(name));
  const known = query.words.filter((word) => nameWords.has(word)).length;
  return (nameWordsBoost * known) / query.words.length;
}

/** Letters and digits only: `send request`, `sendRequest` and `SEND_REQUEST` ask for the same name. */
function squashed(text: string): string {
  return text.toLowerCase().replaceAll(/[^\p{L}\p{N}]/gu, '');
}

/** `Parser.parse` is called parse. */
function lastName(qualified: string): string {
  return qualified.split(/[.:#]+/).at(-1) ?? '';
}

const testWords: ReadonlySet<string> = new Set([
  'test',
  'tests',
  'testing',
  'spec',
  'specs',
  'fixture',
  'fixtures',
]);

/** By the words of its folders and its name, as the common test runners find their files. */
export function isTestPath(path: string): boolean {
  return wordsOf(path).some((word) => testWords.has(word));
}

/** Drops what overlaps, in the same file, something that ranks higher; at most `limit`. */
export function withoutOverlaps<T extends Candidate>(
  ranked: readonly Ranked<T>[],
  limit: number,
  fileOf: (candidate: T) => string,
): Ranked<T>[] {
  const kept: Ranked<T>[] = [];
  const regions = new Map<string, T[]>();
  for (const entry of ranked) {
    if (kept.length >= limit) break;
    const { candidate } = entry;
    const file = fileOf(candidate);
    const taken = regions.get(file) ?? [];
    if (taken.some((other) => candidate.startLine <= other.endLine && other.startLine <= candidate.endLine))
      continue;
    regions.set(file, [...taken, candidate]);
    kept.push(entry);
  }
  return kept;
}
