import type { Work } from '../../base/progress.js';
import { Slicer } from '../../base/waiting.js';
import { type Embedder, type EmbeddingProvider, UnusableModelError } from '../../embedding/provider.js';
import { type ChunkText, chunkTexts } from '../../store/derived/chunk-texts.js';
import { trainAside } from '../../embedding/train-thread.js';
import type { DerivedDatabase } from '../../store/derived/derived-database.js';
import { type DocumentRow, documentsFrom } from '../../store/derived/documents.js';
import {
  addModel,
  becomeCurrent,
  currentModel,
  type DocumentVectors,
  encodeVectors,
  hasLeftVectors,
  type ModelRow,
  nextModel,
  putVectors,
  removeLeftVectors,
  stateOf,
} from '../../store/derived/vectors.js';
import type { IndexDatabase } from '../../store/index-database.js';
import type { Project } from '../../store/projects.js';
import { sampledChunks } from './sample.js';

/** Chunks that are read, embedded and written at once, and UTF-16 units of text: a transaction of some 3 ms. */
const batchChunks = 256;
const batchUnits = 1024 * 1024;
/** Documents that are read ahead. */
const batchDocuments = 64;

/** Its progress has the operation, for people, as its phase. */
export interface VectorizationContext extends Work {
  index: IndexDatabase;
  derived: DerivedDatabase;
  provider: EmbeddingProvider;
  project: Project;
  /** Documents below this chunk id had their contents long since, or never get them. */
  ripeBelow: number;
}

/**
 * Learns a model from the project. Unless it is the first one, the vectors of the one before are used until it has made
 * all of its own.
 */
export async function trainProject(context: VectorizationContext): Promise<void> {
  const { index, derived, provider, project, signal } = context;
  const trainedOn = derived.read(() => derived.facts.chunks);
  const sample = sampledChunks(index, derived, provider.trainingDocumentsMax, signal);
  const trained = await trainAside(provider, sample, {
    signal,
    progress: (_phase, done, total) => context.progress(`learning ${project.rootDir}`, done, total),
  });
  await derived.write(() => addModel(derived, { provider: provider.name, trainedOn, ...trained }), signal);
}

/** Null where none of this provider can be made of it (another provider's, another version's, damaged). */
export function openModel(
  { derived, provider }: VectorizationContext,
  model: Pick<ModelRow, 'id' | 'provider'>,
): Embedder | null {
  const state = derived.read(() => stateOf(derived, model.id));
  if (state === undefined || model.provider !== provider.name) return null;
  try {
    return provider.open(state);
  } catch (error) {
    if (error instanceof UnusableModelError) return null;
    throw error;
  }
}

/**
 * Makes vectors of what had come when it was called, a batch after the other: first for the model whose vectors are used, so
 * that new files are found while the next one's are made.
 * @returns what is left: nothing, or documents whose contents are not there yet
 */
export async function embedProject(
  context: VectorizationContext,
  open: (model: ModelRow) => Embedder | null,
): Promise<'nothing' | 'waiting'> {
  const { derived, project, signal } = context;
  const { nextChunk, chunks } = derived.read(() => derived.facts);
  const operation = `embedding ${project.rootDir}`;
  const slicer = new Slicer(signal);
  for (;;) {
    const model = unfinished(derived, nextChunk);
    if (model === undefined) break;
    // Whoever removed it makes another one, with other ids.
    if (!derived.isInPlace) return 'waiting';
    const embedder = open(model);
    if (embedder === null) return 'nothing';
    context.progress(operation, Math.min(model.chunks, chunks), chunks);
    if ((await embedBatch(context, model, embedder, slicer)) === 'waiting') return 'waiting';
  }
  const next = derived.read(() => nextModel(derived));
  if (next !== undefined) await derived.write(() => becomeCurrent(derived, next), signal);
  return 'nothing';
}

/** The current one before the next one; undefined where no document below `nextChunk` lacks a vector of theirs. */
function unfinished(derived: DerivedDatabase, nextChunk: number): ModelRow | undefined {
  const lacks = (model: ModelRow | undefined): boolean => {
    if (model === undefined) return false;
    const [document] = documentsFrom(derived, model.doneBelow, 1);
    return document !== undefined && document.firstChunk < nextChunk;
  };
  return derived.read(() => [currentModel(derived), nextModel(derived)].find(lacks));
}

/** Documents that follow each other, with the texts of their chunks. */
interface Batch {
  readonly documents: readonly { firstChunk: number; texts: readonly ChunkText[] }[];
  /** All documents below are done with it. */
  readonly doneBelow: number;
  /** It ends before a document whose content is not there yet. */
  readonly isCutOff: boolean;
}

async function embedBatch(
  context: VectorizationContext,
  model: ModelRow,
  embedder: Embedder,
  slicer: Slicer,
): Promise<'done' | 'waiting'> {
  const { derived, signal } = context;
  await slicer.breathe();
  const { documents, doneBelow, isCutOff } = readBatch(context, model.doneBelow);
  const encoded: DocumentVectors[] = [];
  for (const { firstChunk, texts } of documents) {
    encoded.push(encodeVectors(firstChunk, await embedder.embed(texts, signal)));
    await slicer.breathe();
  }
  if (doneBelow > model.doneBelow)
    await derived.write(() => putVectors(derived, model.id, encoded, doneBelow), signal);
  return isCutOff ? 'waiting' : 'done';
}

/** Documents whose contents the index cannot give are passed over once they are ripe: they are found by their words only. */
function readBatch({ index, derived, ripeBelow }: VectorizationContext, from: number): Batch {
  const documents: { firstChunk: number; texts: ChunkText[] }[] = [];
  let doneBelow = from;
  let chunks = 0;
  let units = 0;
  for (const document of derived.read(() => documentsFrom(derived, from, batchDocuments))) {
    const texts = document.chunks === 0 ? [] : chunkTexts(index, derived, document);
    const isComplete = texts.length === document.chunks;
    if (!isComplete && document.firstChunk >= ripeBelow) return { documents, doneBelow, isCutOff: true };
    if (isComplete && texts.length > 0) documents.push({ firstChunk: document.firstChunk, texts });
    doneBelow = endOf(document);
    chunks += texts.length;
    units += texts.reduce((sum, { text }) => sum + text.length, 0);
    if (chunks >= batchChunks || units >= batchUnits) break;
  }
  return { documents, doneBelow, isCutOff: false };
}

function endOf({ firstChunk, chunks }: DocumentRow): number {
  return firstChunk + Math.max(chunks, 1);
}

/** Removes what earlier models left, in steps. */
export async function removeLeft({ derived, signal }: VectorizationContext): Promise<void> {
  const slicer = new Slicer(signal);
  while (derived.read(() => hasLeftVectors(derived))) {
    await derived.write(() => removeLeftVectors(derived), signal);
    await slicer.breathe();
  }
}
