/** A matrix by its non-zero entries, row after row (compressed sparse rows). */
export interface SparseMatrix {
  readonly rows: number;
  readonly columnCount: number;
  /** rows + 1 positions: row r has the entries from rowStarts[r] up to, not including, rowStarts[r + 1]. */
  readonly rowStarts: Int32Array;
  /** The column of each entry. */
  readonly columns: Int32Array;
  readonly values: Float32Array;
}

/** A matrix with all its entries, row after row. */
export interface DenseMatrix {
  readonly rows: number;
  readonly columnCount: number;
  readonly values: Float32Array;
}

export function zeroMatrix(rows: number, columnCount: number): DenseMatrix {
  return { rows, columnCount, values: new Float32Array(rows * columnCount) };
}

/** target = row `row` of `sparse`, times `dense`. */
export function rowTimes(sparse: SparseMatrix, row: number, dense: DenseMatrix, target: Float64Array): void {
  target.fill(0);
  const end = sparse.rowStarts[row + 1] ?? 0;
  for (let entry = sparse.rowStarts[row] ?? 0; entry < end; entry++) {
    const offset = (sparse.columns[entry] ?? 0) * dense.columnCount;
    addScaled(target, dense.values, offset, sparse.values[entry] ?? 0);
  }
}

/** dense += (row `row` of `sparse`) transposed, times `vector`: one row's share of a product with the transpose. */
export function addTransposedRow(
  sparse: SparseMatrix,
  row: number,
  vector: Float64Array,
  dense: DenseMatrix,
): void {
  const { columnCount, values } = dense;
  const end = sparse.rowStarts[row + 1] ?? 0;
  for (let entry = sparse.rowStarts[row] ?? 0; entry < end; entry++) {
    const offset = (sparse.columns[entry] ?? 0) * columnCount;
    const scale = sparse.values[entry] ?? 0;
    for (let i = 0; i < columnCount; i++) {
      values[offset + i] = (values[offset + i] ?? 0) + scale * (vector[i] ?? 0);
    }
  }
}

/** target += scale × the part of `source` that starts at `offset` and is as long as target. */
export function addScaled(
  target: Float64Array | Float32Array,
  source: Float32Array | Int8Array,
  offset: number,
  scale: number,
): void {
  for (let i = 0; i < target.length; i++) target[i] = (target[i] ?? 0) + scale * (source[offset + i] ?? 0);
}
