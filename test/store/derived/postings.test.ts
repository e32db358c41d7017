import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { PostingsBatch } from '#src/store/derived/postings-batch.js';
import { DerivedDamageError } from '#src/store/derived/damage.js';
import { packWords } from '#src/store/derived/word-packer.js';
import { readWord } from '#src/store/derived/postings.js';
import { readSegments } from '#src/store/derived/segments.js';
import { mergedMin } from '#src/store/derived/segments-policy.js';
import { temporaryFolder } from '../../harness/folder.js';
import { openTestIndex, TestDatabase, TestIndex, type Words } from './derived-fixture.js';

const vocabulary = ['a', 'aa', 'ab', 'b', 'ba\u0000', '\u00e9t\u00e9', '\u{1F600}', '\uffee', ''];

const words = fc
  .array(fc.tuple(fc.constantFrom(...vocabulary), fc.integer({ min: 1, max: 255 })), { maxLength: 6 })
  .map((pairs) => new Map(pairs));
const documents = fc.array(fc.array(words, { maxLength: 4 }), { minLength: 1, maxLength: 4 });

/** Done one after the other to an index. Merging goes one word a step, so that it can be cut off after each. */
const act = fc.oneof(
  { weight: 6, arbitrary: documents.map((given) => (index: TestIndex) => index.add(given)) },
  {
    weight: 3,
    arbitrary: fc.nat().map((choice) => (index: TestIndex) => {
      const kept = [...index.documents.keys()];
      const firstChunk = kept[choice % kept.length];
      if (firstChunk !== undefined) index.drop(firstChunk);
    }),
  },
  {
    weight: 4,
    arbitrary: fc.nat(20).map((steps) => (index: TestIndex) => {
      for (let step = 0; step < steps; step++) index.mergeStep(1);
    }),
  },
  { weight: 2, arbitrary: fc.constant((index: TestIndex) => index.mergeStepCutOff(1)) },
  { weight: 1, arbitrary: fc.constant((index: TestIndex) => index.mergeStepCutOff()) },
  { weight: 1, arbitrary: fc.constant((index: TestIndex) => index.reopen()) },
);

function assertPostings(index: TestIndex): void {
  for (const word of vocabulary) {
    const expected = index.expected(word);
    assert.deepEqual(
      [...index.read(word)],
      [...expected].sort(([a], [b]) => a - b),
      JSON.stringify(word),
    );
    const live = Uint32Array.from(index.liveChunks().keys()).sort();
    assert.deepEqual(
      [...readWord(index.db, word).levelsOf(live)],
      [...live].map((chunk) => expected.get(chunk) ?? 0),
    );
  }
}

function mergeAll(index: TestIndex): void {
  while (index.mergeStep(1));
}

test('whatever is added, dropped, merged and cut off: the postings are those of the documents that are left', (t) => {
  const folder = temporaryFolder(t);
  let run = 0;
  fc.assert(
    fc.property(fc.array(act, { maxLength: 60, size: 'max' }), (acts) => {
      const index = new TestIndex(join(folder, `${run++}.db`));
      try {
        for (const next of acts) {
          next(index);
          assertPostings(index);
        }
        mergeAll(index);
        assertPostings(index);
      } finally {
        index.db.close();
      }
    }),
    { numRuns: 60 },
  );
});

/** Segments enough for a merge, in each of which each word is. */
function addSegments(index: TestIndex, count = mergedMin): void {
  for (let segment = 0; segment < count; segment++)
    index.add([[new Map(vocabulary.map((word, at) => [word, at + 1]))], [new Map([['a', 200]])]]);
}

test('a merge that is cut off at any step goes on with the next process, and readers see no step of it', (t) => {
  const index = openTestIndex(t);
  addSegments(index);
  const reader = new TestDatabase(index.path);
  t.after(() => reader.close());
  const counts = (): number[] => vocabulary.map((word) => readWord(reader, word).count);
  const before = counts();
  let steps = 0;
  for (; ; steps++) {
    index.mergeStepCutOff(1);
    assertPostings(index);
    const hasMore = index.mergeStep(1);
    assert.deepEqual(counts(), before);
    assertPostings(index);
    if (!hasMore) break;
  }
  assert.ok(steps > vocabulary.length, `only ${steps} steps`);
  assert.equal(readSegments(index.db).length, 1);
});

test('a reader that has begun reads the segments that were there, whatever is merged meanwhile', (t) => {
  const index = openTestIndex(t);
  addSegments(index);
  const reader = new TestDatabase(index.path);
  t.after(() => reader.close());
  reader.db.exec('BEGIN');
  const postings = readWord(reader, 'b');
  mergeAll(index);
  const found: number[] = [];
  postings.forEach((chunk) => found.push(chunk));
  assert.deepEqual(found, [...index.expected('b').keys()]);
});

test('what was dropped leaves with a merge, also where it was dropped while that was under way', (t) => {
  const index = openTestIndex(t);
  addSegments(index);
  index.mergeStep(1);
  const [first = 0, , third = 0] = index.documents.keys();
  index.drop(first);
  assertPostings(index);
  mergeAll(index);
  assertPostings(index);
  assert.deepEqual(
    readSegments(index.db).map(({ dead }) => dead),
    [1],
  );
  index.drop(third);
  for (const firstChunk of [...index.documents.keys()].slice(0, 5)) index.drop(firstChunk);
  mergeAll(index);
  assert.equal(readWord(index.db, 'a').count, index.expected('a').size);
  for (const firstChunk of index.documents.keys()) index.drop(firstChunk);
  mergeAll(index);
  assert.deepEqual(readSegments(index.db), []);
  const rows = index.db.sql<[], { count: number }>('SELECT count(*) AS count FROM posting_blocks').get();
  assert.equal(rows?.count, 0);
});

test('a step does a bounded amount of work', (t) => {
  const index = openTestIndex(t);
  const chunk: Words = new Map(Array.from({ length: 3_000 }, (_, at) => [`word${at}`, 1]));
  for (let segment = 0; segment < mergedMin; segment++) index.add([[chunk]]);
  let steps = 0;
  while (index.mergeStep(20_000)) steps++;
  assert.ok(steps > 20, `only ${steps} steps`);
  assert.equal(readWord(index.db, 'word2999').count, mergedMin);
});

test('words whose entries fill many blocks are found, and those around them', (t) => {
  const index = openTestIndex(t);
  const many = Array.from({ length: 40_000 }, (_, at): Words => {
    const rare = `n${at % 5_000}`;
    return new Map([
      ['common', (at % 255) + 1],
      [rare, 9],
    ]);
  });
  index.add([many.slice(0, 1_000), many.slice(1_000), [new Map([['z', 1]])]]);
  const { longest } = index.db
    .sql<[], { longest: number }>('SELECT max(length(directory)) AS longest FROM posting_blocks')
    .get() ?? { longest: 0 };
  assert.ok(longest > 0 && longest < 3_000, `${longest} bytes`);
  for (const word of ['common', 'n0', 'n4999', 'n2500', 'z', 'absent', 'nn'])
    assert.deepEqual(index.read(word), index.expected(word), word);
});

test('a segment of which all is dropped goes without being read', (t) => {
  const index = openTestIndex(t);
  addSegments(index, 2);
  index.db
    .sql('UPDATE posting_blocks SET entries = zeroblob(1), directory = zeroblob(1) WHERE segment = 1')
    .run();
  index.drop(1);
  index.drop(2);
  mergeAll(index);
  assertPostings(index);
});

test('entries that are more or fewer than the directory says are damage', (t) => {
  const index = openTestIndex(t);
  index.add([[new Map([['a', 1]]), new Map([['a', 2]])]]);
  const setDirectory = (...bytes: number[]): void => {
    index.db.sql('UPDATE posting_blocks SET directory = ?').run(Buffer.from(bytes));
  };
  setDirectory(0, 0, 2, 4);
  assert.equal(index.read('a').size, 2);
  setDirectory(0, 0, 1, 4);
  assert.throws(() => index.read('a'), DerivedDamageError);
});

test('damage to a row is damage for who reads it and for a merge', (t) => {
  const index = openTestIndex(t);
  addSegments(index);
  const cut = 'UPDATE posting_blocks SET entries = substr(entries, 2) WHERE segment = 3';
  index.db.sql(cut).run();
  const readAll = (): void => {
    for (const word of vocabulary) index.read(word);
  };
  assert.throws(readAll, DerivedDamageError);
  assert.throws(() => mergeAll(index), DerivedDamageError);
});

test('a batch takes documents in ascending order only, and none that the index is beyond', (t) => {
  const index = openTestIndex(t);
  const packed = packWords([new Map([['a', 1]])]);
  const batch = new PostingsBatch();
  assert.ok(batch.isEmpty);
  batch.add(5, packed);
  assert.throws(() => batch.add(5, packed), RangeError);
  batch.flush(index.db);
  const late = new PostingsBatch();
  late.add(5, packed);
  assert.throws(() => late.flush(index.db), RangeError);
});

test('an empty batch writes nothing; documents without words are counted', (t) => {
  const index = openTestIndex(t);
  const batch = new PostingsBatch();
  batch.add(1, packWords([]));
  batch.flush(index.db);
  assert.deepEqual(readSegments(index.db), []);
  index.add([[new Map()], [new Map([['a', 1]])]]);
  assert.equal(readSegments(index.db)[0]?.chunks, 2);
});
