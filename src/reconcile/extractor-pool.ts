/**
 * Extracts in threads, so that a project's first index uses the cores that there are.
 *
 * A thread has a few jobs ahead, so that it need not wait while the main thread commits; it answers in order, so that the first
 * one that is not answered is what it is at. A thread that ends, or that says nothing for too long, costs that job only: the
 * others go to the next thread, and it is tried once more in a thread of its own, with all the memory that one parse may have.
 * Where that ends, too, the content is kept as one token. The same goes for a job for which a thread's share of the memory,
 * or its share of the processor, was too little: what is made of a content does not depend on the number of threads.
 */
import { availableParallelism } from 'node:os';
import { Slicer } from '../base/waiting.js';
import { parseMemoryWithin } from '../syntax/parser.js';
import { type Answer, ExtractThread } from './extract-thread.js';
import type { Extraction, ExtractionJob, Extractor } from './extract.js';

/** Jobs that a thread has at once: a commit of some 150 ms must not leave it idle, and a job takes some 10 ms. */
const jobsAheadMax = 16;
/** Bytes of contents of all jobs together; what is made of them takes some ten times as much. */
const bytesInFlightMax = 8 * 1024 * 1024;
/** Threads without work are kept for so long (ms): one project after the other is indexed at the start. */
const idleMs = 3_000;
/** A parser's memory begins with 32 MiB; a share below this (bytes) would send too many files to a second try. */
const parseShareMinBytes = 64 * 1024 * 1024;
/** What a process without threads comes to while it indexes, and what each thread adds to it (bytes). */
const mainThreadBytes = 256 * 1024 * 1024;
const threadBytes = 128 * 1024 * 1024;

/** What a thread may use; `whole` is for one that tries again what was too much for another. */
interface Share {
  share: number;
  whole: number;
}

export interface PoolOptions {
  /** At most; one that works alone comes on top of them. */
  threads: number;
  /** WASM memory for one parse. */
  parseMemoryMaxBytes: Share;
  /** V8's old generation. */
  heapMaxBytes: Share;
  /** A thread that has work and has not answered for so long (ms) is given up. */
  hangMs: number;
  /** For what is not parsed any more, and where no thread can be started. */
  extractor: Extractor;
}

/** What a process may use; null where one core, or the memory, has no room for threads beside the main one. */
export function poolOptionsWithin(
  processMemoryMaxBytes: number,
  hangMs: number,
  extractor: Extractor,
  cores: number = availableParallelism(),
): PoolOptions | null {
  const parseBytes = parseMemoryWithin(processMemoryMaxBytes);
  // On two cores as well: the main thread leaves much of its core to the second one.
  const wanted = cores === 1 ? 0 : Math.max(cores - 1, 2);
  const threads = Math.min(
    wanted,
    Math.floor(parseBytes / parseShareMinBytes) - 1,
    Math.floor((processMemoryMaxBytes - mainThreadBytes) / threadBytes),
  );
  if (threads < 1) return null;
  const heapBytes = Math.floor(processMemoryMaxBytes / 2);
  const shareOf = (whole: number): Share => ({ share: Math.floor(whole / (threads + 1)), whole });
  return {
    threads,
    parseMemoryMaxBytes: shareOf(parseBytes),
    heapMaxBytes: shareOf(heapBytes),
    hangMs,
    extractor,
  };
}

/** What one piece of bulk work has of the pool; both reject with the reason of its end. */
export interface PoolSession {
  /** Resolves when there is room for another job. */
  room(): Promise<void>;
  extract(job: ExtractionJob): Promise<Extraction>;
  /** Gives up what is not done. */
  close(): void;
}

interface Task {
  job: ExtractionJob;
  session: Session;
  resolve: (extraction: Extraction) => void;
  reject: (error: unknown) => void;
}

type Thread = ExtractThread<Task>;

export class ExtractorPool {
  readonly #options: PoolOptions;
  readonly #sessions = new Set<Session>();
  readonly #threads = new Set<Thread>();
  #alone: Thread | null = null;
  /** Wait for a thread. */
  #waiting: Task[] = [];
  /** Wait for a thread of their own. */
  #suspects: Task[] = [];
  /** No thread could be started: everything is done in this one, until there is bulk work again. */
  #isBroken = false;
  /** All that are not settled. */
  readonly #inFlight = new Set<Task>();
  #bytesInFlight = 0;
  #roomWanted: (() => void)[] = [];
  #idle: NodeJS.Timeout | null = null;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /** How many threads there are now. */
  get size(): number {
    return this.#threads.size + (this.#alone === null ? 0 : 1);
  }

  /** Threads are started when there are jobs. @throws the signal's reason */
  open(signal: AbortSignal): PoolSession {
    signal.throwIfAborted();
    if (this.#idle !== null) clearTimeout(this.#idle);
    if (this.#sessions.size === 0) this.#isBroken = false;
    const session: Session = new Session(signal, {
      room: async () => await this.#room(session),
      extract: async (job) => await this.#extract(session, job),
      onEnd: () => this.#drop(session),
    });
    this.#sessions.add(session);
    return session;
  }

  /** Ends all threads at once, whatever they are at. */
  close(): void {
    for (const session of this.#sessions) session.close();
    if (this.#idle !== null) clearTimeout(this.#idle);
    this.#endThreads();
  }

  async #room(session: Session): Promise<void> {
    while (session.isOpen && this.#isFull)
      await new Promise<void>((resolve) => this.#roomWanted.push(resolve));
    session.assertOpen();
  }

  get #isFull(): boolean {
    return (
      this.#inFlight.size >= this.#options.threads * jobsAheadMax || this.#bytesInFlight >= bytesInFlightMax
    );
  }

  async #extract(session: Session, job: ExtractionJob): Promise<Extraction> {
    session.assertOpen();
    return await new Promise<Extraction>((resolve, reject) => {
      const task: Task = { job, session, resolve, reject };
      this.#inFlight.add(task);
      this.#bytesInFlight += job.bytes.length;
      this.#waiting.push(task);
      this.#feed();
    });
  }

  #settle(task: Task, tell: () => void): void {
    if (!this.#inFlight.delete(task)) return;
    this.#bytesInFlight -= task.job.bytes.length;
    tell();
    this.#tellRoom();
  }

  #tellRoom(): void {
    const wanted = this.#roomWanted;
    this.#roomWanted = [];
    for (const tell of wanted) tell();
  }

  #drop(session: Session): void {
    this.#sessions.delete(session);
    const isKept = (task: Task): boolean => task.session !== session;
    for (const task of this.#inFlight)
      if (!isKept(task)) this.#settle(task, () => task.reject(session.endReason));
    this.#waiting = this.#waiting.filter(isKept);
    this.#suspects = this.#suspects.filter(isKept);
    for (const thread of this.#all)
      if (!thread.tasks.every(isKept)) this.#remove(thread, thread.tasks.filter(isKept));
    this.#tellRoom();
    if (this.#sessions.size === 0) this.#idle = setTimeout(() => this.#endThreads(), idleMs).unref();
    else this.#feed();
  }

  get #all(): Thread[] {
    return this.#alone === null ? [...this.#threads] : [...this.#threads, this.#alone];
  }

  #endThreads(): void {
    for (const thread of this.#all) this.#remove(thread, []);
  }

  /** Ends a thread; others go on with these of its tasks. */
  #remove(thread: Thread, left: readonly Task[]): void {
    thread.end();
    this.#threads.delete(thread);
    if (thread === this.#alone) this.#alone = null;
    this.#waiting.unshift(...left);
  }

  #feed(): void {
    if (this.#isBroken) {
      for (const task of [...this.#waiting.splice(0), ...this.#suspects.splice(0)])
        this.#extractHere(task, task.job);
      return;
    }
    while (this.#waiting.length > 0) {
      const thread = this.#threadWithRoom();
      const task = thread === null ? undefined : this.#waiting.shift();
      if (thread === null || task === undefined) break;
      thread.give(task);
    }
    if (this.#alone !== null) return;
    const suspect = this.#suspects.shift();
    if (suspect === undefined) return;
    this.#alone = this.#start('whole');
    this.#alone.give(suspect);
  }

  /** The one that has least to do; null where all have enough. */
  #threadWithRoom(): Thread | null {
    let least: Thread | null = null;
    for (const thread of this.#threads)
      if (least === null || thread.tasks.length < least.tasks.length) least = thread;
    if (least?.tasks.length !== 0 && this.#threads.size < this.#options.threads) {
      least = this.#start('share');
      this.#threads.add(least);
    }
    return least !== null && least.tasks.length < jobsAheadMax ? least : null;
  }

  #start(of: keyof Share): Thread {
    const { parseMemoryMaxBytes, heapMaxBytes, hangMs } = this.#options;
    const givesWay = of === 'share';
    const limits = {
      parseMemoryMaxBytes: parseMemoryMaxBytes[of],
      heapMaxBytes: heapMaxBytes[of],
      hangMs,
      givesWay,
    };
    const thread: Thread = new ExtractThread<Task>(limits, {
      onAnswer: (task, answer) => this.#take(thread, task, answer),
      onDeath: () => this.#bury(thread),
    });
    return thread;
  }

  #take(thread: Thread, task: Task, answer: Answer): void {
    const isAlone = thread === this.#alone;
    // Its memory may have grown large, and is not given back otherwise.
    if (isAlone) this.#remove(thread, []);
    if ('failed' in answer) this.#settle(task, () => task.reject(new Error(answer.failed)));
    else if (!isAlone && hadTooLittle(answer)) this.#suspects.push(task);
    else this.#settle(task, () => task.resolve(answer));
    this.#feed();
  }

  #bury(thread: Thread): void {
    const [guilty, ...others] = thread.tasks;
    const isAlone = thread === this.#alone;
    this.#isBroken ||= !thread.isReady;
    this.#remove(thread, thread.isReady ? others : thread.tasks);
    if (thread.isReady && guilty !== undefined) {
      if (isAlone) this.#extractHere(guilty, { ...guilty.job, isDeadly: true });
      else this.#suspects.push(guilty);
    }
    this.#feed();
  }

  #extractHere(task: Task, job: ExtractionJob): void {
    const work = async (): Promise<Extraction> =>
      await this.#options.extractor.extract(job, new Slicer(task.session.signal));
    work().then(
      (extraction) => this.#settle(task, () => task.resolve(extraction)),
      (error: unknown) => this.#settle(task, () => task.reject(error)),
    );
  }
}

/** A thread that goes first, with more memory, may still parse it. */
function hadTooLittle({ notParsed }: Extraction): boolean {
  return notParsed === 'out_of_memory' || notParsed === 'timeout';
}

interface SessionWork {
  room: () => Promise<void>;
  extract: (job: ExtractionJob) => Promise<Extraction>;
  onEnd: () => void;
}

class Session implements PoolSession {
  readonly signal: AbortSignal;
  readonly room: SessionWork['room'];
  readonly extract: SessionWork['extract'];
  readonly #end = new AbortController();

  constructor(signal: AbortSignal, { room, extract, onEnd }: SessionWork) {
    this.signal = AbortSignal.any([signal, this.#end.signal]);
    this.room = room;
    this.extract = extract;
    this.signal.addEventListener('abort', onEnd, { once: true });
  }

  get isOpen(): boolean {
    return !this.signal.aborted;
  }

  get endReason(): unknown {
    return this.signal.reason as unknown;
  }

  assertOpen(): void {
    this.signal.throwIfAborted();
  }

  close(): void {
    this.#end.abort(new Error('the work was given up'));
  }
}
