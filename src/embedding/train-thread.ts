import { on } from 'node:events';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { packagePath } from '../base/package.js';
import type { Work } from '../base/progress.js';
import { unlessAborted } from '../base/waiting.js';
import type { Document, EmbeddingProvider, TrainedModel } from './provider.js';
import { providerNamed } from './providers.js';

/** A thread that trains one model: what it needs for that, some 300 MB, is given back when it ends. */

interface Task {
  kind: 'train';
  provider: string;
}

/** Documents that are handed over at once; null: that were all. */
type Piece = readonly Document[] | null;

type Word =
  | { kind: 'progress'; phase: string; done: number; total: number }
  | { kind: 'trained'; dimensions: number; state: Uint8Array };

const pieceDocuments = 256;

/**
 * As the provider's `train`, in a thread of its own.
 * @throws what goes wrong in it; the signal's reason, at once
 */
export async function trainAside(
  { name }: Pick<EmbeddingProvider, 'name'>,
  documents: AsyncIterable<Document>,
  { signal, progress }: Work,
): Promise<TrainedModel> {
  signal.throwIfAborted();
  const task: Task = { kind: 'train', provider: name };
  const thread = new Worker(packagePath('dist', 'embedding', 'train-thread.js'), { workerData: task });
  const trained = new Promise<TrainedModel>((resolve, reject) => {
    thread.on('message', (word: Word) => {
      if (word.kind === 'progress') progress(word.phase, word.done, word.total);
      else resolve({ dimensions: word.dimensions, state: Buffer.from(word.state) });
    });
    thread.once('error', reject);
    thread.once('exit', () => reject(new Error('the thread that trains a model has ended')));
  });
  // The documents may end before it does, by an error of their own.
  trained.catch(() => undefined);
  try {
    let piece: Document[] = [];
    for await (const document of documents) {
      piece.push(document);
      if (piece.length < pieceDocuments) continue;
      thread.postMessage(piece satisfies Piece);
      piece = [];
    }
    thread.postMessage(piece satisfies Piece);
    thread.postMessage(null satisfies Piece);
    return await unlessAborted(trained, signal);
  } finally {
    await thread.terminate();
  }
}

async function* documentsFrom(port: NonNullable<typeof parentPort>): AsyncGenerator<Document> {
  for await (const [piece] of on(port, 'message') as AsyncIterable<[Piece]>) {
    if (piece === null) return;
    yield* piece;
  }
}

async function work({ provider }: Task): Promise<void> {
  const port = parentPort;
  if (port === null) return;
  const say = (word: Word): void => port.postMessage(word);
  const trained = await providerNamed(provider)?.train(documentsFrom(port), {
    // Whoever wants it to end ends the thread.
    signal: new AbortController().signal,
    progress: (phase, done, total) => say({ kind: 'progress', phase, done, total }),
  });
  if (trained === undefined) throw new Error(`no provider ${provider}`);
  say({ kind: 'trained', ...trained });
}

if (!isMainThread && (workerData as Partial<Task> | null)?.kind === 'train') await work(workerData as Task);
