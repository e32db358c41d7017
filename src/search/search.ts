import { type ChunkFilter, type ChunkMatch, matchChunks } from '../store/chunk-search.js';
import { type ChunkRow, chunksById } from '../store/derived.js';
import type { IndexDatabase } from '../store/index-database.js';
import { matchExpression, parseQuery, type Query } from './query-words.js';
import { byScore, type Candidate, fuse, type Ranked, withoutOverlaps } from './rank.js';
import { type SimilarChunks, similarChunks } from './semantic.js';
import { snippetOf } from './snippet.js';

/** Chunks that each kind of search may propose: twice the most that can be asked for, so that fusion has a choice. */
const candidatesMax = 200;

export interface SearchRequest {
  query: string;
  /** By words, by meaning, or both. */
  mode: 'hybrid' | 'fulltext' | 'semantic';
  /** Hits at most, up to 100. */
  limit: number;
  filter: ChunkFilter;
}

export interface SearchHit {
  projectId: string;
  path: string;
  /** Counted from 1, inclusive. */
  startLine: number;
  endLine: number;
  /** Qualified name. */
  entity: string | null;
  /** Larger is better; compares within one answer only: BM25, a cosine, or the fused score of rank.ts. */
  score: number;
  /** At most 12 lines of the hit. */
  snippet: string;
}

type FoundChunk = Candidate & { readonly row: ChunkRow };

/**
 * Finds the chunks of present files that answer a query, best first, the same for the same index. What has no
 * vector yet is found by its words in hybrid mode, and not at all in semantic mode.
 * @throws the signal's reason when it aborts
 */
export async function search(
  index: IndexDatabase,
  projectIds: readonly string[],
  request: SearchRequest,
  signal: AbortSignal,
): Promise<SearchHit[]> {
  const { mode, limit, filter } = request;
  const query = parseQuery(request.query);
  if (query.words.length === 0 || projectIds.length === 0) return [];
  const similar =
    mode === 'fulltext' ? [] : await similarInProjects(index, projectIds, query, filter, signal);
  const matches =
    mode === 'semantic'
      ? []
      : matchChunks(index, projectIds, matchExpression(query.words), filter, candidatesMax);
  const candidates = candidatesOf(index, similar, matches);
  const ranked = rank(mode, candidates, similar, query);
  return withoutOverlaps(ranked, limit, ({ row }) => `${row.projectId}/${row.path}`).map((entry) =>
    hitOf(entry, query),
  );
}

async function similarInProjects(
  index: IndexDatabase,
  projectIds: readonly string[],
  query: Query,
  filter: ChunkFilter,
  signal: AbortSignal,
): Promise<SimilarChunks[]> {
  const answers: SimilarChunks[] = [];
  for (const projectId of projectIds) {
    const answer = await similarChunks(index, projectId, query.text, filter, candidatesMax, signal);
    if (answer !== null) answers.push(answer);
  }
  return answers;
}

/** All that was found by either search, with all scores that are known of it. */
function candidatesOf(
  index: IndexDatabase,
  similar: readonly SimilarChunks[],
  matches: readonly ChunkMatch[],
): FoundChunk[] {
  const wordScores = new Map(matches.map(({ chunkId, score }) => [chunkId, score]));
  const ids = new Set([...wordScores.keys(), ...similar.flatMap(({ best }) => best)]);
  return [...chunksById(index, [...ids]).values()].map((row) => ({
    chunkId: row.id,
    path: row.path,
    startLine: row.startLine,
    endLine: row.endLine,
    entity: row.entity,
    wordScore: wordScores.get(row.id) ?? 0,
    similarity: firstKnown(similar, ({ deviationsOf }) => deviationsOf(row.id)),
    row,
  }));
}

function firstKnown<T>(items: readonly T[], valueOf: (item: T) => number | null): number | null {
  for (const item of items) {
    const value = valueOf(item);
    if (value !== null) return value;
  }
  return null;
}

function rank(
  mode: SearchRequest['mode'],
  candidates: readonly FoundChunk[],
  similar: readonly SimilarChunks[],
  query: Query,
): Ranked<FoundChunk>[] {
  if (mode === 'hybrid') return fuse(candidates, query);
  const scoreOf = (candidate: FoundChunk): number =>
    mode === 'fulltext'
      ? candidate.wordScore
      : (firstKnown(similar, ({ cosineOf }) => cosineOf(candidate.chunkId)) ?? 0);
  return candidates.map((candidate) => ({ candidate, score: scoreOf(candidate) })).sort(byScore);
}

function hitOf({ candidate, score }: Ranked<FoundChunk>, query: Query): SearchHit {
  const { row } = candidate;
  return {
    projectId: row.projectId,
    path: row.path,
    startLine: row.startLine,
    endLine: row.endLine,
    entity: row.entity,
    score,
    snippet: snippetOf(row.text, query.words),
  };
}
