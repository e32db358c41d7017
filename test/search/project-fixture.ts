/** A real index in a temporary folder, with a project made of the given files. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { randomUUID } from 'node:crypto';
import { wordsOf } from '#src/base/search-words.js';
import type { Document, EmbeddingProvider } from '#src/embedding/provider.js';
import { defaultProvider } from '#src/embedding/providers.js';
import { replaceDerived } from '#src/store/derived.js';
import { IndexDatabase } from '#src/store/index-database.js';
import { addFile } from '../store/index-fixture.js';
import { insertProject } from '#src/store/projects.js';
import { chunkIds, chunkTexts, putVectors, replaceModel } from '#src/store/vectors.js';
import { type Chunk, chunksOf } from '#src/syntax/chunks.js';
import { entitiesOf, type Entity } from '#src/syntax/entities.js';
import { languageOf } from '#src/syntax/language.js';
import { createParser } from '#src/syntax/parser.js';
import { decodeSource } from '#src/syntax/source.js';
import { newFolder } from '../harness/folder.js';

export interface ParsedFile {
  path: string;
  language: string | null;
  entities: readonly Entity[];
  chunks: readonly Chunk[];
}

const parser = createParser();

export async function parseFile(path: string, content: string | Buffer): Promise<ParsedFile> {
  const language = languageOf(path);
  const tree = await parser.parse(decodeSource(Buffer.from(content)), language);
  const entities = entitiesOf(tree);
  return { path, language, entities, chunks: chunksOf(tree, entities) };
}

let clock = 1_000;
/** Times that never repeat, as the writers of the index see them. */
export const tick = (): number => (clock += 1);

export class FixtureIndex {
  readonly folder = newFolder();
  readonly index = IndexDatabase.open(join(this.folder, 'index.db'));

  [Symbol.dispose](): void {
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

  /** Gives the file's id. */
  async put(projectId: string, path: string, content: string): Promise<number> {
    const file = await parseFile(path, content);
    return this.index.db.transaction(() => this.putParsed(projectId, file))();
  }

  putParsed(projectId: string, { path, language, entities, chunks }: ParsedFile): number {
    const fileId = addFile(this.index, projectId, path, { size: 1, language }, tick());
    const chunkWords = chunks.map(({ text }) => wordsOf(text).join(' '));
    replaceDerived(this.index, fileId, path, { entities, chunks, chunkWords });
    return fileId;
  }

  /** Trains a model and makes all vectors, as the worker does. */
  async vectorize(projectId: string, provider: EmbeddingProvider = defaultProvider): Promise<number> {
    const { signal } = new AbortController();
    const chunks = chunkTexts(this.index, chunkIds(this.index, projectId));
    const trained = await provider.train(streamOf(chunks), { signal, progress: () => undefined });
    const modelId = replaceModel(
      this.index,
      projectId,
      { provider: provider.name, trainedOn: chunks.length, ...trained },
      tick(),
    );
    const vectors = await provider.open(trained.state).embed(chunks, signal);
    this.index.db.transaction(() =>
      putVectors(
        this.index,
        modelId,
        chunks.map(({ id }, position) => ({ chunkId: id, vector: vectors[position] ?? new Float32Array() })),
      ),
    )();
    return modelId;
  }
}

export async function* streamOf<T extends Document>(documents: readonly T[]): AsyncGenerator<T> {
  yield* await Promise.resolve(documents);
}
