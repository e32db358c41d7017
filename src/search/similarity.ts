import { Slicer } from '../base/waiting.js';
import type { ChunkFilter } from '../store/chunk-search.js';
import type { VectorOwner, VectorSnapshot } from './vector-snapshot.js';

/** Rows between two looks at the clock: about 1 ms. */
const rowsPerStep = 4_096;

/** How similar each vector of a snapshot is to a query: dot products of unit vectors, so cosines. */
export async function similarities(
  snapshot: VectorSnapshot,
  query: Float32Array,
  signal: AbortSignal,
): Promise<Float32Array> {
  const slicer = new Slicer(signal);
  const scores = new Float32Array(snapshot.owners.length);
  for (let row = 0; row < scores.length; row++) {
    scores[row] = dot(snapshot.matrix, row * query.length, query);
    if (row % rowsPerStep === 0) await slicer.breathe();
  }
  return scores;
}

/** Four sums at a time: each addition need not wait for the one before it, which makes it twice as fast. */
function dot(matrix: Float32Array, offset: number, query: Float32Array): number {
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  let i = 0;
  for (; i + 3 < query.length; i += 4) {
    a += (matrix[offset + i] ?? 0) * (query[i] ?? 0);
    b += (matrix[offset + i + 1] ?? 0) * (query[i + 1] ?? 0);
    c += (matrix[offset + i + 2] ?? 0) * (query[i + 2] ?? 0);
    d += (matrix[offset + i + 3] ?? 0) * (query[i + 3] ?? 0);
  }
  for (; i < query.length; i++) a += (matrix[offset + i] ?? 0) * (query[i] ?? 0);
  return a + b + c + d;
}

/** The rows with the best positive scores among those that pass the filter, best first, by chunk id where equal. */
export function bestRows(
  snapshot: VectorSnapshot,
  scores: Float32Array,
  filter: ChunkFilter,
  limit: number,
): number[] {
  const rows: number[] = [];
  let floor = 0;
  snapshot.owners.forEach((owner, row) => {
    const score = scores[row] ?? 0;
    if (score <= 0 || score < floor || !passes(owner, filter)) return;
    rows.push(row);
    // Cut now and then instead of keeping a heap: what is below the limit's score need not be collected any more.
    if (rows.length < 4 * limit) return;
    sortByScore(rows, scores, snapshot.owners);
    rows.length = limit;
    floor = Math.min(...rows.map((kept) => scores[kept] ?? 0));
  });
  sortByScore(rows, scores, snapshot.owners);
  return rows.slice(0, limit);
}

function sortByScore(rows: number[], scores: Float32Array, owners: readonly VectorOwner[]): void {
  const idOf = (row: number): number => owners[row]?.chunkId ?? 0;
  rows.sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0) || idOf(a) - idOf(b));
}

function passes(owner: VectorOwner, { pathPrefix, language, kind }: ChunkFilter): boolean {
  return (
    (pathPrefix === undefined || owner.path.startsWith(pathPrefix)) &&
    (language === undefined || owner.language === language) &&
    (kind === undefined || owner.kind === kind)
  );
}
