import assert from 'node:assert/strict';
import { test } from 'node:test';
import { join } from 'node:path';
import { createRequire } from 'node:module';
import { wordsOf } from '#src/base/search-words.js';
import { lsa } from '#src/embedding/lsa.js';
import type { Document } from '#src/embedding/provider.js';
import { search, type SearchRequest } from '#src/search/search.js';
import { chunkTexts } from '#src/store/derived/chunk-texts.js';
import { documentsFrom } from '#src/store/derived/documents.js';
import { currentModel, stateOf } from '#src/store/derived/vectors.js';
import { pathsWith } from '#src/store/active-contents.js';
import { commentedFunctions, meanReciprocalRank, type Question } from './doc-comments.js';
import { FixtureIndex } from './project-fixture.js';

/** Well commented sources that are there after `npm ci`. */
const folders = ['commander/lib', 'winston/lib'];
const modules = join(createRequire(import.meta.url).resolve('commander'), '../..');

/** Figures vary a little with the versions of the packages; what is held is the order, not the figures. */
const slack = 0.01;
const { signal } = new AbortController();

test('hybrid search finds functions by what their comments said, better than either half', async (context) => {
  using fixture = new FixtureIndex();
  const projectId = fixture.addProject();
  const { files, questions } = await commentedFunctions(modules, folders);
  for (const { path, content } of files) await fixture.put(projectId, path, content);
  assert.ok(questions.length >= 100, `only ${questions.length} questions`);
  await fixture.vectorize(projectId);
  const searched = await fixture.searched([projectId]);

  const quality = async (mode: SearchRequest['mode']): Promise<number> => {
    const ranks: (number | null)[] = [];
    for (const { query, path, entity } of questions) {
      const request: SearchRequest = { query, mode, limit: 10, filter: {} };
      const hits = await search(fixture.index, searched, request, signal);
      ranks.push(rankOf(hits, (hit) => hit.path === path && hit.entity === entity));
    }
    return meanReciprocalRank(ranks);
  };
  const fulltext = await quality('fulltext');
  const semantic = await quality('semantic');
  const hybrid = await quality('hybrid');
  const figures = `hybrid ${hybrid.toFixed(3)}, fulltext ${fulltext.toFixed(3)}, semantic ${semantic.toFixed(3)}`;
  context.diagnostic(`MRR@10 of ${questions.length} questions: ${figures}`);
  assert.ok(hybrid >= fulltext - slack && hybrid >= semantic - slack, figures);

  const derived = await fixture.derived.of(projectId);
  const chunks = documentsFrom(derived, 0, files.length).flatMap((document) =>
    chunkTexts(fixture.index, derived, document).map((chunk) => ({
      ...chunk,
      path: pathsWith(fixture.index, projectId, document, 1)[0],
    })),
  );
  const state = stateOf(derived, currentModel(derived)?.id ?? 0);
  const embedder = lsa.open(state ?? Buffer.alloc(0));
  const learned = await vectorQuality(questions, chunks, await embedder.embed(chunks, signal), (query) =>
    embedder.embedQuery(query, signal),
  );
  const hashed = await vectorQuality(
    questions,
    chunks,
    chunks.map(({ name, text }) => hashVector(`${`${name} `.repeat(4)}${text}`, embedder.dimensions)),
    (query) => Promise.resolve(hashVector(query, embedder.dimensions)),
  );
  context.diagnostic(`vectors alone: learned ${learned.toFixed(3)}, hashed ${hashed.toFixed(3)}`);
  assert.ok(learned > hashed + slack, `learned ${learned}, hashed ${hashed}`);
});

function rankOf<T>(hits: readonly T[], isRight: (hit: T) => boolean): number | null {
  const position = hits.findIndex(isRight);
  return position === -1 ? null : position + 1;
}

async function vectorQuality(
  questions: readonly Question[],
  chunks: readonly (Document & { path: string | undefined })[],
  vectors: readonly Float32Array[],
  embedQuery: (query: string) => Promise<Float32Array | null>,
): Promise<number> {
  const ranks: (number | null)[] = [];
  for (const { query, path, entity } of questions) {
    const asked = await embedQuery(query);
    const scores = vectors.map((vector) =>
      vector.reduce((sum, value, i) => sum + value * (asked?.[i] ?? 0), 0),
    );
    const best = chunks
      .map((_, position) => position)
      .sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0))
      .slice(0, 10);
    ranks.push(rankOf(best, (at) => chunks[at]?.path === path && chunks[at]?.name === entity));
  }
  return meanReciprocalRank(ranks);
}

/** Feature hashing (Weinberger and others 2009): each word adds or subtracts 1 at a place that its hash names. */
function hashVector(text: string, dimensions: number): Float32Array {
  const counts = new Map<string, number>();
  for (const word of wordsOf(text)) counts.set(word, (counts.get(word) ?? 0) + 1);
  const vector = new Float32Array(dimensions);
  for (const [word, count] of counts) {
    const hash = Buffer.from(word).reduce(
      (sum, byte) => Math.imul(sum ^ byte, 16_777_619) >>> 0,
      2_166_136_261,
    );
    const place = hash % dimensions;
    const sign = (hash >>> 16) % 2 === 0 ? 1 : -1;
    vector[place] = (vector[place] ?? 0) + sign * (1 + Math.log(count));
  }
  const length = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
  return vector.map((value) => value / (length === 0 ? 1 : length));
}
