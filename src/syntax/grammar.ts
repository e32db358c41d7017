/**
 * The WASM runtime, loaded once, and the grammars, each loaded when first asked for.
 *
 * A grammar that could not be loaded is tried again at the next file: the cause may have been a passing one (no
 * file descriptor left), and remembering it would leave the language unparsed until the process restarts.
 */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { endianness } from 'node:os';
import { Language as Grammar, Parser as WasmParser } from 'web-tree-sitter';
import type { Language } from './language.js';

const require = createRequire(import.meta.url);

/** What is used of the WebAssembly API. Its types come with the DOM's, which a Node project does not load. */
declare const WebAssembly: { readonly Module: new (bytes: Uint8Array) => object };

/** The C++ grammar reads C as well; the package ships none for C alone. */
const grammarFiles: Record<Language, string> = {
  python: bundled('python'),
  typescript: bundled('typescript'),
  tsx: bundled('tsx'),
  javascript: bundled('javascript'),
  go: bundled('go'),
  rust: bundled('rust'),
  java: bundled('java'),
  c: bundled('cpp'),
  cpp: bundled('cpp'),
  csharp: bundled('c-sharp'),
  ruby: bundled('ruby'),
  php: bundled('php'),
  shell: bundled('bash'),
  css: bundled('css'),
  json: 'tree-sitter-json/tree-sitter-json.wasm',
  ini: bundled('ini'),
};

function bundled(name: string): string {
  return `@vscode/tree-sitter-wasm/wasm/tree-sitter-${name}.wasm`;
}

let runtime: Promise<void> | undefined;
const grammars = new Map<string, Promise<Grammar>>();

/** Resolves once parsers can be made. Rejects when the WASM runtime cannot be loaded. */
export function loadRuntime(): Promise<void> {
  runtime ??= initialise().catch((error: unknown) => {
    runtime = undefined;
    throw error;
  });
  return runtime;
}

/** The grammar of `language`. Rejects when its file is missing or does not fit the runtime. */
export async function loadGrammar(language: Language): Promise<Grammar> {
  await loadRuntime();
  const file = grammarFiles[language];
  let grammar = grammars.get(file);
  if (grammar === undefined) {
    grammar = loadFile(file);
    grammars.set(file, grammar);
    grammar.catch(() => grammars.delete(file));
  }
  return grammar;
}

/**
 * Compiled synchronously, which takes up to 40 ms: an asynchronous compilation queues behind V8's optimisation of
 * the grammars before it, for seconds (1.1 s after Bash's).
 */
async function loadFile(file: string): Promise<Grammar> {
  const bytes = await readFile(require.resolve(file));
  return Grammar.loadSync(new WebAssembly.Module(bytes));
}

/** The parts of Emscripten's module object that this file touches. */
interface RuntimeModule {
  /** A view of the WASM memory; replaced by the runtime whenever that memory grows. */
  HEAP32?: Int32Array;
  getValue?: (address: number, type: string) => number;
  setValue?: (address: number, value: number, type: string) => void;
}

/**
 * Starts the runtime and replaces its two memory accessors.
 *
 * Each cursor call marshals eight 32-bit values through them, and the stock ones compare type names as strings:
 * walking a tree took as long as parsing it (1.3 µs an element), and takes 0.35 of that with these. All callers
 * in web-tree-sitter pass 'i32' for what a cursor holds; any other type goes to the stock accessor.
 */
async function initialise(): Promise<void> {
  const module: RuntimeModule = {};
  await WasmParser.init(module);
  const { getValue, setValue } = module;
  // WASM memory is little-endian; a typed array view has the byte order of the machine.
  if (endianness() !== 'LE' || !module.HEAP32 || !getValue || !setValue) return;
  module.getValue = (address, type) =>
    type === 'i32' && module.HEAP32 ? (module.HEAP32[address >> 2] ?? 0) : getValue(address, type);
  module.setValue = (address, value, type) => {
    if (type === 'i32' && module.HEAP32) module.HEAP32[address >> 2] = value;
    else setValue(address, value, type);
  };
}
