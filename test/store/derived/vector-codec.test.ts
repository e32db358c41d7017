import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DerivedDamageError } from '#src/store/derived/damage.js';
import {
  cosineOf,
  packedLevels,
  rotated,
  signatureBits,
  signatureBytes,
  signatureOf,
  storedLevels,
} from '#src/store/derived/vector-codec.js';
import { bitsThatDiffer, dot, randomUnit } from './vector-fixture.js';

const levelsOf = (vector: Float32Array): Int8Array => storedLevels(packedLevels(vector), vector.length);

/** Of any length that a provider may have. */
const pairs = fc
  .tuple(fc.integer({ min: 1, max: 600 }), fc.integer({ min: 1, max: 1_000_000 }))
  .map(([length, seed]) => [randomUnit(length, seed), randomUnit(length, seed + 1)] as const);

test('levels give the cosine of the vector that they are of', () => {
  fc.assert(
    fc.property(pairs, ([stored, question]) => {
      assert.ok(Math.abs(cosineOf(levelsOf(stored), question) - dot(stored, question)) < 0.2);
    }),
  );
});

test('levels do not depend on the scale of the vector, and use all of four bits', () => {
  const vector = Float32Array.of(0.5, -0.5, 0, 0.001, -0.25);
  assert.deepEqual(levelsOf(vector), Int8Array.of(7, -7, 0, 0, -3));
  assert.equal(packedLevels(vector).length, 3);
  assert.deepEqual(levelsOf(vector.map((value) => value / 64)), levelsOf(vector));
});

test('a vector that is zero is like nothing', () => {
  const zero = new Float32Array(8);
  assert.deepEqual(levelsOf(zero), new Int8Array(8));
  assert.equal(cosineOf(levelsOf(zero), randomUnit(8, 1)), 0);
  assert.deepEqual(signatureOf(zero), new Uint8Array(signatureBytes));
});

test('levels of another length, or none, are damage', () => {
  assert.deepEqual(storedLevels(Buffer.of(0x1f, 0x08), 3), Int8Array.of(7, -7, 0));
  for (const dimensions of [2, 4, 5])
    assert.throws(() => storedLevels(Buffer.of(0x1f, 0x08), dimensions), DerivedDamageError);
});

test('the share of bits that differ is the angle between two vectors', () => {
  // Standard deviation of the share: at most 1/2 / sqrt(256), 0.031, for as many independent directions.
  for (const length of [256, 300, 512]) {
    for (let seed = 1; seed <= 40; seed += 1) {
      const a = randomUnit(length, seed);
      const other = randomUnit(length, seed + 1_000);
      const b = a.map((value, i) => value + (seed / 20) * (other[i] ?? 0));
      const angle = Math.acos(dot(a, b) / Math.sqrt(dot(b, b)));
      const share = bitsThatDiffer(signatureOf(a), signatureOf(b)) / signatureBits;
      assert.ok(Math.abs(share - angle / Math.PI) < 0.15, `${length}, ${seed}: ${share}, ${angle / Math.PI}`);
    }
  }
});

test('a vector and its opposite differ in all bits', () => {
  const vector = randomUnit(44, 5);
  const opposite = vector.map((value) => -value);
  assert.equal(bitsThatDiffer(signatureOf(vector), signatureOf(opposite)), signatureBits);
});

test('the rotation keeps angles', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 256 }), fc.integer({ min: 1, max: 1_000_000 }), (length, seed) => {
      const [a, b] = [randomUnit(length, seed), randomUnit(length, seed + 1)];
      const [turnedA, turnedB] = [Float32Array.from(rotated(a)), Float32Array.from(rotated(b))];
      assert.ok(Math.abs(dot(turnedA, turnedB) / signatureBits - dot(a, b)) < 1e-4);
    }),
  );
});
