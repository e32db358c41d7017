import { compareBytes } from '../base/byte-order.js';
import { termsOf } from '../base/search-terms.js';
import { Slicer } from '../base/waiting.js';
import type { DerivedDatabase } from '../store/derived/derived-database.js';
import { documentOf, type DocumentRow, documentWithChunk, layoutOf } from '../store/derived/documents.js';
import { kindBit, type LayoutEntity } from '../store/derived/layout-codec.js';
import { readWord } from '../store/derived/postings.js';
import { activeContentAt, activeContents, type ActiveContent, pathsWith } from '../store/active-contents.js';
import type { IndexDatabase } from '../store/index-database.js';

export interface EntityRow {
  path: string;
  kind: string;
  name: string;
  qualified_name: string;
  start_line: number;
  end_line: number;
}

export interface EntityFilter {
  path?: string | undefined;
  kind?: string | undefined;
  /** The name or the qualified name. */
  name?: string | undefined;
  limit: number;
  /** Where the page before ended; null: from the first one on. */
  from: EntityPlace | null;
}

/** An entity by its number in its file. */
export interface EntityPlace {
  path: string;
  index: number;
}

export interface EntityPage {
  entities: EntityRow[];
  /** Where the next page begins; null: there is none. */
  next: EntityPlace | null;
}

/** Files that are read at once. */
const pageFiles = 500;
/** Every bit of documents.kinds. */
const anyKind = -1;
/** Files with the very same content. */
const sameFilesMax = 10_000;

/**
 * Functions, classes and the like of present files, in the order of paths and lines. In slices: what is rare is looked for
 * in all files.
 * @throws DerivedDamageError; the signal's reason
 */
export async function listEntities(
  index: IndexDatabase,
  derived: DerivedDatabase,
  projectId: string,
  filter: EntityFilter,
  signal: AbortSignal,
): Promise<EntityPage> {
  const { from, limit } = filter;
  const slicer = new Slicer(signal);
  const entities: EntityRow[] = [];
  const kinds = filter.kind === undefined ? anyKind : kindBit(filter.kind);
  if (kinds === 0) return { entities, next: null };
  for (const file of await filesFor(index, derived, projectId, filter, slicer)) {
    const { path } = file;
    for (const [at, entity] of entitiesIn(derived, file, kinds).entries()) {
      if (!isAskedFor(entity, filter) || (path === from?.path && at < from.index)) continue;
      if (entities.length >= limit) return { entities, next: { path, index: at } };
      const { kind, name, qualifiedName, startLine, endLine } = entity;
      const lines = { start_line: startLine, end_line: endLine };
      entities.push({ path, kind, name, qualified_name: qualifiedName, ...lines });
    }
    await slicer.breathe();
  }
  return { entities, next: null };
}

function isAskedFor(entity: LayoutEntity, { kind, name }: EntityFilter): boolean {
  if (kind !== undefined && entity.kind !== kind) return false;
  return name === undefined || entity.name === name || entity.qualifiedName === name;
}

/** @param kinds none is read where the document has none of them */
function entitiesIn(
  derived: DerivedDatabase,
  { sha256, language }: ActiveContent,
  kinds: number,
): LayoutEntity[] {
  return derived.read(() => {
    const document = documentOf(derived, sha256, language);
    if (document === undefined || (document.kinds & kinds) === 0) return [];
    const layout = layoutOf(derived, document.firstChunk);
    return Array.from({ length: layout.entities }, (_, at) => layout.entity(at));
  });
}

/** The files that may have such entities, in the order of their paths. */
async function filesFor(
  index: IndexDatabase,
  derived: DerivedDatabase,
  projectId: string,
  { path, name, from }: EntityFilter,
  slicer: Slicer,
): Promise<Iterable<ActiveContent>> {
  if (path !== undefined) return [activeContentAt(index, projectId, path)].filter((file) => file !== null);
  const terms = name === undefined ? [] : [...new Set(termsOf(name))];
  // A name without a word that is indexed can be in any file.
  if (terms.length === 0) return filesFrom(index, projectId, from?.path);
  const files: ActiveContent[] = [];
  for (const { sha256, language } of await documentsWithAll(derived, terms, slicer)) {
    for (const one of pathsWith(index, projectId, { sha256, language }, sameFilesMax))
      files.push({ path: one, sha256, language });
    await slicer.breathe();
  }
  const rest = from === null ? files : files.filter((file) => compareBytes(file.path, from.path) >= 0);
  return rest.sort((a, b) => compareBytes(a.path, b.path));
}

/** In the order of their paths, from `first` on. */
function* filesFrom(index: IndexDatabase, projectId: string, first = ''): Generator<ActiveContent> {
  const file = activeContentAt(index, projectId, first);
  if (file !== null) yield file;
  for (let after = first; ;) {
    const page = activeContents(index, projectId, { prefix: '', after, limit: pageFiles });
    yield* page;
    if (page.length < pageFiles) return;
    after = page.at(-1)?.path ?? after;
  }
}

/** A name is in the text of some chunk of its file, so each of its words is in the document. */
async function documentsWithAll(
  derived: DerivedDatabase,
  terms: readonly string[],
  slicer: Slicer,
): Promise<DocumentRow[]> {
  const lists = derived.read(() => terms.map((term) => chunksWith(derived, term)));
  let documents: Map<number, DocumentRow> | null = null;
  for (const chunks of lists.sort((a, b) => a.length - b.length)) {
    const having = new Map<number, DocumentRow>();
    let end = 0;
    for (const chunkId of chunks) {
      if (chunkId < end) continue;
      const row = derived.read(() => documentWithChunk(derived, chunkId));
      end = row === undefined ? chunkId + 1 : row.firstChunk + row.chunks;
      if (row !== undefined && documents?.has(row.firstChunk) !== false) having.set(row.firstChunk, row);
      await slicer.breathe();
    }
    documents = having;
  }
  return [...(documents?.values() ?? [])];
}

function chunksWith(derived: DerivedDatabase, term: string): Uint32Array {
  const postings = readWord(derived, term);
  const chunks = new Uint32Array(postings.count);
  let count = 0;
  postings.forEach((chunkId) => (chunks[count++] = chunkId));
  return chunks;
}
