/** A project with an index and a database of what is made of its contents, both real, in a temporary folder. */
import { dirname } from 'node:path';
import type { TestContext } from 'node:test';
import { sha256 } from '#src/base/hash.js';
import { Slicer } from '#src/base/waiting.js';
import { defaultProvider } from '#src/embedding/providers.js';
import { extractingWith } from '#src/reconcile/extract.js';
import { putContent } from '#src/store/contents.js';
import { DerivedDatabase, derivedPath } from '#src/store/derived/derived-database.js';
import { documentOf, type DocumentRow, dropDocument, storeDocuments } from '#src/store/derived/documents.js';
import { currentModel } from '#src/store/derived/vectors.js';
import type { IndexDatabase } from '#src/store/index-database.js';
import { requireProject } from '#src/store/projects.js';
import { extractorOf } from '#src/syntax/extractor.js';
import { languageOf } from '#src/syntax/language.js';
import { createParser } from '#src/syntax/parser.js';
import {
  embedProject,
  openModel,
  trainProject,
  type VectorizationContext,
} from '#src/workers/vectorization/project.js';
import { atEnd } from '../../harness/folder.js';
import { addProject, openIndex } from '../index-fixture.js';

const extractor = extractingWith(createParser());
const { signal } = new AbortController();

export class DerivedProject {
  readonly index: IndexDatabase;
  readonly id: string;
  derived: DerivedDatabase;

  constructor(t: Pick<TestContext, 'after'>) {
    this.index = openIndex(t);
    this.id = addProject(this.index);
    this.derived = DerivedDatabase.openOrMake(this.path);
    atEnd(t, () => this.derived.close());
  }

  get stateDir(): string {
    return dirname(this.index.path);
  }

  /** Of the derived database. */
  get path(): string {
    return derivedPath(this.index.path, this.id);
  }

  /** Stores the contents in this order and makes them searchable, as the watcher does. */
  async put(files: Readonly<Record<string, string>>): Promise<DocumentRow[]> {
    return await this.#put(files, true);
  }

  /** As `put`, by a process that ends before the index has the contents. */
  async putCutOff(files: Readonly<Record<string, string>>): Promise<DocumentRow[]> {
    return await this.#put(files, false);
  }

  async #put(files: Readonly<Record<string, string>>, withContents: boolean): Promise<DocumentRow[]> {
    const rows: DocumentRow[] = [];
    for (const [path, text] of Object.entries(files)) {
      const bytes = Buffer.from(text);
      const hash = sha256(bytes);
      const language = languageOf(path);
      const by = extractorOf(language);
      const job = {
        bytes,
        sha256: hash,
        language,
        stored: null,
        storedBy: null,
        extractor: by,
        isDeadly: false,
      };
      const { tree, document } = await extractor.extract(job, new Slicer());
      const content = { sha256: hash, size: bytes.length, tree: Buffer.from(tree ?? []), extractor: by };
      if (document !== null)
        await storeDocuments(
          this.derived,
          [{ path, document: { sha256: hash, language, extractor: by, ...document } }],
          signal,
        );
      if (withContents) await this.index.write(() => putContent(this.index, content, 1));
      const row = documentOf(this.derived, hash, language);
      if (row !== undefined) rows.push(row);
    }
    return rows;
  }

  /** What the vectorization worker works with. */
  vectorization(given: Partial<VectorizationContext> = {}): VectorizationContext {
    const project = requireProject(this.index, { project_id: this.id });
    const { index, derived } = this;
    const progress = (): void => undefined;
    return {
      index,
      derived,
      provider: defaultProvider,
      project,
      ripeBelow: Number.POSITIVE_INFINITY,
      signal,
      progress,
      ...given,
    };
  }

  /** Makes the vectors that are lacking, as the worker does; trains a model first where there is none. */
  async vectorize(): Promise<void> {
    const context = this.vectorization();
    if (currentModel(this.derived) === undefined) await trainProject(context);
    await embedProject(context, (model) => openModel(context, model));
  }

  async drop(documents: readonly DocumentRow[]): Promise<void> {
    await this.derived.write(() => documents.forEach((document) => dropDocument(this.derived, document)));
  }
}

/** Two functions and what stands around them. */
export const twoFunctions = (name: string): string =>
  `export function open${name}(socket: Socket): void {\n  socket.open('${name}');\n}\n\n` +
  `export function close${name}(invoice: Invoice): void {\n  invoice.pay(${name.length});\n}\n`;
