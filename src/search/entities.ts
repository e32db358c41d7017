import { termsOf } from '../base/search-terms.js';
import type { DerivedDatabase } from '../store/derived/derived-database.js';
import { documentOf, documentWithChunk, layoutOf } from '../store/derived/documents.js';
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
}

/** Files that are read at once. */
const pageFiles = 500;
/** Files with the very same content. */
const sameFilesMax = 10_000;

/** Functions, classes and the like of present files, in the order of paths and lines. */
export function listEntities(
  index: IndexDatabase,
  derived: DerivedDatabase,
  projectId: string,
  filter: EntityFilter,
): EntityRow[] {
  return derived.read(() => {
    const entities: EntityRow[] = [];
    for (const file of filesFor(index, derived, projectId, filter)) {
      const document = documentOf(derived, file.sha256, file.language);
      if (document === undefined) continue;
      for (const entity of layoutOf(derived, document.firstChunk).entities) {
        const { kind, name, qualifiedName, startLine, endLine } = entity;
        if (filter.kind !== undefined && kind !== filter.kind) continue;
        if (filter.name !== undefined && name !== filter.name && qualifiedName !== filter.name) continue;
        if (entities.length >= filter.limit) return entities;
        const lines = { start_line: startLine, end_line: endLine };
        entities.push({ path: file.path, kind, name, qualified_name: qualifiedName, ...lines });
      }
    }
    return entities;
  });
}

/** The files that may have such entities, in the order of their paths. */
function filesFor(
  index: IndexDatabase,
  derived: DerivedDatabase,
  projectId: string,
  { path, name }: EntityFilter,
): Iterable<ActiveContent> {
  if (path !== undefined) return [activeContentAt(index, projectId, path)].filter((file) => file !== null);
  const terms = name === undefined ? [] : [...new Set(termsOf(name))];
  // A name without a word that is indexed can be in any file.
  return terms.length === 0 ? allFiles(index, projectId) : filesWithAll(index, derived, projectId, terms);
}

function* allFiles(index: IndexDatabase, projectId: string): Generator<ActiveContent> {
  for (let after = ''; ;) {
    const page = activeContents(index, projectId, { prefix: '', after, limit: pageFiles });
    yield* page;
    if (page.length < pageFiles) return;
    after = page.at(-1)?.path ?? after;
  }
}

/** A name is in the text of some chunk of its file, so its words are in the file. */
function filesWithAll(
  index: IndexDatabase,
  derived: DerivedDatabase,
  projectId: string,
  terms: readonly string[],
): ActiveContent[] {
  let documents: ReadonlySet<number> | null = null;
  const postings = terms.map((term) => readWord(derived, term)).sort((a, b) => a.count - b.count);
  for (const word of postings) {
    const having = new Set<number>();
    let known = { first: 0, end: 0 };
    word.forEach((chunkId) => {
      if (chunkId >= known.first && chunkId < known.end) return;
      const row = documentWithChunk(derived, chunkId);
      if (row === undefined) return;
      known = { first: row.firstChunk, end: row.firstChunk + row.chunks };
      if (documents === null || documents.has(row.firstChunk)) having.add(row.firstChunk);
    });
    documents = having;
  }
  const files = [...(documents ?? [])].flatMap((firstChunk) => {
    const row = documentWithChunk(derived, firstChunk);
    if (row === undefined) return [];
    const { sha256, language } = row;
    return pathsWith(index, projectId, row, sameFilesMax).map((path) => ({ path, sha256, language }));
  });
  return files.sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)));
}
