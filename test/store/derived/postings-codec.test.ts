import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BlockBuilder, BlockCursor } from '#src/store/derived/postings-block.js';
import { DerivedDamageError } from '#src/store/derived/damage.js';
import {
  chunkIdMax,
  compareBytes,
  EntryCursor,
  GrowingBytes,
  wordBytes,
} from '#src/store/derived/postings-codec.js';
import { level, orDamage, word } from './any-words.js';

const entries = fc
  .uniqueArray(fc.oneof(fc.nat(300), fc.nat(chunkIdMax)), { minLength: 1 })
  .chain((chunks) =>
    fc.tuple(
      fc.constant(chunks.sort((a, b) => a - b)),
      fc.array(level, { minLength: chunks.length, maxLength: chunks.length }),
    ),
  )
  .map(([chunks, levels]) => chunks.map((chunk, index) => [chunk, levels[index] ?? 1] as const));

test('bytes of words sort as the words do', () => {
  fc.assert(
    fc.property(word, word, (a, b) => {
      const order = Buffer.compare(wordBytes(a), wordBytes(b));
      assert.equal(order, a < b ? -1 : Number(a > b));
      const [x, y] = [wordBytes(a), wordBytes(b)];
      assert.equal(Math.sign(compareBytes(x, 0, x.length, y, 0, y.length)), order);
    }),
  );
});

function decoded(bytes: Uint8Array, start = 0, end = bytes.length): [number, number][] {
  const cursor = new EntryCursor(bytes, start, end);
  const found: [number, number][] = [];
  while (cursor.next()) found.push([cursor.chunk, cursor.level]);
  return found;
}

test('entries end where they are said to end, and nothing beyond is read', () => {
  fc.assert(
    fc.property(entries, (given) => {
      const bytes = new GrowingBytes();
      let before = -1;
      for (const [chunk, entryLevel] of given) {
        bytes.entry(chunk - before, entryLevel);
        before = chunk;
      }
      const { length } = bytes;
      bytes.append(Buffer.alloc(8, 1), 0, 8);
      assert.deepEqual(decoded(bytes.bytes, 0, length), given);
      assert.throws(() => decoded(bytes.bytes, 0, length - 1), DerivedDamageError);
      assert.throws(() => decoded(Buffer.from(bytes.bytes.subarray(0, length - 1))), DerivedDamageError);
    }),
  );
});

test('any bytes are entries in ascending order, or damaged', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const found = orDamage(() => decoded(bytes)) ?? [];
      found.forEach(([chunk, entryLevel], index) => {
        assert.ok(chunk > (found[index - 1]?.[0] ?? -1) && chunk <= chunkIdMax);
        assert.ok(entryLevel >= 1);
      });
    }),
    { numRuns: 2_000 },
  );
});

test('an id beyond the largest one is damaged', () => {
  const bytes = new GrowingBytes();
  bytes.entry(chunkIdMax, 1);
  bytes.entry(2, 1);
  assert.throws(() => decoded(bytes.written()), DerivedDamageError);
  assert.throws(() => decoded(Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f, 1])), DerivedDamageError);
});

type Entries = readonly (readonly [number, number])[];

function read(first: Uint8Array, directory: Uint8Array, bytes: Uint8Array): Map<string, Entries> {
  const found = new Map<string, Entries>();
  const cursor = new BlockCursor(first, directory, bytes.length);
  while (cursor.next()) {
    const text = cursor.word.written().toString('latin1');
    found.set(text, decoded(bytes, cursor.start, cursor.end));
  }
  return found;
}

function blockOf(given: ReadonlyMap<string, Entries>): {
  builder: BlockBuilder;
  sorted: Map<string, Entries>;
} {
  const builder = new BlockBuilder();
  const byBytes = [...given].map(([text, list]) => [wordBytes(text), list] as const);
  byBytes.sort(([a], [b]) => Buffer.compare(a, b));
  for (const [bytes, list] of byBytes) {
    builder.beginWord(bytes, 0, bytes.length);
    for (const [chunk, entryLevel] of list) builder.add(chunk, entryLevel);
    builder.endWord();
  }
  return { builder, sorted: new Map(byBytes.map(([bytes, list]) => [bytes.toString('latin1'), list])) };
}

test('a block has the words and entries that it was made of, and after it is taken the next ones', () => {
  const block = fc.array(fc.tuple(word, entries), { minLength: 1 }).map((pairs) => new Map(pairs));
  fc.assert(
    fc.property(block, (given) => {
      const { builder, sorted } = blockOf(given);
      const { word: first, directory, entries: bytes } = builder.take();
      assert.deepEqual([...read(first, directory, bytes)], [...sorted]);
      assert.ok(builder.isEmpty);
    }),
  );
});

test('a block that is cut off or changed is damaged, or has words in ascending order', () => {
  const { builder } = blockOf(
    new Map([
      ['item', [[3, 1]]],
      ['items', [[300, 255]]],
      [
        'iterate',
        [
          [1, 7],
          [2, 8],
        ],
      ],
    ]),
  );
  const { word: first, directory, entries: bytes } = builder.take();
  for (let at = 0; at < directory.length; at++) {
    orDamage(() => read(first, directory.subarray(0, at), bytes));
    for (let value = 0; value < 256; value++) {
      const changed = Buffer.from(directory);
      changed[at] = value;
      const keys = [...(orDamage(() => read(first, changed, bytes)) ?? new Map<string, Entries>()).keys()];
      assert.deepEqual(keys, [...new Set(keys)].sort());
    }
  }
  assert.throws(() => read(first, directory, bytes.subarray(0, -1)), DerivedDamageError);
  assert.throws(() => read(first, directory.subarray(0, -1), bytes), DerivedDamageError);
});

test('words and chunks that come out of order are found when a block is made', () => {
  const builder = new BlockBuilder();
  const add = (text: string, chunk: number): void => {
    builder.beginWord(Buffer.from(text), 0, text.length);
    builder.add(chunk, 1);
    assert.throws(() => builder.add(chunk, 1), DerivedDamageError);
    builder.endWord();
  };
  add('b', 0);
  assert.throws(() => add('a', 0), DerivedDamageError);
  assert.throws(() => add('b', 0), DerivedDamageError);
  builder.take();
  assert.throws(() => add('ab', 0), DerivedDamageError);
});
