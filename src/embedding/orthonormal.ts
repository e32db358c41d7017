/**
 * Orthonormal bases by Cholesky QR: Y = QR with RᵀR = YᵀY. It reads Y row by row, as it lies in memory, and each row
 * is a step short enough to pause after. Done twice, Q is orthonormal to rounding as long as the condition of Y is
 * below 1e8 (Yamamoto, Nakatsukasa, Yanagisawa and Fukaya 2015, CholeskyQR2); a column that depends on those before
 * it becomes zero instead of noise.
 */
import type { DenseMatrix } from './sparse-matrix.js';

/** Awaited between steps of less than a millisecond; lets others run when it is time, and throws after a stop. */
export type Pause = () => Promise<void>;

/** A column whose part outside of the columns before it is smaller than this (relative, squared) is taken as dependent. */
const dependentBelow = 1e-9;

/** Replaces the columns of `matrix` by an orthonormal basis of what they span, and zero columns. */
export async function orthonormalize(matrix: DenseMatrix, pause: Pause): Promise<void> {
  for (let round = 0; round < 2; round++) {
    const gram = await gramMatrix(matrix, pause);
    const factor = choleskyFactor(gram, matrix.columnCount);
    await divideByFactor(matrix, factor, pause);
  }
}

/** Mᵀ M, all columnCount × columnCount entries. */
async function gramMatrix(matrix: DenseMatrix, pause: Pause): Promise<Float64Array> {
  const { rows, columnCount: size } = matrix;
  const gram = new Float64Array(size * size);
  const row = new Float64Array(size);
  for (let r = 0; r < rows; r++) {
    row.set(matrix.values.subarray(r * size, (r + 1) * size));
    addOuterProduct(gram, row);
    await pause();
  }
  mirror(gram, size);
  return gram;
}

/** Adds row × rowᵀ to the upper triangle of `gram`. */
export function addOuterProduct(gram: Float64Array, row: Float64Array): void {
  const size = row.length;
  for (let i = 0; i < size; i++) {
    const scale = row[i] ?? 0;
    if (scale === 0) continue;
    const offset = i * size;
    for (let j = i; j < size; j++) gram[offset + j] = (gram[offset + j] ?? 0) + scale * (row[j] ?? 0);
  }
}

/** Copies the upper triangle to the lower one. */
export function mirror(matrix: Float64Array, size: number): void {
  for (let i = 0; i < size; i++) {
    for (let j = i + 1; j < size; j++) matrix[j * size + i] = matrix[i * size + j] ?? 0;
  }
}

/** The upper triangle R of gram = RᵀR; the row of a dependent column is zero. */
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

/** Y = Q R, solved for Q row by row, in place. */
async function divideByFactor(matrix: DenseMatrix, factor: Float64Array, pause: Pause): Promise<void> {
  const size = matrix.columnCount;
  const row = new Float64Array(size);
  for (let r = 0; r < matrix.rows; r++) {
    row.set(matrix.values.subarray(r * size, (r + 1) * size));
    for (let i = 0; i < size; i++) {
      const pivot = factor[i * size + i] ?? 0;
      const solved = pivot === 0 ? 0 : (row[i] ?? 0) / pivot;
      row[i] = solved;
      if (solved === 0) continue;
      for (let j = i + 1; j < size; j++) row[j] = (row[j] ?? 0) - solved * (factor[i * size + j] ?? 0);
    }
    matrix.values.set(row, r * size);
    await pause();
  }
}
