/**
 * The built-in provider: latent semantic analysis (Deerwester and others 1990) of the project's own chunks. Words that
 * are used together come close to each other, so a query finds code that says the same in other words, without a
 * download, without a network, and with the project's own vocabulary.
 *
 * Method: tf-idf of each chunk (corpus.ts), truncated singular value decomposition (truncated-svd.ts), and for any
 * text, known or new, the sum of its words' vectors ("folding in"), scaled to unit length.
 */
import type { Work } from '../base/progress.js';
import { Slicer } from '../base/waiting.js';
import { Corpus } from './corpus.js';
import { decodeModel, encodeModel, type LsaModel, quantize } from './lsa-state.js';
import type { Document, Embedder, EmbeddingProvider, TrainedModel } from './provider.js';
import { addScaled, type SparseMatrix } from './sparse-matrix.js';
import { truncatedSvd } from './truncated-svd.js';
import { countQueryWords, countWords, termWeight } from './word-counts.js';

/** More than 256 dimensions cost memory and time in search, and gain little on one project. */
export const dimensionsMax = 256;

/** Chunks learned from; more change the vectors little, and 20,000 keep training at some 10 to 30 s and 220 MB. */
const trainingDocumentsMax = 20_000;

export const lsa: EmbeddingProvider = { name: 'lsa', trainingDocumentsMax, train, open };

async function train(documents: AsyncIterable<Document>, work: Work): Promise<TrainedModel> {
  const slicer = new Slicer(work.signal);
  const pause = (): Promise<void> => slicer.breathe();
  const corpus = new Corpus();
  for await (const document of documents) {
    corpus.add(document);
    await pause();
    if (corpus.size >= trainingDocumentsMax) break;
  }
  const { words, idf, matrix } = await corpus.weigh(pause);
  const progress = (done: number, total: number): void => work.progress('learn', done, total);
  const { termVectors } = await truncatedSvd(matrix, dimensionsFor(matrix), pause, progress);
  const model = quantize(words, idf, termVectors);
  return { dimensions: model.dimensions, state: encodeModel(model) };
}

/**
 * Half of what the matrix could have, in a small project: with all of it nothing would be merged, and the vectors
 * would say what the words say (MRR@10 with half against all: 0.522 and 0.513, 0.346 and 0.338 in two projects).
 */
function dimensionsFor({ rows, columnCount }: SparseMatrix): number {
  return Math.min(dimensionsMax, Math.ceil(Math.min(rows, columnCount) / 2));
}

function open(state: Buffer): Embedder {
  const model = decodeModel(state);
  const rows = new Map(model.words.map((word, row) => [word, row]));
  return {
    dimensions: model.dimensions,
    async embed(documents, signal) {
      const slicer = new Slicer(signal);
      const vectors: Float32Array[] = [];
      for (const document of documents) {
        vectors.push(fold(model, rows, countWords(document)));
        await slicer.breathe();
      }
      return vectors;
    },
    embedQuery(query) {
      const vector = fold(model, rows, countQueryWords(query));
      return Promise.resolve(vector.some((value) => value !== 0) ? vector : null);
    },
  };
}

/** The sum of the words' vectors by their weights, scaled to unit length; zero where no word is known. */
function fold(
  model: LsaModel,
  rows: ReadonlyMap<string, number>,
  counts: ReadonlyMap<string, number>,
): Float32Array {
  const vector = new Float32Array(model.dimensions);
  for (const [word, count] of counts) {
    const row = rows.get(word);
    if (row === undefined) continue;
    const weight = termWeight(count) * (model.idf[row] ?? 0) * (model.scales[row] ?? 0);
    addScaled(vector, model.levels, row * model.dimensions, weight);
  }
  // Loops, since a search folds the words of hundreds of paths: calling back for each value takes three times as long.
  let squares = 0;
  for (let i = 0; i < vector.length; i += 1) squares += (vector[i] ?? 0) ** 2;
  const length = Math.sqrt(squares);
  if (length > 0) for (let i = 0; i < vector.length; i += 1) vector[i] = (vector[i] ?? 0) / length;
  return vector;
}
