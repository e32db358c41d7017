/** The positions of the largest positive scores, best first, so many at most; what is equal in the order of positions. */
export function bestOf(scores: ArrayLike<number>, limit: number): number[] {
  const kept: number[] = [];
  const byScore = (a: number, b: number): number => (scores[b] ?? 0) - (scores[a] ?? 0) || a - b;
  let floor = 0;
  for (let position = 0; position < scores.length; position += 1) {
    const score = scores[position] ?? 0;
    if (score <= floor && (score <= 0 || kept.length >= limit)) continue;
    kept.push(position);
    // Cut now and then instead of keeping a heap: what is not above the limit's score need not be collected any more.
    if (kept.length < 4 * limit) continue;
    kept.sort(byScore).length = limit;
    floor = scores[kept.at(-1) ?? 0] ?? 0;
  }
  return kept.sort(byScore).slice(0, limit);
}
