/**
 * Parses source text to green trees with tree-sitter, and never fails: what cannot be parsed within the bounds
 * below becomes a one-token tree that says why in `fallback`.
 */
import { Parser as WasmParser } from 'web-tree-sitter';
import type { Language as Grammar } from 'web-tree-sitter';
import { loadGrammar } from './grammar.js';
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

export interface ParserOptions {
  /** UTF-16 units; default `parseTextLengthMax`. */
  readonly textLengthMax?: number;
  /** Default `parseTimeMaxMs`. */
  readonly timeMaxMs?: number;
  /** Nodes; default `treeDepthMax`. */
  readonly depthMax?: number;
  /** A monotonic clock in milliseconds. */
  readonly now?: () => number;
}

export interface Parser {
  /**
   * The green tree of `source`; it renders to exactly the bytes the source was decoded from. Never rejects.
   * The parse itself blocks the event loop, for at most `timeMaxMs` and the walk after it (half as long as the
   * parse). A grammar's first use waits for it to load; that blocks nothing.
   */
  parse(source: Source, language: Language | null): Promise<GreenTree>;
  /** Frees the WASM parser. A later parse makes a new one. */
  close(): void;
}

/**
 * Parsers that trapped inside WASM. Their state is unknown, so deleting one could trap again, and web-tree-sitter
 * deletes what is garbage collected: held here, they are never collected.
 */
const trapped: WasmParser[] = [];

/** Loads nothing yet: the runtime and each grammar are loaded by the first parse that needs them. */
export function createParser(options: ParserOptions = {}): Parser {
  const limits: Required<ParserOptions> = {
    textLengthMax: parseTextLengthMax,
    timeMaxMs: parseTimeMaxMs,
    depthMax: treeDepthMax,
    now: () => performance.now(),
    ...options,
  };
  let wasm: WasmParser | null = null;

  async function parse(source: Source, language: Language | null): Promise<GreenTree> {
    if (source.binary) return oneTokenTree(source, 'binary');
    if (language === null) return oneTokenTree(source, 'no_grammar');
    if (source.text.length > limits.textLengthMax) return oneTokenTree(source, 'too_large');
    // Whatever fails, the file is kept whole and its tree names the cause.
    const grammar = await loadGrammar(language).catch(() => null);
    if (grammar === null) return oneTokenTree(source, 'grammar_failed');
    try {
      wasm ??= new WasmParser();
      return parseWith(wasm, grammar, language, source, limits);
    } catch {
      if (wasm !== null) trapped.push(wasm);
      wasm = null;
      return oneTokenTree(source, 'grammar_failed');
    }
  }

  function close(): void {
    wasm?.delete();
    wasm = null;
  }

  return { parse, close };
}

function parseWith(
  wasm: WasmParser,
  grammar: Grammar,
  language: Language,
  source: Source,
  limits: Required<ParserOptions>,
): GreenTree {
  wasm.setLanguage(grammar);
  const deadline = limits.now() + limits.timeMaxMs;
  const progressCallback = (): boolean => limits.now() > deadline;
  const tree = wasm.parse(source.text, null, { progressCallback });
  if (tree === null) {
    // Without it the next parse would go on where this one was stopped, in another file's text.
    wasm.reset();
    return oneTokenTree(source, 'timeout');
  }
  try {
    const cursor = tree.walk();
    try {
      const green = buildGreenTree(cursor, grammar, language, source, limits.depthMax);
      return green ?? oneTokenTree(source, 'too_deep');
    } finally {
      cursor.delete();
    }
  } finally {
    tree.delete();
  }
}
