import { Slicer } from '../base/waiting.js';
import { wordsOf } from '../base/search-words.js';
import { termOf } from '../base/search-terms.js';
import { pieceOf, textOf } from '../store/derived/chunk-texts.js';
import type { DerivedDatabase } from '../store/derived/derived-database.js';
import { documentOf, pathById } from '../store/derived/documents.js';
import { activeContentAt } from '../store/active-contents.js';
import type { IndexDatabase } from '../store/index-database.js';
import { bestOf } from './best.js';
import type { ChunkRanges } from './chunk-ranges.js';
import { type FoundChunk, FoundDocuments, type SearchFilter } from './found-documents.js';
import { parseQuery, type Query } from './query-words.js';
import { byScore, type Candidate, fuse, type Ranked, withoutOverlaps } from './rank.js';
import { askVectors, type SimilarChunks } from './semantic.js';
import { snippetOf } from './snippet.js';
import { type PathMatch, type QueryTerm, readTerms, WordMatches } from './word-search.js';

/** Chunks that each kind of search may propose: twice the most that can be asked for, so that fusion has a choice. */
const candidatesMax = 200;
/**
 * Chunks that are looked up to find so many in files that are there and pass the filter: mostly the first ones do, and to put
 * the rest in order takes longer than to look them up.
 */
const lookedUpAtFirst = 1_000;
const lookedUpMax = 20_000;
/** What the cosine of a path's words counts beside that of a chunk's; see SimilarChunks.cosinesOfPaths. */
const pathSimilarityWeight = 0.3;
/** Paths that a word proposes files by; one that more paths have only counts for what is proposed. */
const proposingPathsMax = 300;
/** Files that are looked up because of their paths: those whose words say most. */
const pathMatchesMax = 200;

export interface SearchRequest {
  query: string;
  /** By words, by meaning, or both. */
  mode: 'hybrid' | 'fulltext' | 'semantic';
  /** Hits at most, up to 100. */
  limit: number;
  filter: SearchFilter;
}

/** A project and what is made of its contents. */
export interface SearchedProject {
  id: string;
  derived: DerivedDatabase;
}

export interface SearchHit {
  projectId: string;
  path: string;
  /** Counted from 1, inclusive. */
  startLine: number;
  endLine: number;
  /** Qualified name. */
  entity: string | null;
  /** Larger is better; compares within one answer only: BM25F, a cosine, or the fused score of rank.ts. */
  score: number;
  /** At most 12 lines of the hit. */
  snippet: string;
}

type FoundCandidate = Candidate & { projectId: string; found: FoundChunk; cosine: number | null };

/**
 * Finds the chunks of present files that answer a query, best first, the same for the same index. What has no
 * vector yet is found by its words in hybrid mode, and not at all in semantic mode.
 * @throws the signal's reason when it aborts; DerivedDamageError
 */
export async function search(
  index: IndexDatabase,
  projects: readonly SearchedProject[],
  request: SearchRequest,
  signal: AbortSignal,
): Promise<SearchHit[]> {
  const query = parseQuery(request.query);
  if (query.words.length === 0) return [];
  const candidates: FoundCandidate[] = [];
  const slicer = new Slicer(signal);
  for (const project of projects) {
    candidates.push(...(await candidatesIn(index, project, query, request, signal)));
    // Many projects take long together, and others ask meanwhile.
    await slicer.breathe();
  }
  const ranked = rank(request.mode, candidates, query);
  const kept = withoutOverlaps(ranked, request.limit, ({ projectId, path }) => `${projectId}/${path}`);
  return kept.map((entry) => hitOf(index, entry, query));
}

/** All that was found by either search, with all scores that are known of it. */
async function candidatesIn(
  index: IndexDatabase,
  { id, derived }: SearchedProject,
  query: Query,
  { mode, filter }: SearchRequest,
  signal: AbortSignal,
): Promise<FoundCandidate[]> {
  const documents = new FoundDocuments(index, derived, id, filter);
  const ranges = derived.read(() => documents.ranges());
  const asked = mode === 'fulltext' ? null : await askVectors(derived, query.text, ranges, signal);
  const byWords =
    mode === 'semantic' ? null : derived.read(() => new ByWords(index, derived, id, query, ranges));
  const worded = byWords === null ? [] : derived.read(() => presentByWords(documents, byWords));
  const also = worded.map(({ chunkId }) => chunkId);
  const similar = (await asked?.similar(also, lookedUpMax)) ?? null;
  const alike = similar === null ? [] : derived.read(() => present(documents, similar.best));
  const byPlace = new Map([...worded, ...alike].map((chunk) => [`${chunk.chunkId} ${chunk.path}`, chunk]));
  const found = [...byPlace.values()];
  const ofPaths = (await similar?.cosinesOfPaths(found.map(({ path }) => path))) ?? [];
  return found.map((chunk, at) => candidateOf(id, chunk, { byWords, similar, ofPath: ofPaths[at] ?? 0 }));
}

interface Evidence {
  byWords: ByWords | null;
  similar: SimilarChunks | null;
  /** Cosine of the path's words. */
  ofPath: number;
}

function candidateOf(
  projectId: string,
  found: FoundChunk,
  { byWords, similar, ofPath }: Evidence,
): FoundCandidate {
  const { chunkId, path, startLine, endLine, entity } = found;
  const cosine = similar?.cosineOf(chunkId) ?? null;
  return {
    projectId,
    chunkId,
    path,
    startLine,
    endLine,
    entity,
    wordScore: byWords?.scoreOf(found) ?? 0,
    similarity: similar?.deviationsOf(chunkId, pathSimilarityWeight * ofPath) ?? null,
    cosine: cosine === null ? null : cosine + pathSimilarityWeight * ofPath,
    found,
  };
}

function presentByWords(documents: FoundDocuments, byWords: ByWords): FoundChunk[] {
  const found = present(documents, byWords.best(lookedUpAtFirst));
  const isEnough = found.length >= candidatesMax || byWords.count <= lookedUpAtFirst;
  return isEnough ? found : present(documents, byWords.best(lookedUpMax));
}

/** Those that files have which are there and pass the filter, in the order of the chunks, as many as are wanted. */
function present(documents: FoundDocuments, chunkIds: readonly number[]): FoundChunk[] {
  const found: FoundChunk[] = [];
  for (const chunkId of chunkIds) {
    found.push(...documents.withChunk(chunkId));
    if (found.length >= candidatesMax) break;
  }
  return found;
}

/** What the words of a question find in one project. Made and asked within one read of the derived database. */
class ByWords {
  readonly #terms: readonly QueryTerm[];
  readonly #matches: WordMatches;
  /** Documents of files whose paths have words of the question, in the order of their chunks. */
  readonly #pathMatches: readonly PathMatch[];
  readonly #termsOfPaths = new Map<string, readonly boolean[]>();

  constructor(
    index: IndexDatabase,
    derived: DerivedDatabase,
    projectId: string,
    query: Query,
    ranges: ChunkRanges,
  ) {
    this.#terms = readTerms(derived, query.terms);
    this.#pathMatches = this.#matchPaths(index, derived, projectId);
    // Of a file that only its path proposes, its beginning stands for it.
    const also = Uint32Array.from(this.#pathMatches, ({ firstChunk }) => firstChunk);
    this.#matches = new WordMatches(this.#terms, ranges, also);
  }

  /** Chunks that have any of the words, as far as they were looked for. */
  get count(): number {
    return this.#matches.count;
  }

  /** Best first. */
  best(limit: number): number[] {
    return this.#matches.best(limit, this.#pathMatches);
  }

  scoreOf({ chunkId, path }: FoundChunk): number {
    return this.#matches.scoreOf(chunkId, this.#termsOf(path));
  }

  #termsOf(path: string): readonly boolean[] {
    const known = this.#termsOfPaths.get(path);
    if (known !== undefined) return known;
    const inPath = new Set(wordsOf(path).map(termOf));
    const terms = this.#terms.map(({ term }) => inPath.has(term));
    this.#termsOfPaths.set(path, terms);
    return terms;
  }

  #matchPaths(index: IndexDatabase, derived: DerivedDatabase, projectId: string): PathMatch[] {
    const said = new Map<number, number>();
    for (const { inPaths, idf } of this.#terms) {
      if (inPaths.count <= proposingPathsMax)
        inPaths.forEach((id) => said.set(id, (said.get(id) ?? 0) + idf));
    }
    const ids = Uint32Array.from(said.keys()).sort();
    const best = bestOf(
      Float64Array.from(ids, (id) => said.get(id) ?? 0),
      pathMatchesMax,
    );
    const matches = new Map<number, PathMatch>();
    for (const position of best) {
      const path = pathById(derived, ids[position] ?? 0);
      const file = path === null ? null : activeContentAt(index, projectId, path);
      const document = file === null ? undefined : documentOf(derived, file.sha256, file.language);
      if (file !== null && document !== undefined && document.chunks > 0)
        matches.set(document.firstChunk, { ...document, terms: this.#termsOf(file.path) });
    }
    return [...matches.values()].sort((a, b) => a.firstChunk - b.firstChunk);
  }
}

function rank(
  mode: SearchRequest['mode'],
  candidates: readonly FoundCandidate[],
  query: Query,
): Ranked<FoundCandidate>[] {
  if (mode === 'hybrid') return fuse(candidates, query);
  return candidates
    .map((candidate) => ({
      candidate,
      score: mode === 'fulltext' ? candidate.wordScore : (candidate.cosine ?? 0),
    }))
    .sort(byScore);
}

function hitOf(index: IndexDatabase, { candidate, score }: Ranked<FoundCandidate>, query: Query): SearchHit {
  const { projectId, path, startLine, endLine, entity, found } = candidate;
  const text = textOf(index, found.document.sha256) ?? '';
  const snippet = snippetOf(pieceOf(text, found.chunk), query.words);
  return { projectId, path, startLine, endLine, entity, score, snippet };
}
