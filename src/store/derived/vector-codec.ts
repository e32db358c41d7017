/**
 * The stored forms of a vector: levels (four bits a dimension), which give its cosine with a question nearly exactly, and a
 * signature (256 bits), by which the chunks are chosen whose cosines are looked at. MRR@10 of 126 questions by vectors alone
 * was 0.420, 0.419, 0.421, 0.420 with 255, 63, 31, 15 levels, and 0.510, 0.512, 0.509, 0.513 beside the words.
 *
 * A signature has the signs of the vector after a fixed random rotation (Charikar 2002; the rotation is a randomized
 * Hadamard transform, Ailon and Chazelle 2006), so that the share of bits in which two differ grows with the angle between
 * them. Without it, the few dimensions that say most would have one bit each as the many that say little: of the 100
 * nearest chunks of 16,313, 82 were among the first 200 with it and 62 without. To take the mean of all vectors off first,
 * which would have to be kept with the model, gained 0.5 to 2 of 100.
 */
import { levelMax, packLevels, unpackLevels } from '../../base/half-bytes.js';
import { DerivedDamageError } from './damage.js';

/** Bits of a signature, whatever the length of its vector: twice as fast to compare as 512, and enough (see signature-scan.ts). */
export const signatureBits = 256;
export const signatureBytes = signatureBits / 8;
/** Any number, and never another one: signatures of two seeds say nothing about each other. */
const seed = 0x2545f491;

/**
 * Dimensions are put so far apart: side by side, fewer than signatureBits of them would be turned to as many directions only,
 * each several times. Odd, so that each has a place of its own.
 */
const spacing = 97;

/**
 * Half a byte a dimension. Each vector is scaled by its own largest value; the scale is not kept, since a cosine does not depend
 * on it.
 */
export function packedLevels(vector: Float32Array): Uint8Array {
  const largest = vector.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  const scale = largest === 0 ? 0 : levelMax / largest;
  return packLevels(Int8Array.from(vector, (value) => Math.round(value * scale)));
}

/**
 * The levels of a stored vector.
 * @throws DerivedDamageError where it has another length, or what is no level
 */
export function storedLevels(bytes: Uint8Array, dimensions: number): Int8Array {
  const levels = unpackLevels(bytes, dimensions);
  if (levels === null) throw new DerivedDamageError(`a vector of ${dimensions} dimensions is damaged`);
  return levels;
}

/** The cosine of a stored vector and one of unit length; 0 for a stored one that is zero. */
export function cosineOf(levels: Int8Array, unit: Float32Array): number {
  let dot = 0;
  let squares = 0;
  for (let i = 0; i < levels.length; i += 1) {
    const level = levels[i] ?? 0;
    dot += level * (unit[i] ?? 0);
    squares += level * level;
  }
  return squares === 0 ? 0 : dot / Math.sqrt(squares);
}

/** signatureBytes bytes, the lowest bit of the first one first. */
export function signatureOf(vector: Float32Array): Uint8Array {
  const bits = new Uint8Array(signatureBytes);
  rotated(vector).forEach((value, i) => {
    if (value > 0) bits[i >>> 3] = (bits[i >>> 3] ?? 0) | (1 << (i & 7));
  });
  return bits;
}

/** The directions whose signs are a signature, signatureBits of them, not scaled. */
export function rotated(vector: Float32Array): Float64Array {
  const size = Math.max(signatureBits, 2 ** Math.ceil(Math.log2(vector.length)));
  const flips = flipsFor(size);
  const values = new Float64Array(size);
  for (let i = 0; i < vector.length; i += 1)
    values[(i * spacing) & (size - 1)] = (vector[i] ?? 0) * (flips[i] ?? 0);
  transform(values);
  return values.subarray(0, signatureBits);
}

/** The fast Walsh-Hadamard transform, in place. */
function transform(values: Float64Array): void {
  for (let half = 1; half < values.length; half *= 2) {
    for (let start = 0; start < values.length; start += 2 * half) {
      for (let i = start; i < start + half; i += 1) {
        const a = values[i] ?? 0;
        const b = values[i + half] ?? 0;
        values[i] = a + b;
        values[i + half] = a - b;
      }
    }
  }
}

const flipsBySize = new Map<number, Int8Array>();

/** 1 or -1 for each dimension, by Marsaglia's xorshift generator (2003) with the shifts 13, 17, 5. */
function flipsFor(size: number): Int8Array {
  let flips = flipsBySize.get(size);
  if (flips === undefined) {
    let state = seed;
    flips = new Int8Array(size).map(() => {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      return state < 0 ? 1 : -1;
    });
    flipsBySize.set(size, flips);
  }
  return flips;
}
