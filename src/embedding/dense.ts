/**
 * Dense linear algebra on matrices of a few hundred columns, row after row. The inner loops take four rows at once:
 * that halves their time, since what they add to is loaded and stored once instead of four times.
 */
import type { DenseMatrix } from './sparse-matrix.js';

/** Awaited between steps of a millisecond at most; lets others run when it is time, and throws after a stop. */
export type Pause = () => Promise<void>;

/** A column whose part outside of the columns before it is smaller than this (relative, squared) depends on them. */
const dependentBelow = 1e-10;

/** Sums up outer products, row × rowᵀ, four at a time. */
export class GramSum {
  readonly #size: number;
  readonly #sum: Float64Array;
  readonly #rows: Float64Array;
  #pending = 0;

  /** @param size entries of a row */
  constructor(size: number) {
    this.#size = size;
    this.#sum = new Float64Array(size * size);
    this.#rows = new Float64Array(4 * size);
  }

  add(row: Float32Array | Float64Array): void {
    this.#rows.set(row, this.#pending * this.#size);
    this.#pending += 1;
    if (this.#pending === 4) this.#addPending();
  }

  #addPending(): void {
    const size = this.#size;
    const sum = this.#sum;
    const rows = this.#rows;
    for (let i = 0; i < size; i++) {
      const a = rows[i] ?? 0;
      const b = rows[size + i] ?? 0;
      const c = rows[2 * size + i] ?? 0;
      const d = rows[3 * size + i] ?? 0;
      const offset = i * size;
      for (let j = i; j < size; j++) {
        sum[offset + j] =
          (sum[offset + j] ?? 0) +
          a * (rows[j] ?? 0) +
          b * (rows[size + j] ?? 0) +
          c * (rows[2 * size + j] ?? 0) +
          d * (rows[3 * size + j] ?? 0);
      }
    }
    this.#rows.fill(0);
    this.#pending = 0;
  }

  /** The sum, size × size, symmetric. */
  finish(): Float64Array {
    if (this.#pending > 0) this.#addPending();
    const size = this.#size;
    for (let i = 0; i < size; i++) {
      for (let j = i + 1; j < size; j++) this.#sum[j * size + i] = this.#sum[i * size + j] ?? 0;
    }
    return this.#sum;
  }
}

/** The product of two matrices, in single precision. */
export async function product(left: DenseMatrix, right: DenseMatrix, pause: Pause): Promise<DenseMatrix> {
  const size = right.columnCount;
  const values = new Float32Array(left.rows * size);
  const sum = new Float64Array(size);
  const factors = right.values;
  for (let row = 0; row < left.rows; row++) {
    const start = row * left.columnCount;
    const factor = (i: number): number => (i < left.columnCount ? (left.values[start + i] ?? 0) : 0);
    sum.fill(0);
    for (let i = 0; i < left.columnCount; i += 4) {
      addFourScaled(sum, factors, i * size, [factor(i), factor(i + 1), factor(i + 2), factor(i + 3)]);
    }
    values.set(sum, row * size);
    await pause();
  }
  return { rows: left.rows, columnCount: size, values };
}

/** sum += four consecutive rows of `values`, each as long as sum, times their scales. */
function addFourScaled(
  sum: Float64Array,
  values: Float32Array,
  offset: number,
  [a, b, c, d]: readonly [number, number, number, number],
): void {
  const size = sum.length;
  for (let j = 0; j < size; j++) {
    const at = offset + j;
    sum[j] =
      (sum[j] ?? 0) +
      a * (values[at] ?? 0) +
      b * (values[at + size] ?? 0) +
      c * (values[at + 2 * size] ?? 0) +
      d * (values[at + 3 * size] ?? 0);
  }
}

/**
 * The upper triangle of R⁻¹ where gram = RᵀR (Cholesky), so that Y R⁻¹ has orthonormal columns if gram = YᵀY. A column
 * of Y that depends on those before it gives a zero column instead of noise.
 */
export function inverseFactor(gram: Float64Array, size: number): Float64Array {
  const factor = choleskyFactor(gram, size);
  const inverse = new Float64Array(size * size);
  for (let column = 0; column < size; column++) {
    const pivot = factor[column * size + column] ?? 0;
    if (pivot === 0) continue;
    inverse[column * size + column] = 1 / pivot;
    for (let row = column - 1; row >= 0; row--) {
      const diagonal = factor[row * size + row] ?? 0;
      if (diagonal === 0) continue;
      let sum = 0;
      for (let k = row + 1; k <= column; k++) {
        sum += (factor[row * size + k] ?? 0) * (inverse[k * size + column] ?? 0);
      }
      inverse[row * size + column] = -sum / diagonal;
    }
  }
  return inverse;
}

function choleskyFactor(gram: Float64Array, size: number): Float64Array {
  const factor = new Float64Array(size * size);
  for (let i = 0; i < size; i++) {
    const row = gram.slice(i * size, (i + 1) * size);
    for (let k = 0; k < i; k++) {
      const scale = factor[k * size + i] ?? 0;
      if (scale === 0) continue;
      for (let j = i; j < size; j++) row[j] = (row[j] ?? 0) - scale * (factor[k * size + j] ?? 0);
    }
    const pivot = row[i] ?? 0;
    if (pivot <= dependentBelow * (gram[i * size + i] ?? 0)) continue;
    const root = Math.sqrt(pivot);
    for (let j = i; j < size; j++) factor[i * size + j] = (row[j] ?? 0) / root;
  }
  return factor;
}

/** Tᵀ M T for square matrices of size × size entries. */
export async function congruent(
  matrix: Float64Array,
  transform: Float64Array,
  size: number,
  pause: Pause,
): Promise<Float64Array> {
  const half = await transposedTimes(transform, matrix, size, pause);
  // (Tᵀ M) T = (Tᵀ (Tᵀ M)ᵀ)ᵀ, and the whole is symmetric.
  return await transposedTimes(transform, transposed(half, size), size, pause);
}

async function transposedTimes(
  left: Float64Array,
  right: Float64Array,
  size: number,
  pause: Pause,
): Promise<Float64Array> {
  const result = new Float64Array(size * size);
  for (let i = 0; i < size; i++) {
    for (let k = 0; k < size; k++) {
      const scale = left[k * size + i] ?? 0;
      if (scale === 0) continue;
      for (let j = 0; j < size; j++) {
        result[i * size + j] = (result[i * size + j] ?? 0) + scale * (right[k * size + j] ?? 0);
      }
    }
    await pause();
  }
  return result;
}

function transposed(matrix: Float64Array, size: number): Float64Array {
  return matrix.map((_, position) => matrix[(position % size) * size + Math.floor(position / size)] ?? 0);
}
