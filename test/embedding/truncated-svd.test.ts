import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SparseMatrix } from '#src/embedding/sparse-matrix.js';
import { truncatedSvd } from '#src/embedding/truncated-svd.js';
import { randomNumbers } from './fixtures.js';

const noPause = (): Promise<void> => Promise.resolve();

function sparse(rows: readonly (readonly number[])[]): SparseMatrix {
  const rowStarts = [0];
  const columns: number[] = [];
  const values: number[] = [];
  for (const row of rows) {
    row.forEach((value, column) => {
      if (value === 0) return;
      columns.push(column);
      values.push(value);
    });
    rowStarts.push(columns.length);
  }
  return {
    rows: rows.length,
    columnCount: rows[0]?.length ?? 0,
    rowStarts: Int32Array.from(rowStarts),
    columns: Int32Array.from(columns),
    values: Float32Array.from(values),
  };
}

function randomRows(rows: number, columns: number): number[][] {
  const random = randomNumbers(rows * 1_000 + columns);
  return Array.from({ length: rows }, () =>
    Array.from({ length: columns }, () => (random() < 0.4 ? random() : 0)),
  );
}

function close(actual: number, expected: number, tolerance = 1e-4): void {
  assert.ok(Math.abs(actual - expected) <= tolerance, `${actual} is not ${expected}`);
}

test('a diagonal matrix has its entries as singular values, largest first', async () => {
  const { singularValues } = await truncatedSvd(sparse([[2, 0, 0], [0, 5, 0], [0, 0, 3]]), 3, noPause); // prettier-ignore
  [5, 3, 2].forEach((value, i) => close(singularValues[i] ?? 0, value));
});

test('all singular vectors are orthonormal and rebuild the matrix', async () => {
  const rows = randomRows(30, 18);
  const { singularValues, termVectors } = await truncatedSvd(sparse(rows), 18, noPause);
  assert.equal(singularValues.length, 18);
  const column = (i: number): number[] =>
    Array.from({ length: 18 }, (_, term) => termVectors.values[term * 18 + i] ?? 0);
  for (let i = 0; i < 18; i++) {
    for (let j = 0; j < 18; j++) {
      const product = column(i).reduce((sum, value, term) => sum + value * (column(j)[term] ?? 0), 0);
      close(product, i === j ? 1 : 0, 1e-3);
    }
  }
  // V Vᵀ is the identity on the rows of A when all vectors are kept.
  for (const row of rows) {
    const projected = Array.from({ length: 18 }, (_, i) =>
      row.reduce((sum, value, term) => sum + value * (column(i)[term] ?? 0), 0),
    );
    row.forEach((value, term) => {
      const rebuilt = projected.reduce((sum, part, i) => sum + part * (column(i)[term] ?? 0), 0);
      close(rebuilt, value, 1e-3);
    });
  }
});

test('the largest values of a bigger matrix are those of the exact decomposition', async () => {
  const matrix = sparse(randomRows(120, 90));
  const exact = await truncatedSvd(matrix, 90, noPause);
  const truncated = await truncatedSvd(matrix, 5, noPause);
  assert.equal(truncated.singularValues.length, 5);
  // The values of a random matrix lie close together, the worst case of the method; text is kinder.
  close(truncated.singularValues[0] ?? 0, exact.singularValues[0] ?? 1, 0.1);
  const ratio = (truncated.singularValues[4] ?? 0) / (exact.singularValues[4] ?? 1);
  assert.ok(ratio > 0.85 && ratio <= 1.001, String(ratio));
});

test('rank is what the matrix has, for repeated and for missing rows', async () => {
  const repeated = sparse([[1, 2, 3], [1, 2, 3], [2, 4, 6]]); // prettier-ignore
  assert.equal((await truncatedSvd(repeated, 3, noPause)).singularValues.length, 1);
  assert.equal((await truncatedSvd(sparse([]), 3, noPause)).singularValues.length, 0);
  assert.equal((await truncatedSvd(sparse([[0, 0]]), 3, noPause)).singularValues.length, 0);
});

test('the same matrix gives the same bits', async () => {
  const matrix = sparse(randomRows(40, 25));
  const [first, second] = [await truncatedSvd(matrix, 8, noPause), await truncatedSvd(matrix, 8, noPause)];
  assert.deepEqual(first.termVectors.values, second.termVectors.values);
});
