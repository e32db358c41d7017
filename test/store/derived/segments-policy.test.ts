import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { chooseMerge, mergedMin, type SegmentSize } from '#src/store/derived/segments-policy.js';

const segment = (id: number, bytes: number, chunks = 10, dead = 0): SegmentSize => ({
  id,
  bytes,
  chunks,
  dead,
});
const segmentsOf = (...bytes: number[]): SegmentSize[] => bytes.map((size, id) => segment(id, size));
const times = (count: number, bytes: number): number[] => Array.from({ length: count }, () => bytes);

test('nothing is merged while segments are few', () => {
  assert.equal(chooseMerge([]), null);
  assert.equal(chooseMerge(segmentsOf(...times(mergedMin - 1, 3_000))), null);
});

test('neighbours of a size are merged, a larger one before them is not', () => {
  const chosen = chooseMerge(segmentsOf(10_000_000, ...times(mergedMin, 3_000)));
  assert.deepEqual(
    chosen,
    times(mergedMin, 0).map((_, index) => index + 1),
  );
});

test('those of a size on both sides of a larger one are not counted together', () => {
  const half = times(mergedMin - 1, 3_000);
  assert.equal(chooseMerge(segmentsOf(...half, 10_000_000, ...half)), null);
});

test('a smaller one between them goes along, one after them does not', () => {
  const large = 5_000_000;
  const sizes = [...times(mergedMin - 1, large), 3_000, large, 3_000];
  assert.deepEqual(
    chooseMerge(segmentsOf(...sizes)),
    times(mergedMin + 1, 0).map((_, index) => index),
  );
});

test('of many at once no more than twice as many as usual are merged, the oldest', () => {
  const chosen = chooseMerge(segmentsOf(...times(100, 3_000))) ?? [];
  assert.equal(chosen.length, 2 * mergedMin);
  assert.equal(chosen[0], 0);
});

test('a segment is rewritten when more than a third of it is dead, and goes when all of it is', () => {
  assert.equal(chooseMerge([segment(1, 1e6, 9, 3)]), null);
  assert.deepEqual(chooseMerge([segment(1, 1e6, 9, 4)]), [1]);
  assert.deepEqual(chooseMerge([segment(1, 1e6, 9, 4), segment(2, 1e6, 9, 9)]), [2]);
});

test('merging comes to an end, with fewer segments of each size than are merged', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 10, max: 1e8 }), { maxLength: 200 }), (sizes) => {
      let segments = segmentsOf(...sizes);
      let id = sizes.length;
      for (let chosen = chooseMerge(segments); chosen !== null; chosen = chooseMerge(segments)) {
        assert.ok(chosen.length >= mergedMin);
        const ids = new Set(chosen);
        const first = segments.findIndex((one) => ids.has(one.id));
        const merged = segments.slice(first, first + chosen.length);
        assert.deepEqual(
          merged.map((one) => one.id),
          chosen,
        );
        const bytes = merged.reduce((sum, one) => sum + one.bytes, 0);
        segments = segments.toSpliced(first, chosen.length, segment(id++, bytes));
      }
    }),
  );
});
