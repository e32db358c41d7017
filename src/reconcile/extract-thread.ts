import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { messageOf } from '../base/errors.js';
import { giveWay } from '../base/give-way.js';
import { packagePath } from '../base/package.js';
import { Slicer } from '../base/waiting.js';
import { createParser } from '../syntax/parser.js';
import { type Extraction, type ExtractionJob, extractingWith } from './extract.js';

/** A thread that extracts one job after the other, in the order in which they come; see extractor-pool.ts. */

/**
 * Of a thread that gives way: the main one has three times its share of a core. At 10 others that are at work leave a thread so
 * little that a first index takes several times as long; on an idle machine there is no difference.
 */
const niceness = 5;

interface Start {
  kind: 'extract';
  /** WASM memory of its parser. */
  parseMemoryMaxBytes: number;
  /** Others are at work, and go first. */
  givesWay: boolean;
}

/** What came of a job. */
export type Answer = Extraction | { failed: string };

/** What a thread says: first that it has begun, then an answer for each job. */
type Word = 'ready' | Answer;

export interface ThreadLimits {
  /** Bytes of WASM memory for its parser. */
  parseMemoryMaxBytes: number;
  /** Bytes of V8's old generation. */
  heapMaxBytes: number;
  /** One that has work and has not said anything for so long (ms) is given up. */
  hangMs: number;
  /** Others are at work, and go first. */
  givesWay: boolean;
}

export interface ThreadListener<T> {
  onAnswer: (task: T, answer: Answer) => void;
  /** It ended by itself or was given up; what it had not answered is still in `tasks`, the first of them is what it was at. */
  onDeath: () => void;
}

export class ExtractThread<T extends { job: ExtractionJob }> {
  /** Not answered yet, in order. */
  readonly tasks: T[] = [];
  /** It has begun; one that ends before that can say nothing about a job. */
  isReady = false;
  readonly #thread: Worker;
  readonly #hangMs: number;
  readonly #listener: ThreadListener<T>;
  #hang: NodeJS.Timeout | null = null;
  #hasEnded = false;

  constructor(
    { parseMemoryMaxBytes, heapMaxBytes, hangMs, givesWay }: ThreadLimits,
    listener: ThreadListener<T>,
  ) {
    this.#hangMs = hangMs;
    this.#listener = listener;
    const start: Start = { kind: 'extract', parseMemoryMaxBytes, givesWay };
    this.#thread = new Worker(packagePath('dist', 'reconcile', 'extract-thread.js'), {
      workerData: start,
      resourceLimits: { maxOldGenerationSizeMb: Math.ceil(heapMaxBytes / 1024 ** 2) },
    });
    this.#thread.on('message', (word: Word) => this.#hear(word));
    this.#thread.once('error', () => this.#die());
    this.#thread.once('exit', () => this.#die());
  }

  /** It takes a copy of the bytes: with those at hand here another one can do what this one died of. */
  give(task: T): void {
    const { job } = task;
    const bytes = new Uint8Array(job.bytes);
    const stored = job.stored === null ? null : new Uint8Array(job.stored);
    const buffers = stored === null ? [bytes.buffer] : [bytes.buffer, stored.buffer];
    this.#thread.postMessage({ ...job, bytes, stored }, buffers);
    this.tasks.push(task);
    if (this.tasks.length === 1) this.#awaitWord();
  }

  /** At once, also in the middle of a parse; nobody is told. */
  end(): void {
    this.#hasEnded = true;
    if (this.#hang !== null) clearTimeout(this.#hang);
    void this.#thread.terminate();
  }

  #hear(word: Word): void {
    if (this.#hasEnded) return;
    this.isReady = true;
    const task = word === 'ready' ? undefined : this.tasks.shift();
    this.#awaitWord();
    if (task !== undefined && word !== 'ready') this.#listener.onAnswer(task, word);
  }

  #awaitWord(): void {
    if (this.#hang !== null) clearTimeout(this.#hang);
    this.#hang = this.tasks.length === 0 ? null : setTimeout(() => this.#die(), this.#hangMs);
  }

  #die(): void {
    if (this.#hasEnded) return;
    this.end();
    this.#listener.onDeath();
  }
}

function work({ parseMemoryMaxBytes, givesWay }: Start): void {
  if (givesWay) giveWay(niceness);
  const extractor = extractingWith(createParser({ memoryMaxBytes: parseMemoryMaxBytes }));
  // Nobody else waits for this thread's event loop, and whoever wants it to end ends the thread.
  const slicer = new Slicer(undefined, Number.POSITIVE_INFINITY);
  let last: Promise<void> = Promise.resolve();
  parentPort?.on('message', (job: ExtractionJob) => {
    last = last.then(async () =>
      say(await extractor.extract(job, slicer).catch((error: unknown) => ({ failed: messageOf(error) }))),
    );
  });
  say('ready');
}

function say(word: Word): void {
  if (word === 'ready' || 'failed' in word) return parentPort?.postMessage(word);
  const tree = word.tree === null ? null : ownBytes(word.tree);
  if (word.document === null) return parentPort?.postMessage({ ...word, tree }, buffersOf(tree));
  const { chunks, kinds } = word.document;
  const [layout, words] = [ownBytes(word.document.layout), ownBytes(word.document.words)];
  const said: Extraction = { ...word, tree, document: { chunks, kinds, layout, words } };
  return parentPort?.postMessage(said, buffersOf(tree, layout, words));
}

function buffersOf(...parts: readonly (Uint8Array<ArrayBuffer> | null)[]): ArrayBuffer[] {
  return parts.flatMap((part) => (part === null ? [] : [part.buffer]));
}

/** Small buffers share their memory with others, and would take those along. */
function ownBytes(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer } = bytes;
  return buffer instanceof ArrayBuffer && buffer.byteLength === bytes.byteLength
    ? new Uint8Array(buffer)
    : new Uint8Array(bytes);
}

if (!isMainThread && (workerData as Partial<Start> | null)?.kind === 'extract') work(workerData as Start);
