/** The rows of segments and of their blocks: writing, walking and deleting them. */
import {
  assertWhole,
  checksumOf,
  type StoredBlock,
  type Block,
  BlockBuilder,
  BlockCursor,
} from './postings-block.js';
import { compareBytes, type GrowingBytes } from './postings-codec.js';
import type { DerivedConnection } from './postings-schema.js';

export interface SegmentRow {
  readonly id: number;
  readonly state: 'building' | 'live' | 'replaced';
  /** Chunk ids, both inclusive. */
  readonly firstChunk: number;
  readonly lastChunk: number;
  /** Chunks that it had when it was begun, and how many of them were dropped since. */
  readonly chunks: number;
  readonly dead: number;
  /** Size of its blocks. */
  readonly bytes: number;
  /** The building segment that is to replace it. */
  readonly mergedInto: number | null;
  /** Of a building one: the last word that is merged. */
  readonly through: Buffer | null;
}

/** All segments in ascending order of their chunks. */
export function readSegments(db: DerivedConnection): SegmentRow[] {
  return db
    .sql<[], SegmentRow>(
      `SELECT id, state, first_chunk AS firstChunk, last_chunk AS lastChunk, chunks, dead, bytes,
         merged_into AS mergedInto, through
       FROM posting_segments ORDER BY first_chunk, id`,
    )
    .all();
}

export interface SegmentRange {
  readonly firstChunk: number;
  readonly lastChunk: number;
  readonly chunks: number;
}

/** Gives the new segment's id. */
export function insertSegment(
  db: DerivedConnection,
  state: 'building' | 'live',
  { firstChunk, lastChunk, chunks }: SegmentRange,
): number {
  const { lastInsertRowid } = db
    .sql(
      'INSERT INTO posting_segments (state, first_chunk, last_chunk, chunks, bytes) VALUES (?, ?, ?, ?, 0)',
    )
    .run(state, firstChunk, lastChunk, chunks);
  return Number(lastInsertRowid);
}

/**
 * Counts chunks of a dropped document, of a batch that was flushed, on the segment that has them, so that a merge
 * comes to it. To be called once for a document.
 */
export function noteDropped(db: DerivedConnection, firstChunk: number, count: number): void {
  db.sql(
    `UPDATE posting_segments SET dead = min(chunks, dead + ?)
     WHERE state <> 'replaced' AND first_chunk <= ? AND last_chunk >= ?`,
  ).run(count, firstChunk, firstChunk);
}

/** Writes words, which come in ascending order, as blocks of one segment. */
export class SegmentWriter {
  readonly #db: DerivedConnection;
  readonly #segment: number;
  readonly words = new BlockBuilder();
  /** Written so far. */
  bytes = 0;

  constructor(db: DerivedConnection, segment: number) {
    this.#db = db;
    this.#segment = segment;
  }

  endWord(): void {
    this.words.endWord();
    if (this.words.isFull) this.#write(this.words.take());
  }

  finish(): void {
    if (!this.words.isEmpty) this.#write(this.words.take());
  }

  #write(block: Block): void {
    const { word, directory, entries } = block;
    this.#db
      .sql('INSERT INTO posting_blocks (segment, word, checksum, directory, entries) VALUES (?, ?, ?, ?, ?)')
      .run(this.#segment, word, checksumOf(block), directory, entries);
    this.bytes += word.length + directory.length + entries.length;
  }
}

/** The words of one segment in ascending order, those after `through` only. */
export class SegmentCursor {
  readonly #db: DerivedConnection;
  readonly #segment: number;
  #block: StoredBlock | undefined;
  #cursor = new BlockCursor(Buffer.alloc(0), Buffer.alloc(0), 0);

  constructor(db: DerivedConnection, segment: number, through: Uint8Array | null) {
    this.#db = db;
    this.#segment = segment;
    this.#open(this.#firstBlock(through));
    if (through === null) return;
    while (this.isAtWord && this.#isWithin(through)) this.next();
  }

  #isWithin(through: Uint8Array): boolean {
    const { bytes, length } = this.word;
    return compareBytes(bytes, 0, length, through, 0, through.length) <= 0;
  }

  /** False after the last word. The other fields are of no use then. */
  get isAtWord(): boolean {
    return this.#block !== undefined;
  }

  /** Changes with `next`. */
  get word(): GrowingBytes {
    return this.#cursor.word;
  }

  /** The bytes that its entries lie in, from `start` to `end`. */
  get entries(): Uint8Array {
    return this.#block?.entries ?? Buffer.alloc(0);
  }

  get start(): number {
    return this.#cursor.start;
  }

  get end(): number {
    return this.#cursor.end;
  }

  /** @throws DerivedDamageError for a block that does not decode */
  next(): void {
    if (this.#block === undefined || this.#cursor.next()) return;
    this.#open(
      this.#db
        .sql<[number, Uint8Array], StoredBlock>(
          `SELECT word, checksum, directory, entries FROM posting_blocks WHERE segment = ? AND word > ? ORDER BY word LIMIT 1`,
        )
        .get(this.#segment, this.#block.word),
    );
  }

  /** The one that the word is in or would be in; else the first of all. */
  #firstBlock(through: Uint8Array | null): StoredBlock | undefined {
    const before = this.#db
      .sql<[number, Uint8Array | null], StoredBlock>(
        `SELECT word, checksum, directory, entries FROM posting_blocks WHERE segment = ? AND word <= ?
         ORDER BY word DESC LIMIT 1`,
      )
      .get(this.#segment, through);
    if (before !== undefined) return before;
    return this.#db
      .sql<[number], StoredBlock>(
        'SELECT word, checksum, directory, entries FROM posting_blocks WHERE segment = ? ORDER BY word LIMIT 1',
      )
      .get(this.#segment);
  }

  #open(block: StoredBlock | undefined): void {
    this.#block = block;
    if (block === undefined) return;
    assertWhole(block);
    this.#cursor = new BlockCursor(block.word, block.directory, block.entries.length);
    this.next();
  }
}

/** Rows of blocks that one statement deletes. */
const deletedAtOnce = 16;

/** About what a block has, in bytes; what a deleted one counts against a budget. */
const blockUsualBytes = 5_000;

/** Deletes blocks of a segment that is not read any more, and the segment after its last one; gives the bytes of work. */
export function deleteBlocks(db: DerivedConnection, segment: number, budgetBytes: number): number {
  for (let spent = 0; ;) {
    const { changes } = db
      .sql(
        `DELETE FROM posting_blocks WHERE id IN (
           SELECT id FROM posting_blocks WHERE segment = ? ORDER BY word LIMIT ${deletedAtOnce})`,
      )
      .run(segment);
    spent += changes * blockUsualBytes;
    if (changes < deletedAtOnce) {
      db.sql('DELETE FROM posting_segments WHERE id = ?').run(segment);
      return spent;
    }
    if (spent >= budgetBytes) return spent;
  }
}
