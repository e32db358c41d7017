import type { Work } from '../base/progress.js';

/** A piece of a project as a provider sees it. */
export interface Document {
  /** Qualified name of the entity it is of, '' where there is none. */
  readonly name: string;
  readonly text: string;
}

/** What training gives. */
export interface TrainedModel {
  /** Length of the vectors; 0 where there was nothing to learn from, and then all vectors are empty. */
  readonly dimensions: number;
  /** All that `open` needs, in a format of the provider's own. */
  readonly state: Buffer;
}

/** Turns texts into vectors with one model. */
export interface Embedder {
  readonly dimensions: number;
  /** One vector per document, in order: of unit length, or all zero where the model knows none of its words. */
  embed(documents: readonly Document[], signal: AbortSignal): Promise<Float32Array[]>;
  /** A vector of unit length, or null where the model has nothing to say about the query. */
  embedQuery(query: string, signal: AbortSignal): Promise<Float32Array | null>;
}

/**
 * A way to make vectors. One that learns from the project itself reads the documents given to `train`. One that
 * asks a trained model elsewhere sets `trainingDocumentsMax` to 0, reads none, and keeps in its state what pins
 * that model (its name, its dimensions), so that vectors of different models never meet.
 */
export interface EmbeddingProvider {
  /** Kept with each model; a model of another provider is replaced. */
  readonly name: string;
  /** `train` reads at most so many documents: the caller gives an even sample of a bigger project. */
  readonly trainingDocumentsMax: number;
  /** Rejects with the signal's reason once it aborts, within 500 ms. */
  train(documents: AsyncIterable<Document>, work: Work): Promise<TrainedModel>;
  /** @throws UnusableModelError */
  open(state: Buffer): Embedder;
}

/** The state of a model is damaged, or was written by a version that this one cannot read: train again. */
export class UnusableModelError extends Error {
  override readonly name = 'UnusableModelError';
}
