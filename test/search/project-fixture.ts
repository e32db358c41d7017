/** A real index in a temporary folder, with a project made of the given files. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { randomUUID } from 'node:crypto';
import { sha256 } from '#src/base/hash.js';
import { Slicer } from '#src/base/waiting.js';
import { extractingWith } from '#src/reconcile/extract.js';
import type { SearchedProject } from '#src/search/search.js';
import { putContent } from '#src/store/contents.js';
import { DerivedDatabases } from '#src/store/derived/derived-databases.js';
import { storeDocuments } from '#src/store/derived/documents.js';
import { IndexDatabase } from '#src/store/index-database.js';
import { defaultProvider } from '#src/embedding/providers.js';
import { insertProject, requireProject } from '#src/store/projects.js';
import { embedProject, openModel, trainProject } from '#src/workers/vectorization/project.js';
import { extractorOf } from '#src/syntax/extractor.js';
import { languageOf } from '#src/syntax/language.js';
import { createParser } from '#src/syntax/parser.js';
import { newFolder } from '../harness/folder.js';
import { addFile } from '../store/index-fixture.js';

const extractor = extractingWith(createParser());
const { signal } = new AbortController();

let clock = 1_000;
/** Times that never repeat, as the writers of the index see them. */
export const tick = (): number => (clock += 1);

export class FixtureIndex {
  readonly folder = newFolder();
  readonly index = IndexDatabase.open(join(this.folder, 'index.db'));
  readonly derived = new DerivedDatabases(this.index);

  [Symbol.dispose](): void {
    void this.derived.close();
    this.index.close();
    rmSync(this.folder, { recursive: true });
  }

  addProject(name = 'project'): string {
    const id = randomUUID();
    const rootDir = join(this.folder, `${name}-${id}`);
    insertProject(
      this.index,
      {
        id,
        rootDir,
        versionDir: join(rootDir, 'versions'),
        name,
        rootDev: '1',
        rootIno: '1',
        rootIdentity: null,
      },
      tick(),
    );
    return id;
  }

  async searched(projectIds: readonly string[]): Promise<SearchedProject[]> {
    const projects: SearchedProject[] = [];
    for (const id of projectIds) projects.push({ id, derived: await this.derived.of(id) });
    return projects;
  }

  /** Trains a model and makes all vectors, as the worker does. */
  async vectorize(projectId: string): Promise<void> {
    const derived = await this.derived.of(projectId);
    const project = requireProject(this.index, { project_id: projectId });
    const { index } = this;
    const options = { provider: defaultProvider, ripeBelow: 0, progress: () => undefined, signal };
    const context = { index, derived, project: { ...project, lastVerifiedAt: 1 }, ...options };
    await trainProject(context);
    await embedProject(context, (model) => openModel(context, model));
  }

  /** Indexes a file as the watcher does, though it is not on disk; gives its id. */
  async put(projectId: string, path: string, content: string | Buffer): Promise<number> {
    const bytes = Buffer.from(content);
    const language = languageOf(path);
    const made = { sha256: sha256(bytes), language, extractor: extractorOf(language) };
    const job = { ...made, bytes, stored: null, storedBy: null, isDeadly: false };
    const { tree, document } = await extractor.extract(job, new Slicer());
    if (tree === null || document === null) throw new Error('nothing was made of it');
    const derived = await this.derived.of(projectId);
    await storeDocuments(derived, [{ path, document: { ...made, ...document } }], signal);
    const stored = { ...made, size: bytes.length, tree: Buffer.from(tree) };
    putContent(this.index, stored, tick());
    const row = { ...made, size: bytes.length, chunks: document.chunks };
    return addFile(this.index, projectId, path, row, tick());
  }
}
