/**
 * The lossless green tree: what is stored for every file, and what everything else in this folder reads.
 *
 * It is columnar, in preorder: element i has a shape (an index into a small table: kind, field, node or token,
 * named or not) and a size (a node's child count, a token's text length in UTF-16 units). The tokens' texts lie
 * in one string, in order; no element holds an offset, so the tree cannot disagree with itself about positions.
 *
 * Invariants:
 * - Element 0 is the root, and the sizes make up exactly one tree.
 * - The token lengths add up to `text.length`: the concatenated tokens are the source, trivia included.
 * - Nesting is as deep as the source makes it (minified files: thousands). Nothing may recurse on it.
 */
import { encodeSource } from './source.js';
import type { Encoding, Source } from './source.js';
import type { Language } from './language.js';

/** Why a file has a one-token tree instead of a parsed one. Stored by position: only ever append. */
export const fallbackReasons = [
  'binary',
  'no_grammar',
  'too_large',
  'too_deep',
  'timeout',
  'grammar_failed',
  /** The parser needed more memory than it may have. */
  'out_of_memory',
  /** Parsing it ended the process, again and again. */
  'deadly',
  /** A later version of this program had a reason that this one does not know. */
  'unknown',
  /** The parser or the grammar could not be loaded, which may pass: it is tried again. */
  'grammar_not_loaded',
] as const;

export type FallbackReason = (typeof fallbackReasons)[number];

/** What an element is; few distinct ones occur in a file (about 100), so they are told once. */
export interface Shape {
  /** The grammar's name for it, `ERROR`, or one of `triviaKind` and `textKind`. */
  readonly kind: string;
  /** The role it has in its parent, as the grammar names it. */
  readonly field: string | null;
  readonly token: boolean;
  /** Named in the grammar, as opposed to punctuation and keywords; trivia is not named. */
  readonly named: boolean;
}

export interface GreenTree {
  readonly encoding: Encoding;
  readonly binary: boolean;
  /** The language whose grammar made this tree; null for a one-token tree. */
  readonly language: Language | null;
  /** Null for a parsed tree. */
  readonly fallback: FallbackReason | null;
  readonly shapes: readonly Shape[];
  /** Per element in preorder: its index in `shapes`. */
  readonly shape: Uint32Array;
  /** Per element in preorder: child count of a node, UTF-16 length of a token. */
  readonly size: Uint32Array;
  /** The tokens' texts, one after the other. */
  readonly text: string;
}

/** White space and whatever else the grammar skipped. */
export const triviaKind = 'trivia';

/** The only token of a tree without a grammar. */
export const textKind = 'text';

/** The tree of a file that is not parsed: one token that holds all of it. */
export function oneTokenTree(source: Source, fallback: FallbackReason): GreenTree {
  return {
    encoding: source.encoding,
    binary: source.binary,
    language: null,
    fallback,
    shapes: [{ kind: textKind, field: null, token: true, named: true }],
    shape: Uint32Array.of(0),
    size: Uint32Array.of(source.text.length),
    text: source.text,
  };
}

/** The shape of element `index`. Throws RangeError when the tree has no such element. */
export function shapeAt(tree: GreenTree, index: number): Shape {
  const shape = tree.shapes[tree.shape[index] ?? -1];
  if (shape === undefined) throw new RangeError(`no element ${index} in a tree of ${tree.shape.length}`);
  return shape;
}

/**
 * The file's bytes, as far as the tokens reach. It walks them on purpose instead of returning `text`: this is
 * the proof, made before each commit and each restore, that the tree itself carries the file. The tokens' texts
 * adjoin, so they are taken in one piece.
 */
export function render(tree: GreenTree): Buffer {
  const { shape, size } = tree;
  const isToken = Uint8Array.from(tree.shapes, ({ token }) => (token ? 1 : 0));
  let length = 0;
  for (let i = 0; i < shape.length; i++) {
    if (isToken[shape[i] ?? 0] === 1) length += size[i] ?? 0;
  }
  return encodeSource(tree.text.slice(0, length), tree.encoding);
}
