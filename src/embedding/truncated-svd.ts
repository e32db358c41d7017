/**
 * The largest singular values of a sparse matrix A (documents × terms), with their right singular vectors, by the
 * randomized method: Halko, Martinsson and Tropp, "Finding structure with randomness", SIAM Review 53 (2011),
 * algorithms 4.4 and 5.1, on the side of the terms only. A random basis is multiplied by AᵀA and orthonormalized a few
 * times, until it spans the strongest directions; in it the problem is a small one, (AQ)ᵀ(AQ), solved exactly.
 *
 * AᵀA is never made: a document's row passes through Q to a short vector and back, so beside A two matrices of
 * terms × (rank + oversampling) are all the memory there is, 43 MB with the bounds of this program.
 */
import { addOuterProduct, mirror, orthonormalize, type Pause } from './orthonormal.js';
import {
  addScaled,
  addTransposedRow,
  type DenseMatrix,
  rowTimes,
  type SparseMatrix,
  zeroMatrix,
} from './sparse-matrix.js';
import { symmetricEigen } from './symmetric-eigen.js';

/** Directions more than asked for; the paper finds 5 to 10 enough. */
const oversampling = 10;
/** Multiplications by AᵀA. Spectra of text fall slowly; a third one changed retrieval by less than 0.002 MRR. */
const iterations = 2;
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
  const rankBound = Math.min(matrix.rows, matrix.columnCount);
  const steps = iterations + 2;
  let basis = randomMatrix(matrix.columnCount, Math.min(rankMax + oversampling, rankBound));
  for (let iteration = 0; iteration < iterations; iteration++) {
    progress(iteration, steps);
    basis = await timesNormalMatrix(matrix, basis, pause);
    await orthonormalize(basis, pause);
  }
  progress(iterations, steps);
  const { values, vectors } = await symmetricEigen(
    await projectedNormalMatrix(matrix, basis, pause),
    basis.columnCount,
    pause,
  );
  progress(iterations + 1, steps);
  const singularValues = values.map((value) => Math.sqrt(Math.max(value, 0)));
  const floor = negligibleBelow * (singularValues[0] ?? 0);
  const kept = singularValues.slice(0, rankMax).filter((value) => value > floor);
  return { singularValues: kept, termVectors: await rotated(basis, vectors.slice(0, kept.length), pause) };
}

/** AᵀA × basis. */
async function timesNormalMatrix(
  matrix: SparseMatrix,
  basis: DenseMatrix,
  pause: Pause,
): Promise<DenseMatrix> {
  const product = zeroMatrix(basis.rows, basis.columnCount);
  const projected = new Float64Array(basis.columnCount);
  for (let row = 0; row < matrix.rows; row++) {
    rowTimes(matrix, row, basis, projected);
    addTransposedRow(matrix, row, projected, product);
    await pause();
  }
  return product;
}

/** (A × basis)ᵀ (A × basis), which has the squares of A's singular values within the basis as eigenvalues. */
async function projectedNormalMatrix(
  matrix: SparseMatrix,
  basis: DenseMatrix,
  pause: Pause,
): Promise<Float64Array> {
  const size = basis.columnCount;
  const product = new Float64Array(size * size);
  const projected = new Float64Array(size);
  for (let row = 0; row < matrix.rows; row++) {
    rowTimes(matrix, row, basis, projected);
    addOuterProduct(product, projected);
    await pause();
  }
  mirror(product, size);
  return product;
}

/** basis × the given vectors as columns. */
async function rotated(
  basis: DenseMatrix,
  vectors: readonly Float64Array[],
  pause: Pause,
): Promise<DenseMatrix> {
  const result = zeroMatrix(basis.rows, vectors.length);
  const directions = new Float32Array(basis.columnCount * vectors.length);
  vectors.forEach((vector, column) => {
    vector.forEach((value, row) => {
      directions[row * vectors.length + column] = value;
    });
  });
  const target = new Float64Array(vectors.length);
  for (let row = 0; row < basis.rows; row++) {
    target.fill(0);
    for (let i = 0; i < basis.columnCount; i++) {
      addScaled(target, directions, i * vectors.length, basis.values[row * basis.columnCount + i] ?? 0);
    }
    result.values.set(target, row * vectors.length);
    await pause();
  }
  return result;
}

/** Normally distributed entries (Box and Muller 1958) from a fixed seed. */
function randomMatrix(rows: number, columnCount: number): DenseMatrix {
  const matrix = zeroMatrix(rows, columnCount);
  const random = uniformNumbers(seed);
  for (let i = 0; i < matrix.values.length; i++) {
    matrix.values[i] = Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random());
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
