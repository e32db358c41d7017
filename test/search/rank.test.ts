import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseQuery } from '#src/search/query-words.js';
import { type Candidate, fuse, isTestPath, withoutOverlaps, zScores } from '#src/search/rank.js';

let nextId = 0;

function candidate(fields: Partial<Candidate>): Candidate {
  nextId += 1;
  return {
    chunkId: nextId,
    path: 'src/a.ts',
    startLine: nextId * 10,
    endLine: nextId * 10 + 5,
    entity: null,
    wordScore: 0,
    similarity: null,
    ...fields,
  };
}

function order(candidates: readonly Candidate[], query: string): number[] {
  return fuse(candidates, parseQuery(query)).map((ranked) => ranked.candidate.chunkId);
}

test('without vectors the order is that of the words', () => {
  const weak = candidate({ wordScore: 1 });
  const strong = candidate({ wordScore: 3 });
  const middle = candidate({ wordScore: 2 });
  assert.deepEqual(order([weak, strong, middle], 'x'), [strong, middle, weak].map((c) => c.chunkId)); // prettier-ignore
});

test('similarity decides between equal words, and a missing vector is neither good nor bad', () => {
  const close = candidate({ wordScore: 1, similarity: 2 });
  const far = candidate({ wordScore: 1, similarity: -2 });
  const unknown = candidate({ wordScore: 1 });
  assert.deepEqual(order([far, unknown, close], 'x'), [close, unknown, far].map((c) => c.chunkId)); // prettier-ignore
});

test('the definition comes before what mentions it', () => {
  const mention = candidate({ wordScore: 5, entity: 'other' });
  const definition = candidate({ wordScore: 4.5, entity: 'Parser.parseHeader' });
  const rest = Array.from({ length: 10 }, () => candidate({ wordScore: 1 }));
  assert.equal(order([mention, definition, ...rest], 'ParseHeader')[0], definition.chunkId);
  assert.equal(order([mention, definition, ...rest], 'parse header')[0], definition.chunkId);
});

test('tests come behind, unless they are asked for', () => {
  const inTest = candidate({ wordScore: 2, path: 'test/a.test.ts' });
  const inSource = candidate({ wordScore: 2, path: 'zzz/a.ts' });
  assert.equal(order([inTest, inSource], 'parse')[0], inSource.chunkId);
  assert.equal(order([inTest, inSource], 'parse tests')[0], inTest.chunkId);
  assert.ok(isTestPath('pkg/__tests__/x.js') && isTestPath('a_test.go') && isTestPath('fooTest.java'));
  assert.ok(!isTestPath('src/latest/contest.ts'));
});

test('ties are broken by path, then by line', () => {
  const late = candidate({ path: 'b.ts', startLine: 1 });
  const second = candidate({ path: 'a.ts', startLine: 9 });
  const first = candidate({ path: 'a.ts', startLine: 2 });
  assert.deepEqual(order([late, second, first], 'x'), [first, second, late].map((c) => c.chunkId)); // prettier-ignore
});

test('the order does not depend on the order of the candidates', () => {
  const candidates = fc.array(
    fc.record({ wordScore: fc.nat(3), similarity: fc.option(fc.nat(3)), path: fc.constantFrom('a', 'b') }),
  );
  fc.assert(
    fc.property(candidates, (fields) => {
      const all = fields.map(candidate);
      assert.deepEqual(order(all, 'x'), order(all.toReversed(), 'x'));
    }),
  );
});

test('z-scores have mean 0 and deviation 1, and are 0 where nothing differs', () => {
  const scores = zScores([1, 2, 3, 10]);
  assert.ok(Math.abs(scores.reduce((sum, score) => sum + score, 0)) < 1e-9);
  assert.ok(Math.abs(scores.reduce((sum, score) => sum + score ** 2, 0) - 4) < 1e-9);
  assert.deepEqual(zScores([5, 5]), [0, 0]);
  assert.deepEqual(zScores([]), []);
});

test('of overlapping regions of a file only the best stays', () => {
  const best = candidate({ wordScore: 3, startLine: 1, endLine: 20 });
  const inside = candidate({ wordScore: 2, startLine: 20, endLine: 22 });
  const elsewhere = candidate({ wordScore: 1, startLine: 20, endLine: 22, path: 'other.ts' });
  const behind = candidate({ wordScore: 0, startLine: 21, endLine: 30 });
  const kept = withoutOverlaps(
    fuse([best, inside, elsewhere, behind], parseQuery('x')),
    10,
    ({ path }) => path,
  );
  assert.deepEqual(kept.map((r) => r.candidate.chunkId), [best, elsewhere, behind].map((c) => c.chunkId)); // prettier-ignore
});
