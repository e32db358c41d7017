import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ChunkRanges, type Stretch } from '#src/search/chunk-ranges.js';
import { SignatureRows } from '#src/search/signature-rows.js';
import { nearestRows, type SignatureTable } from '#src/search/signature-scan.js';
import { VectorSample } from '#src/search/vector-sample.js';
import { signatureBits, signatureOf } from '#src/store/derived/vector-codec.js';
import { bitsThatDiffer, dot, randomUnit } from '../store/derived/vector-fixture.js';

const { signal } = new AbortController();
const dimensions = 32;

/** A table of the vectors, whose chunk ids are 10, 11 and so on. */
function tableOf(vectors: readonly Float32Array[]): SignatureRows {
  const rows = new SignatureRows();
  vectors.forEach((vector, i) => rows.append(10 + i, signatureOf(vector)));
  return rows;
}

const allOf = ({ ids, count }: SignatureTable): readonly Stretch[] => ChunkRanges.all.stretches(ids, count);

const some = (count: number, seed: number): Float32Array[] =>
  Array.from({ length: count }, (_, i) => randomUnit(dimensions, seed * 100_000 + i));

test('all rows are given where there are not more than are asked for', async () => {
  const table = tableOf(some(50, 1)).view();
  const rows = await nearestRows(table, randomUnit(dimensions, 9), allOf(table), 50, signal);
  assert.deepEqual(
    [...rows],
    Array.from({ length: 50 }, (_, i) => i),
  );
});

test('most of the nearest are among those that are given, and few of the farther half', async () => {
  const vectors = some(3_000, 2);
  const table = tableOf(vectors).view();
  for (let seed = 1; seed <= 5; seed += 1) {
    const question = randomUnit(dimensions, seed);
    const byCosine = vectors
      .map((vector, row) => ({ row, cosine: dot(vector, question) }))
      .sort((a, b) => b.cosine - a.cosine)
      .map(({ row }) => row);
    const rows = new Set(await nearestRows(table, question, allOf(table), 300, signal));
    assert.equal(rows.size, 300);
    const found = byCosine.slice(0, 50).filter((row) => rows.has(row));
    assert.ok(found.length >= 40, `${found.length}`);
    assert.ok(byCosine.slice(1_500).filter((row) => rows.has(row)).length <= 5);
  }
});

test('where more are to be looked at than the second step takes, those that differ in fewer bits are', async () => {
  const signatures = some(2_000, 8).map(signatureOf);
  const table = new SignatureRows();
  for (let row = 0; row < 40_000; row += 1) table.append(row, signatures[row % 2_000] ?? new Uint8Array());
  const question = randomUnit(dimensions, 5_000);
  const distances = signatures.map((signature) => bitsThatDiffer(signature, signatureOf(question)));
  const distanceOf = (row: number): number => distances[row % 2_000] ?? 0;
  const rows = await nearestRows(table.view(), question, allOf(table.view()), 16_384, signal);
  assert.equal(new Set(rows).size, 16_384);
  const given = new Set(rows);
  const others = Array.from({ length: 40_000 }, (_, row) => row).filter((row) => !given.has(row));
  const farthest = Math.max(...rows.map(distanceOf));
  assert.ok(farthest < signatureBits && farthest <= Math.min(...others.map(distanceOf)));
});

test('only chunks within the ranges are given', async () => {
  const table = tableOf(some(500, 3)).view();
  const range = fc.record({ at: fc.integer({ min: 0, max: 60 }), chunks: fc.integer({ min: 1, max: 10 }) });
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(range, { selector: ({ at }) => at }), async (given) => {
      const ranges = given.map(({ at, chunks }) => ({ firstChunk: 10 * at, chunks }));
      const rows = await nearestRows(
        table,
        randomUnit(dimensions, 4),
        ChunkRanges.of(ranges).stretches(table.ids, table.count),
        1_000,
        signal,
      );
      const expected = [...table.ids.subarray(0, table.count)].filter((id) =>
        ranges.some(({ firstChunk, chunks }) => id >= firstChunk && id < firstChunk + chunks),
      );
      assert.deepEqual(rows.map((row) => table.ids[row]), expected); // prettier-ignore
    }),
  );
});

test('what is appended does not change what was seen before', () => {
  const rows = tableOf(some(3, 5));
  const before = rows.view();
  const copy = { ids: before.ids.slice(0, 3), words: before.words.slice(0, 24) };
  for (const [i, vector] of some(100, 6).entries()) rows.append(100 + i, signatureOf(vector));
  assert.equal(before.count, 3);
  assert.deepEqual({ ids: before.ids.slice(0, 3), words: before.words.slice(0, 24) }, copy);
  assert.equal(rows.view().count, 103);
  assert.equal(rows.end, 200);
  assert.deepEqual(rows.view().words.slice(0, 24), copy.words);
});

test('the scan stops when it is asked to', async () => {
  const stop = new AbortController();
  stop.abort(new Error('stopped'));
  const table = tableOf(some(10, 7)).view();
  await assert.rejects(
    nearestRows(table, randomUnit(dimensions, 1), allOf(table), 5, stop.signal),
    /stopped/u,
  );
});

test('a sample is even, bounded, and the same however the chunks came', () => {
  const bits = new Uint8Array(32);
  const levelsOf = (chunkId: number): Int8Array => Int8Array.of(chunkId & 127, chunkId >> 7, chunkId >> 14);
  const sampleOf = (batches: readonly number[]): readonly Int8Array[] => {
    const rows = new SignatureRows();
    const sample = new VectorSample();
    for (const batch of batches) {
      for (let i = 0; i < batch; i += 1) rows.append(rows.end, bits);
      while (!sample.follow(rows, rows.count, levelsOf));
    }
    return sample.levels;
  };
  const whole = sampleOf([100_000]);
  assert.ok(whole.length > 2_000 && whole.length <= 4_200, `${whole.length}`);
  assert.deepEqual(sampleOf([10, 3_000, 50_000, 46_990]), whole);
  assert.equal(sampleOf([1_000]).length, 1_000);
  const firstHalf = whole.filter(([low = 0, middle = 0, high = 0]) => low + 128 * (middle & 127) + 16_384 * high < 50_000); // prettier-ignore
  assert.ok(Math.abs(firstHalf.length - whole.length / 2) < 50, `${firstHalf.length} of ${whole.length}`);
});
