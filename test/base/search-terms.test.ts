import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { countTerms, termsOf } from '#src/base/search-terms.js';

test('counted terms are the terms, in the order in which they appear', () => {
  const name = fc.constantFrom(
    'run',
    'running',
    'runs',
    'fileCount',
    'count_files',
    'größe',
    'GRÖSSE',
    'x',
    '_',
  );
  const piece = fc.oneof(name, fc.string({ unit: 'binary', maxLength: 20 }));
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
      const text = pieces.join(' ');
      const expected = new Map<string, number>();
      for (const term of termsOf(text)) expected.set(term, (expected.get(term) ?? 0) + 1);
      const { terms, counts, total } = countTerms(text);
      assert.deepEqual(
        terms.map((term, index) => [term, counts[index]]),
        [...expected],
      );
      assert.equal(total, termsOf(text).length);
    }),
    { numRuns: 500 },
  );
});

test('more words than are remembered are counted', () => {
  for (let part = 0; part < 13; part++) {
    const words = Array.from({ length: 10_000 }, (_, index) =>
      `x${part * 10_000 + index}`.replaceAll(/\d/g, (digit) => 'abcdefghij'[Number(digit)] ?? ''),
    );
    const { terms, counts } = countTerms([...words, ...words, 'same', 'same'].join(' '));
    assert.equal(counts[terms.indexOf('same')], 2);
    assert.equal(new Set(terms).size, terms.length);
  }
});
