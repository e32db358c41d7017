import type { Pause } from './dense.js';
import type { Document } from './provider.js';
import type { SparseMatrix } from './sparse-matrix.js';
import { countWords, inverseDocumentFrequency, termWeight } from './word-counts.js';

/** Words that a model knows. Rarer ones say little about meaning, and fulltext search finds them anyway. */
export const vocabularyMax = 20_000;

/** In a corpus of fewer documents every word counts: waiting for a second occurrence would leave too few. */
const smallCorpusDocuments = 500;

/** Different words that are told apart while reading; bounds memory (about 50 MB) where a project is full of data. */
const distinctWordsMax = 500_000;

/** What is learned from a corpus before any algebra. */
export interface WeightedCorpus {
  /** Sorted by document frequency, the commonest first, then by code units: the same corpus, the same order. */
  readonly words: readonly string[];
  /** Inverse document frequency of each word. */
  readonly idf: Float32Array;
  /** A row for each document: tf-idf of its words, of unit length. */
  readonly matrix: SparseMatrix;
}

interface CountedDocument {
  readonly wordIds: Int32Array;
  readonly weights: Float32Array;
}

/** Counts documents one by one, so that their texts need not be in memory together. */
export class Corpus {
  readonly #ids = new Map<string, number>();
  readonly #documentFrequency: number[] = [];
  readonly #documents: CountedDocument[] = [];

  get size(): number {
    return this.#documents.length;
  }

  add(document: Document): void {
    const wordIds: number[] = [];
    const weights: number[] = [];
    for (const [word, count] of countWords(document)) {
      const id = this.#idOf(word);
      if (id === undefined) continue;
      this.#documentFrequency[id] = (this.#documentFrequency[id] ?? 0) + 1;
      wordIds.push(id);
      weights.push(termWeight(count));
    }
    this.#documents.push({ wordIds: Int32Array.from(wordIds), weights: Float32Array.from(weights) });
  }

  #idOf(word: string): number | undefined {
    const known = this.#ids.get(word);
    if (known !== undefined) return known;
    if (this.#ids.size >= distinctWordsMax) return undefined;
    this.#ids.set(word, this.#ids.size);
    return this.#ids.size - 1;
  }

  async weigh(pause: Pause): Promise<WeightedCorpus> {
    const words = this.#vocabulary();
    const columnOf = new Int32Array(this.#ids.size).fill(-1);
    const idf = new Float32Array(words.length);
    words.forEach((word, column) => {
      const id = this.#ids.get(word) ?? -1;
      columnOf[id] = column;
      idf[column] = inverseDocumentFrequency(this.size, this.#documentFrequency[id] ?? 0);
    });
    return { words, idf, matrix: await weighedMatrix(this.#documents, columnOf, idf, pause) };
  }

  #vocabulary(): string[] {
    const frequencyMin = this.size < smallCorpusDocuments ? 1 : 2;
    const frequencyOf = (id: number): number => this.#documentFrequency[id] ?? 0;
    return [...this.#ids]
      .filter(([, id]) => frequencyOf(id) >= frequencyMin)
      .sort(([a, idA], [b, idB]) => frequencyOf(idB) - frequencyOf(idA) || (a < b ? -1 : 1))
      .slice(0, vocabularyMax)
      .map(([word]) => word);
  }
}

async function weighedMatrix(
  documents: readonly CountedDocument[],
  columnOf: Int32Array,
  idf: Float32Array,
  pause: Pause,
): Promise<SparseMatrix> {
  const entries = documents.reduce((sum, { wordIds }) => sum + wordIds.length, 0);
  const rowStarts = new Int32Array(documents.length + 1);
  const columns = new Int32Array(entries);
  const values = new Float32Array(entries);
  let end = 0;
  for (const [row, { wordIds, weights }] of documents.entries()) {
    const start = end;
    let squares = 0;
    for (let position = 0; position < wordIds.length; position++) {
      const column = columnOf[wordIds[position] ?? 0] ?? -1;
      if (column === -1) continue;
      const value = (weights[position] ?? 0) * (idf[column] ?? 0);
      squares += value * value;
      columns[end] = column;
      values[end] = value;
      end += 1;
    }
    const length = Math.sqrt(squares);
    for (let entry = start; entry < end; entry++) values[entry] = (values[entry] ?? 0) / length;
    rowStarts[row + 1] = end;
    await pause();
  }
  return { rows: documents.length, columnCount: idf.length, rowStarts, columns, values };
}
