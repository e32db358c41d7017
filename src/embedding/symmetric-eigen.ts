import type { Pause } from './dense.js';

/** Sweeps end far earlier (quadratic convergence, 6 to 9 in practice); the bound is for input that is not finite. */
const sweepsMax = 30;
/** Off-diagonal weight, relative to the whole and squared, below which the matrix is taken as diagonal. */
const diagonalBelow = 1e-20;

export interface Eigen {
  /** Largest first. */
  readonly values: Float64Array;
  /** Row i is the unit eigenvector of value i. */
  readonly vectors: readonly Float64Array[];
}

/**
 * All eigenvalues and eigenvectors of a symmetric matrix of size × size entries, which is overwritten, by the cyclic
 * Jacobi method (Golub and Van Loan, Matrix Computations, 8.5): slower than tridiagonal methods, but for a few
 * hundred rows that is a second, and every rotation is a place to pause.
 */
export async function symmetricEigen(matrix: Float64Array, size: number, pause: Pause): Promise<Eigen> {
  const vectors = Array.from({ length: size }, (_, i) => {
    const unit = new Float64Array(size);
    unit[i] = 1;
    return unit;
  });
  const rows = Array.from({ length: size }, (_, i) => matrix.subarray(i * size, (i + 1) * size));
  for (let sweep = 0; sweep < sweepsMax && !isDiagonal(rows); sweep++) {
    for (let p = 0; p < size - 1; p++) {
      for (let q = p + 1; q < size; q++) annihilate(rows, vectors, p, q);
      await pause();
    }
  }
  const diagonal = rows.map((row, i) => row[i] ?? 0);
  const order = diagonal.map((_, i) => i).sort((a, b) => (diagonal[b] ?? 0) - (diagonal[a] ?? 0) || a - b);
  return {
    values: Float64Array.from(order, (i) => diagonal[i] ?? 0),
    vectors: order.map((i) => vectors[i] ?? new Float64Array(size)),
  };
}

function isDiagonal(rows: readonly Float64Array[]): boolean {
  let outside = 0;
  let total = 0;
  rows.forEach((row, i) => {
    row.forEach((value, j) => {
      total += value * value;
      if (i !== j) outside += value * value;
    });
  });
  return outside <= diagonalBelow * total;
}

/** Rotates the plane of axes p and q so that the entry (p, q) becomes zero. */
function annihilate(
  rows: readonly Float64Array[],
  vectors: readonly Float64Array[],
  p: number,
  q: number,
): void {
  const rowP = rows[p];
  const rowQ = rows[q];
  const vectorP = vectors[p];
  const vectorQ = vectors[q];
  if (rowP === undefined || rowQ === undefined || vectorP === undefined || vectorQ === undefined) return;
  const entry = rowP[q] ?? 0;
  const pp = rowP[p] ?? 0;
  const qq = rowQ[q] ?? 0;
  // Entries too small to change the diagonal in floating point are left: they are zero in effect.
  if (Math.abs(entry) <= Number.EPSILON * 1e-3 * Math.sqrt(Math.abs(pp * qq))) return;
  const ratio = (qq - pp) / (2 * entry);
  const tangent = Math.sign(ratio || 1) / (Math.abs(ratio) + Math.sqrt(1 + ratio * ratio));
  const cosine = 1 / Math.sqrt(1 + tangent * tangent);
  const sine = tangent * cosine;
  rotate(rowP, rowQ, cosine, sine);
  for (const row of rows) {
    const a = row[p] ?? 0;
    const b = row[q] ?? 0;
    row[p] = cosine * a - sine * b;
    row[q] = sine * a + cosine * b;
  }
  rotate(vectorP, vectorQ, cosine, sine);
}

function rotate(a: Float64Array, b: Float64Array, cosine: number, sine: number): void {
  for (let i = 0; i < a.length; i++) {
    const x = a[i] ?? 0;
    const y = b[i] ?? 0;
    a[i] = cosine * x - sine * y;
    b[i] = sine * x + cosine * y;
  }
}
