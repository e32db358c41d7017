import { sha256 } from '../base/hash.js';
import type { Slicer } from '../base/waiting.js';
import { encodeLayout, kindsOf } from '../store/derived/layout-codec.js';
import type { NewDocument } from '../store/derived/documents.js';
import { TermNumbers } from '../store/derived/term-numbers.js';
import { levelOf } from '../store/derived/term-weights.js';
import { WordPacker } from '../store/derived/word-packer.js';
import { type Chunk, chunksOf } from '../syntax/chunks.js';
import { entitiesOf, type Entity } from '../syntax/entities.js';
import { type FallbackReason, type GreenTree, oneTokenTree, render } from '../syntax/green-tree.js';
import { NotLoaded } from '../syntax/grammar.js';
import type { Language } from '../syntax/language.js';
import type { Parser } from '../syntax/parser.js';
import { decodeSource } from '../syntax/source.js';
import { decodeTree, encodeTree, TreeFormatError } from '../syntax/tree-codec.js';

/** A content of which something has to be made. */
export interface ExtractionJob {
  bytes: Uint8Array;
  sha256: string;
  language: Language | null;
  /** The tree that is stored, if its text was proven. */
  stored: Uint8Array | null;
  /** What made it; null: it was not parsed. */
  storedBy: string | null;
  /** What is to make it now; null: it is no file, and kept as one token that nobody searches. */
  extractor: string | null;
  /** It has killed those who parsed it: it is kept as one token. */
  isDeadly: boolean;
}

/** What is made of a content. */
export interface Extraction {
  /** The encoded tree that is to be stored, which renders to the bytes; null where the stored one serves. */
  tree: Uint8Array | null;
  /** Null for what is no file. */
  document: Pick<NewDocument, 'chunks' | 'kinds' | 'layout' | 'words'> | null;
  /** Why it could not be parsed now; null: it was, or the stored tree served. */
  notParsed: FallbackReason | null;
  /** Set where that may pass: what cannot be loaded, and why. Nothing relies on what was made of it, and it is tried again. */
  notLoaded: string | null;
}

/** Makes trees and what they are searched by. */
export interface Extractor {
  /** Rejects with the slicer's reason where the work is to end. */
  extract(job: ExtractionJob, slicer: Slicer): Promise<Extraction>;
  close(): void;
}

/** Does it in this thread. */
export function extractingWith(parser: Parser): Extractor {
  return {
    extract: async (job, slicer) => await extract(parser, job, slicer),
    close: () => parser.close(),
  };
}

/**
 * Parses, encodes, proves, and makes searchable. For a file of 2 MiB each step takes some 50 to 150 ms, so there is a
 * pause between any two.
 */
async function extract(parser: Parser, job: ExtractionJob, slicer: Slicer): Promise<Extraction> {
  const { language, storedBy } = job;
  const stored = job.stored === null ? null : decoded(job.stored);
  const isUsable = stored?.language === language && storedBy === job.extractor;
  const { tree, notLoaded } = isUsable
    ? { tree: stored, notLoaded: null }
    : await parseProven(parser, job, slicer);
  // A tree of another language's serves the other path that has the same bytes; one that nobody has parsed serves none, and is
  // not replaced by another one such.
  const isOthers = storedBy !== null && stored?.language !== null && stored?.language !== language;
  const isTaken = stored !== null && (isOthers || notLoaded !== null);
  await slicer.breathe();
  const encoded = isUsable || isTaken ? null : encodeTree(tree);
  await slicer.breathe();
  const document = job.extractor === null ? null : await searchable(tree, slicer);
  return { tree: encoded, document, notParsed: isUsable ? null : tree.fallback, notLoaded };
}

/** The same bytes, which threads hand over as plain arrays. */
export function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function decoded(stored: Uint8Array): GreenTree | null {
  try {
    return decodeTree(bufferOf(stored));
  } catch (error) {
    if (error instanceof TreeFormatError) return null;
    throw error;
  }
}

async function parseProven(
  parser: Parser,
  job: ExtractionJob,
  slicer: Slicer,
): Promise<{ tree: GreenTree; notLoaded: string | null }> {
  const { bytes, language } = job;
  const source = decodeSource(bufferOf(bytes));
  if (job.isDeadly) return { tree: oneTokenTree(source, 'deadly'), notLoaded: null };
  try {
    const tree = await parser.parse(source, language, slicer);
    await slicer.breathe();
    // A tree that does not render to its file must never be stored; one token always does.
    const isProven = sha256(render(tree)) === job.sha256;
    return { tree: isProven ? tree : await parser.parse(source, null, slicer), notLoaded: null };
  } catch (error) {
    if (!(error instanceof NotLoaded)) throw error;
    return { tree: oneTokenTree(source, 'grammar_not_loaded'), notLoaded: error.message };
  }
}

/** Of the words that were met last. */
let lastTerms = new TermNumbers();

async function searchable(tree: GreenTree, slicer: Slicer): Promise<Extraction['document']> {
  const entities = entitiesOf(tree);
  await slicer.breathe();
  const chunks = chunksOf(tree, entities);
  if (lastTerms.isFull) lastTerms = new TermNumbers();
  // Another document may begin new ones meanwhile.
  const terms = lastTerms;
  const words = new WordPacker(terms.vocabulary);
  for (const chunk of chunks) {
    await slicer.breathe();
    addChunk(words, terms, chunk, entities);
  }
  const kinds = kindsOf(entities);
  return { chunks: chunks.length, kinds, layout: encodeLayout({ entities, chunks }), words: words.packed() };
}

/** Adds the terms of a chunk, each with its level. */
function addChunk(words: WordPacker, terms: TermNumbers, chunk: Chunk, entities: readonly Entity[]): void {
  const entity = chunk.entityIndex === null ? undefined : entities[chunk.entityIndex];
  words.nextChunk();
  terms.count(entity?.qualifiedName ?? '', chunk.text, (term, inName, inText, total) =>
    words.add(term, levelOf(inName, inText, total)),
  );
}
