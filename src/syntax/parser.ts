/**
 * Parses source text to green trees with tree-sitter. What cannot be parsed within the bounds below becomes a one-token
 * tree that says why in `fallback`; only what is needed for parsing may be missing, for a while.
 */
import type { Language as Grammar, Tree } from 'web-tree-sitter';
import { NotLoaded, OutOfMemory, Runtime } from './grammar.js';
import { oneTokenTree } from './green-tree.js';
import type { GreenTree } from './green-tree.js';
import type { Language } from './language.js';
import type { Source } from './source.js';
import { buildGreenTree } from './tree-builder.js';

/** UTF-16 units. As many as the default max_file_bytes has bytes, so by default every tracked text is parsed. */
export const parseTextLengthMax = 2 * 1024 * 1024;

/**
 * Milliseconds for one parse. Parsing goes at about 3 MB/s, so the largest text takes under a second; only a text
 * that drives the parser into its error recovery takes longer, and a stuck worker is worse than an unparsed file.
 */
export const parseTimeMaxMs = 5_000;

/**
 * Open nodes at once. All code here is iterative, so this only bounds memory; hand-written code stays below 100
 * and minified code below 10,000.
 */
export const treeDepthMax = 200_000;

/**
 * Bytes of WASM memory for one parse, code and tables included. 2 MiB of real source need 50 MiB, the same of
 * one-digit numbers in an array 412. Ambiguous nests have no bound: 300 kB of `a<b<c<` need more than 2 GiB, as
 * Java or C#, most of it in a single step of the grammar, in which no callback comes.
 */
export const parseMemoryMaxBytes = 512 * 1024 * 1024;

/** A parser's share of what its process may use: the other half is for V8, the tree and the rest of the work. */
export function parseMemoryWithin(processMemoryMaxBytes: number): number {
  return Math.min(parseMemoryMaxBytes, Math.floor(processMemoryMaxBytes / 2));
}

/** A runtime whose memory has become larger than this (bytes) is thrown away after the parse: it never shrinks. */
const memoryKeptBytes = 128 * 1024 * 1024;

export interface ParserOptions {
  /** UTF-16 units; default `parseTextLengthMax`. */
  readonly textLengthMax?: number;
  /** Default `parseTimeMaxMs`. */
  readonly timeMaxMs?: number;
  /** Nodes; default `treeDepthMax`. */
  readonly depthMax?: number;
  /** Default `parseMemoryMaxBytes`. */
  readonly memoryMaxBytes?: number;
  /** A monotonic clock in milliseconds. */
  readonly now?: () => number;
}

export interface Parser {
  /**
   * The green tree of `source`; it renders to exactly the bytes the source was decoded from. One parse at a time;
   * others wait. Rejects with what `pause.breathe` rejects with, which gives the parse up.
   * @throws NotLoaded
   */
  parse(source: Source, language: Language | null, pause?: Pause): Promise<GreenTree>;
  /** Frees the WASM parser. A parse under way ends with a one-token tree, a later one makes a new parser. */
  close(): void;
}

/** Lets others have their turn while a long text is parsed; base/waiting.ts has one. */
export interface Pause {
  isDue(): boolean;
  breathe(): Promise<void>;
}

const noPause: Pause = { isDue: () => false, breathe: () => Promise.resolve() };

/** Marks what a pause rejected with: every other error is about the grammar. */
class GivenUp extends Error {}

/** Loads nothing yet: the runtime and each grammar are loaded by the first parse that needs them. */
export function createParser(options: ParserOptions = {}): Parser {
  const limits: Required<ParserOptions> = {
    textLengthMax: parseTextLengthMax,
    timeMaxMs: parseTimeMaxMs,
    depthMax: treeDepthMax,
    memoryMaxBytes: parseMemoryMaxBytes,
    now: () => performance.now(),
    ...options,
  };
  let runtime: Runtime | null = null;
  let queue: Promise<unknown> = Promise.resolve();

  async function parse(
    source: Source,
    language: Language | null,
    pause: Pause = noPause,
  ): Promise<GreenTree> {
    // A paused parse is the state of the WASM parser: another one would end it.
    const turn = queue.then(() => parseInTurn(source, language, pause));
    queue = turn.catch(() => undefined);
    return await turn;
  }

  async function parseInTurn(source: Source, language: Language | null, pause: Pause): Promise<GreenTree> {
    if (source.binary) return oneTokenTree(source, 'binary');
    if (language === null) return oneTokenTree(source, 'no_grammar');
    if (source.text.length > limits.textLengthMax) return oneTokenTree(source, 'too_large');
    // Whatever else fails, the file is kept whole and its tree names the cause.
    try {
      runtime ??= await Runtime.load(limits.memoryMaxBytes);
      const grammar = await runtime.grammar(language);
      const tree = await parseWith({ runtime, grammar, language, source, limits, pause });
      if (runtime.memoryBytes > memoryKeptBytes) runtime = null;
      return tree;
    } catch (error) {
      if (error instanceof GivenUp) throw error.cause;
      // After a trap nothing is known of the runtime's state.
      runtime = null;
      if (error instanceof NotLoaded) throw error;
      return oneTokenTree(source, error instanceof OutOfMemory ? 'out_of_memory' : 'grammar_failed');
    }
  }

  function close(): void {
    runtime?.parser.delete();
    runtime = null;
  }

  return { parse, close };
}

interface Work {
  runtime: Runtime;
  grammar: Grammar;
  language: Language;
  source: Source;
  limits: Required<ParserOptions>;
  pause: Pause;
}

async function parseWith(work: Work): Promise<GreenTree> {
  const { runtime, grammar, language, source, limits, pause } = work;
  runtime.parser.setLanguage(grammar);
  const tree = await parseText(work);
  if (tree === null) return oneTokenTree(source, 'timeout');
  try {
    const green = await buildGreenTree({
      tree,
      grammar,
      language,
      source,
      depthMax: limits.depthMax,
      words: () => runtime.words,
      pause: { isDue: () => pause.isDue(), breathe: () => breathe(pause) },
    });
    return green ?? oneTokenTree(source, 'too_deep');
  } finally {
    tree.delete();
  }
}

/** Parses in slices: a parse that is halted goes on where it was when it is asked again. Null: it took too long. */
async function parseText({ runtime, source, limits, pause }: Work): Promise<Tree | null> {
  const wasm = runtime.parser;
  let spentMs = 0;
  for (;;) {
    const begunAt = limits.now();
    const isTooLong = (): boolean => spentMs + limits.now() - begunAt > limits.timeMaxMs;
    const tree = wasm.parse(source.text, null, { progressCallback: () => isTooLong() || pause.isDue() });
    if (tree !== null) return tree;
    // Without a reset the next parse would go on where this one was halted, in another file's text.
    if (isTooLong()) {
      wasm.reset();
      return null;
    }
    spentMs += limits.now() - begunAt;
    await breathe(pause).catch((error: unknown) => {
      wasm.reset();
      throw error;
    });
  }
}

async function breathe(pause: Pause): Promise<void> {
  try {
    await pause.breathe();
  } catch (error) {
    throw new GivenUp('given up', { cause: error });
  }
}
