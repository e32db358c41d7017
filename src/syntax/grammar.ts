/**
 * The WASM runtime and the grammars in it, each loaded when first asked for.
 *
 * A runtime is thrown away whole after a trap, and when its memory has become large: WASM memory never shrinks.
 * web-tree-sitter keeps one runtime for each time that it is loaded, so each `Runtime` loads it anew and leaves it
 * in no cache. The garbage collector frees the memory, and with it all that is still registered for a cleanup.
 *
 * A grammar that could not be loaded is tried again at the next file: the cause may have been a passing one (no
 * file descriptor left), and remembering it would leave the language unparsed until the process restarts.
 */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { endianness } from 'node:os';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type * as TreeSitter from 'web-tree-sitter';
import type { Language } from './language.js';

/** Resolves files of packages, from the bundled programs as well. */
export const resolveFile = createRequire(import.meta.url).resolve;

/** What is used of the WebAssembly API. Its types come with the DOM's, which a Node project does not load. */
interface WasmMemory {
  readonly buffer: ArrayBuffer;
}
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Memory: new (pages: { initial: number; maximum: number }) => WasmMemory;
};

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

/** As package.json has it, like `tree-sitter-json`. */
export function grammarPackageOf(language: Language): string {
  const [scopeOrName = '', name = ''] = grammarFiles[language].split('/');
  return scopeOrName.startsWith('@') ? `${scopeOrName}/${name}` : scopeOrName;
}

/** Compiled grammars by file; they are code only, and every runtime can use them. */
const compiled = new Map<string, object>();

/**
 * Compiled synchronously, which takes up to 40 ms: an asynchronous compilation queues behind V8's optimisation of
 * the grammars before it, for seconds (1.1 s after Bash's).
 */
async function compile(file: string): Promise<object> {
  let module = compiled.get(file);
  if (module === undefined) {
    module = new WebAssembly.Module(await readFile(resolveFile(file)));
    compiled.set(file, module);
  }
  return module;
}

/** Bytes of a page of WASM memory, by its specification. */
const pageBytes = 64 * 1024;
/** What web-tree-sitter's own memory begins with, in bytes. */
const initialBytes = 32 * 1024 * 1024;

/** Whether there may be a runtime that was thrown away. */
let hasLoaded = false;

/** A parse needed more than the runtime's memory; the runtime is of no use after it. */
export class OutOfMemory extends Error {}

/** The runtime or a grammar could not be loaded: no file descriptor or memory was left, or its file cannot be read. */
export class NotLoaded extends Error {
  constructor(what: string, cause: unknown) {
    // Where a module was not found, more lines say who wanted it.
    const [why = ''] = (cause instanceof Error ? cause.message : String(cause)).split('\n', 1);
    super(`${what} cannot be loaded: ${why}`, { cause });
  }
}

/**
 * Collects what runtimes have left, at once: the collector knows little of their memory, and two large ones side by
 * side can be more than a process may use. V8 offers it by a flag only. Takes some 20 ms, as a full
 * collection does.
 */
function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}

/** One instance of web-tree-sitter, with a memory of its own that has a bound, and one parser. */
export class Runtime {
  readonly parser: TreeSitter.Parser;
  readonly #memory: WasmMemory;
  readonly #loadGrammar: (module: object) => TreeSitter.Language;
  readonly #grammars = new Map<string, TreeSitter.Language>();

  private constructor({ Parser, Language: Grammar }: typeof TreeSitter, memory: WasmMemory) {
    this.parser = new Parser();
    this.#memory = memory;
    this.#loadGrammar = (module) => Grammar.loadSync(module);
  }

  /**
   * Takes about 30 ms.
   * @param memoryMaxBytes at least 32 MiB; what would grow beyond it throws OutOfMemory
   * @throws NotLoaded
   */
  static async load(memoryMaxBytes: number): Promise<Runtime> {
    try {
      return await Runtime.#load(memoryMaxBytes);
    } catch (error) {
      throw new NotLoaded('the parser', error);
    }
  }

  static async #load(memoryMaxBytes: number): Promise<Runtime> {
    if (hasLoaded) collectGarbage();
    hasLoaded = true;
    const treeSitter = loadAnew();
    const memory = new WebAssembly.Memory({
      initial: initialBytes / pageBytes,
      maximum: Math.floor(Math.max(memoryMaxBytes, initialBytes) / pageBytes),
    });
    await initialise(treeSitter, memory);
    return new Runtime(treeSitter, memory);
  }

  /** How large the memory has become, in use or not. */
  get memoryBytes(): number {
    return this.#memory.buffer.byteLength;
  }

  /**
   * The memory as it is now, in words of 4 bytes; after anything has run in it, it may have to be asked for again. Null
   * where the machine's byte order is another than WASM's.
   */
  get words(): Uint32Array | null {
    return endianness() === 'LE' ? new Uint32Array(this.#memory.buffer) : null;
  }

  /**
   * The grammar of `language`.
   * @throws NotLoaded also where its file is missing or does not fit the runtime
   */
  async grammar(language: Language): Promise<TreeSitter.Language> {
    const file = grammarFiles[language];
    let grammar = this.#grammars.get(file);
    if (grammar === undefined) {
      try {
        grammar = this.#loadGrammar(await compile(file));
      } catch (error) {
        throw new NotLoaded(`the grammar of ${language}`, error);
      }
      this.#grammars.set(file, grammar);
    }
    return grammar;
  }
}

/** A require of its own each time: one that was used keeps what it loaded, in its module's list of children. */
function loadAnew(): typeof TreeSitter {
  const require = createRequire(import.meta.url);
  const treeSitter = require('web-tree-sitter') as typeof TreeSitter;
  delete require.cache[require.resolve('web-tree-sitter')];
  return treeSitter;
}

/** The parts of Emscripten's module object that this file touches. */
interface RuntimeModule {
  wasmMemory: WasmMemory;
  onAbort: () => never;
  /** A view of the WASM memory; replaced by the runtime whenever that memory grows. */
  HEAP32?: Int32Array;
  getValue?: (address: number, type: string) => number;
  setValue?: (address: number, value: number, type: string) => void;
}

/**
 * Starts the runtime in `memory` and replaces its two memory accessors.
 *
 * Each cursor call marshals eight 32-bit values through them, and the stock ones compare type names as strings:
 * walking a tree with a cursor took as long as parsing it (1.3 µs an element), and takes 0.35 of that with these. All
 * callers in web-tree-sitter pass 'i32' for what a cursor holds; any other type goes to the stock accessor.
 */
async function initialise({ Parser }: typeof TreeSitter, memory: WasmMemory): Promise<void> {
  const module: RuntimeModule = {
    wasmMemory: memory,
    // tree-sitter aborts where an allocation fails. Thrown from here, it does not reach stderr.
    onAbort: () => {
      throw new OutOfMemory('the parser needs more memory than it may have');
    },
  };
  await Parser.init(module);
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
