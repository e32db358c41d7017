/** A database with the tables of the inverted index, and the documents that its callers would keep. */
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import Database from 'better-sqlite3';
import { packWords } from '#src/store/derived/word-packer.js';
import { PostingsBatch } from '#src/store/derived/postings-batch.js';
import { postingsSchema } from '#src/store/derived/postings-schema.js';
import { readWord } from '#src/store/derived/postings.js';
import { noteDropped } from '#src/store/derived/segments.js';
import { SegmentMerger } from '#src/store/derived/segments-merge.js';
import type { Statement } from '#src/store/connection.js';
import { temporaryFolder } from '../../harness/folder.js';

export class TestDatabase {
  readonly db: Database.Database;
  readonly #statements = new Map<string, Database.Statement>();

  constructor(path: string) {
    this.db = new Database(path);
    this.db.pragma('page_size = 4096');
    this.db.pragma('journal_mode = WAL');
    this.db.pragma('synchronous = NORMAL');
    const isNew = this.db.prepare('SELECT 1 FROM sqlite_schema').get() === undefined;
    if (isNew) this.db.exec(postingsSchema);
  }

  sql<P extends unknown[] = unknown[], R = unknown>(text: string): Statement<P, R> {
    let statement = this.#statements.get(text);
    if (statement === undefined) {
      statement = this.db.prepare(text);
      this.#statements.set(text, statement);
    }
    return statement as Statement<P, R>;
  }

  write<T>(work: () => T): T {
    return this.db.transaction(work).immediate();
  }

  close(): void {
    this.#statements.clear();
    this.db.close();
  }
}

export type Words = ReadonlyMap<string, number>;

/** An index, and beside it what it should say. */
export class TestIndex {
  readonly path: string;
  db: TestDatabase;
  merger: SegmentMerger;
  /** The words of each chunk of each document that is not dropped, by the document's first chunk. */
  readonly documents = new Map<number, readonly Words[]>();
  nextChunk = 1;

  constructor(path: string) {
    this.path = path;
    this.db = new TestDatabase(path);
    this.merger = this.#newMerger();
  }

  #newMerger(): SegmentMerger {
    return new SegmentMerger((first, last) => {
      const pairs = [...this.documents].map(([firstChunk, { length }]) => [firstChunk, length] as const);
      const within = pairs.filter(([firstChunk]) => firstChunk >= first && firstChunk <= last);
      return Uint32Array.from(within.sort(([a], [b]) => a - b).flat());
    });
  }

  /** Adds documents as one segment. */
  add(documents: readonly (readonly Words[])[]): void {
    const batch = new PostingsBatch();
    for (const chunks of documents) {
      batch.add(this.nextChunk, packWords(chunks));
      if (chunks.length > 0) this.documents.set(this.nextChunk, chunks);
      this.nextChunk += chunks.length;
    }
    this.db.write(() => batch.flush(this.db));
  }

  drop(firstChunk: number): void {
    const chunks = this.documents.get(firstChunk) ?? [];
    this.documents.delete(firstChunk);
    this.db.write(() => noteDropped(this.db, firstChunk, chunks.length));
  }

  /** False where there was nothing more to merge. */
  mergeStep(budgetBytes?: number): boolean {
    return this.db.write(() => this.merger.step(this.db, budgetBytes));
  }

  /** A step whose process ends before it is committed. */
  mergeStepCutOff(budgetBytes?: number): void {
    this.db.db.exec('BEGIN IMMEDIATE');
    this.merger.step(this.db, budgetBytes);
    this.reopen();
  }

  reopen(): void {
    this.db.close();
    this.db = new TestDatabase(this.path);
    this.merger = this.#newMerger();
  }

  /** Levels by chunk of the chunks that have the word and are not dropped, as the index has them. */
  read(word: string): Map<number, number> {
    const found = new Map<number, number>();
    const live = this.liveChunks();
    readWord(this.db, word).forEach((chunk, level) => {
      if (live.has(chunk)) found.set(chunk, level);
    });
    return found;
  }

  /** The same, as it should be. */
  expected(word: string): Map<number, number> {
    const found = new Map<number, number>();
    for (const [chunk, words] of this.liveChunks()) {
      const level = words.get(word);
      if (level !== undefined) found.set(chunk, level);
    }
    return found;
  }

  liveChunks(): Map<number, Words> {
    const live = new Map<number, Words>();
    for (const [firstChunk, chunks] of this.documents)
      chunks.forEach((words, ordinal) => live.set(firstChunk + ordinal, words));
    return live;
  }
}

export function openTestIndex(t: Pick<TestContext, 'after'>): TestIndex {
  const index = new TestIndex(join(temporaryFolder(t), 'derived.db'));
  t.after(() => index.db.close());
  return index;
}
