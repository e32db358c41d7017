/** Vectors, the same in each run. */
import { randomNumbers } from '../../embedding/fixtures.js';

export { dot } from '../../embedding/fixtures.js';

/** A unit vector in any direction (Box and Muller 1958). */
export function randomUnit(length: number, seed: number): Float32Array {
  const random = randomNumbers(seed);
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const vector = Float32Array.from({ length }, normal);
  const norm = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
  return vector.map((value) => value / norm);
}

export function bitsThatDiffer(a: Uint8Array, b: Uint8Array): number {
  return a.reduce((sum, byte, i) => {
    let count = 0;
    for (let rest = byte ^ (b[i] ?? 0); rest !== 0; rest &= rest - 1) count += 1;
    return sum + count;
  }, 0);
}
