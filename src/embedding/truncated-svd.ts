/**
 * The largest singular values of a sparse matrix A (documents × terms), with their right singular vectors, by the
 * randomized method: Halko, Martinsson and Tropp, "Finding structure with randomness", SIAM Review 53 (2011),
 * algorithms 4.3 and 5.1, on the side of the terms only. Random directions are multiplied by AᵀA, which turns them
 * to the strongest ones; within what they span, the problem is a small one that is solved exactly.
 *
 * With Y = AᵀA × random and YᵀY = RᵀR, the basis Q = Y R⁻¹ is orthonormal (Cholesky QR). Q is never made: the small
 * problem is R⁻ᵀ (AY)ᵀ(AY) R⁻¹, and its eigenvectors W give the singular vectors as Y (R⁻¹ W). AᵀA is never made
 * either: a document's row passes through Y to a short vector and back. So beside A there are two matrices of
 * terms × (rank + oversampling), 43 MB with the bounds of this program. One multiplication by AᵀA is enough: with
 * two, retrieval was no better (MRR@10 of hybrid search 0.372 both, of vectors alone 0.299 with one, 0.272 with two).
 */
import { congruent, GramSum, inverseFactor, type Pause, product } from './dense.js';
import {
  addTransposedRow,
  type DenseMatrix,
  rowTimes,
  type SparseMatrix,
  zeroMatrix,
} from './sparse-matrix.js';
import { symmetricEigen } from './symmetric-eigen.js';

/** Directions more than asked for; the paper finds 5 to 10 enough. */
const oversampling = 10;
/** Singular values below this, relative to the largest, are rounding and not structure. */
const negligibleBelow = 1e-4;
/** Any number: fixed so that the same project always gives the same model. */
const seed = 0x2545f491;

export interface TruncatedSvd {
  /** Largest first; as many as asked for, or fewer where the rank of the matrix is smaller. */
  readonly singularValues: Float64Array;
  /** terms × singular values: column i is the right singular vector of value i. */
  readonly termVectors: DenseMatrix;
}

/** @param progress gets steps done of steps in all */
export async function truncatedSvd(
  matrix: SparseMatrix,
  rankMax: number,
  pause: Pause,
  progress: (done: number, total: number) => void = () => undefined,
): Promise<TruncatedSvd> {
  const size = Math.min(rankMax + oversampling, matrix.rows, matrix.columnCount);
  progress(0, 4);
  const random = await randomMatrix(matrix.columnCount, size, pause);
  const sketch = await timesNormalMatrix(matrix, random, pause);
  progress(1, 4);
  const toBasis = inverseFactor(await gramMatrix(sketch, pause), size);
  const projected = await congruent(await projectedNormalMatrix(matrix, sketch, pause), toBasis, size, pause);
  progress(2, 4);
  const { values, vectors } = await symmetricEigen(projected, size, pause);
  progress(3, 4);
  const singularValues = values.map((value) => Math.sqrt(Math.max(value, 0)));
  const floor = negligibleBelow * (singularValues[0] ?? 0);
  const kept = singularValues.slice(0, rankMax).filter((value) => value > floor);
  const directions = combined(toBasis, vectors.slice(0, kept.length), size);
  return { singularValues: kept, termVectors: await product(sketch, directions, pause) };
}

/** AᵀA × directions. */
async function timesNormalMatrix(
  matrix: SparseMatrix,
  directions: DenseMatrix,
  pause: Pause,
): Promise<DenseMatrix> {
  const result = zeroMatrix(directions.rows, directions.columnCount);
  const projected = new Float64Array(directions.columnCount);
  for (let row = 0; row < matrix.rows; row++) {
    rowTimes(matrix, row, directions, projected);
    addTransposedRow(matrix, row, projected, result);
    await pause();
  }
  return result;
}

/** YᵀY. */
async function gramMatrix({ rows, columnCount, values }: DenseMatrix, pause: Pause): Promise<Float64Array> {
  const gram = new GramSum(columnCount);
  for (let row = 0; row < rows; row++) {
    gram.add(values.subarray(row * columnCount, (row + 1) * columnCount));
    await pause();
  }
  return gram.finish();
}

/** (AY)ᵀ(AY). */
async function projectedNormalMatrix(
  matrix: SparseMatrix,
  sketch: DenseMatrix,
  pause: Pause,
): Promise<Float64Array> {
  const gram = new GramSum(sketch.columnCount);
  const projected = new Float64Array(sketch.columnCount);
  for (let row = 0; row < matrix.rows; row++) {
    rowTimes(matrix, row, sketch, projected);
    gram.add(projected);
    await pause();
  }
  return gram.finish();
}

/** An upper triangle times the given vectors as columns. */
function combined(triangle: Float64Array, vectors: readonly Float64Array[], size: number): DenseMatrix {
  const result = zeroMatrix(size, vectors.length);
  vectors.forEach((vector, column) => {
    for (let row = 0; row < size; row++) {
      let sum = 0;
      for (let k = row; k < size; k++) sum += (triangle[row * size + k] ?? 0) * (vector[k] ?? 0);
      result.values[row * vectors.length + column] = sum;
    }
  });
  return result;
}

/** Normally distributed entries (Box and Muller 1958) from a fixed seed. */
async function randomMatrix(rows: number, columnCount: number, pause: Pause): Promise<DenseMatrix> {
  const matrix = zeroMatrix(rows, columnCount);
  const random = uniformNumbers(seed);
  for (let row = 0; row < rows; row++) {
    for (let i = row * columnCount; i < (row + 1) * columnCount; i++) {
      matrix.values[i] = Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random());
    }
    await pause();
  }
  return matrix;
}

/** Numbers in (0, 1) by Marsaglia's xorshift generator (2003) with the shifts 13, 17, 5. */
function uniformNumbers(start: number): () => number {
  let state = start;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return ((state >>> 0) + 0.5) / 2 ** 32;
  };
}
