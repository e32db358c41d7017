import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { stemmer } from 'stemmer';
import { stemOf } from '#src/base/search-terms.js';

test('a word without marks has the stem that Porter gives it, whatever its last letter', () => {
  const end = fc.oneof(fc.stringMatching(/^[a-z0-9]$/u), fc.constantFrom('ing', 'ational', 'ies', 'ion'));
  const word = fc.tuple(fc.stringMatching(/^[a-z0-9]{0,8}$/u), end).map((parts) => parts.join(''));
  fc.assert(
    fc.property(word, (text) => assert.equal(stemOf(text), stemmer(text))),
    { numRuns: 5_000 },
  );
});

test('marks are no part of a stem', () => {
  assert.equal(stemOf('gr\u00f6\u00dfen'), 'gro\u00dfen');
  assert.equal(stemOf('\u00e9tudes'), 'etud');
  assert.equal(stemOf('x\u1d2c'), 'xa');
});
