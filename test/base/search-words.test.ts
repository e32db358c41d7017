import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { wordsOf } from '#src/base/search-words.js';

test('identifiers are split, and followed by the whole', () => {
  const examples: Record<string, string[]> = {
    parseHTTPHeader: ['parse', 'http', 'header', 'parsehttpheader'],
    snake_case_name: ['snake', 'case', 'name', 'snakecasename'],
    SHOUTING_CASE: ['shouting', 'case', 'shoutingcase'],
    utf8Decoder: ['utf', '8', 'decoder', 'utf8decoder'],
    plain: ['plain'],
    ABC: ['abc'],
    __init__: ['init'],
    $: [],
    'a.b(c, d)': ['a', 'b', 'c', 'd'],
    größeÄndern: ['größe', 'ändern', 'größeändern'],
    变量名: ['变量名'],
    '': [],
  };
  for (const [text, words] of Object.entries(examples)) assert.deepEqual(wordsOf(text), words, text);
});

test('an ASCII identifier is split as the same one beside other letters is', () => {
  const name = fc.stringMatching(/^[A-Za-z0-9_$]{1,20}$/u);
  fc.assert(
    fc.property(name, (text) => {
      // A character beyond ASCII right before it takes the whole run to the general way.
      assert.deepEqual(wordsOf(`\u2003${text}`), wordsOf(text));
    }),
    { numRuns: 2_000 },
  );
});

test('what is too long for a name is no word', () => {
  assert.deepEqual(wordsOf(`before ${'a'.repeat(65)} after`), ['before', 'after']);
  assert.deepEqual(wordsOf('a'.repeat(64)), ['a'.repeat(64)]);
});

test('words are lower-case and not empty, and no letter or digit of a short name is lost', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => {
      const words = wordsOf(text);
      for (const word of words) {
        assert.notEqual(word, '');
        assert.equal(word, word.toLowerCase());
      }
      for (const character of text.match(/[\p{L}\p{N}]/gu) ?? [])
        assert.ok(
          words.some((word) => word.includes(character.toLowerCase())),
          character,
        );
    }),
    { numRuns: 1_000 },
  );
});

test('a text that is asked for finds itself: its words do not depend on what stands around it', () => {
  const name = fc.stringMatching(/^[A-Za-z_$][\w$]{0,20}$/u);
  fc.assert(
    fc.property(name, name, (first, second) => {
      assert.deepEqual(wordsOf(`${first}.${second}()`), [...wordsOf(first), ...wordsOf(second)]);
    }),
  );
});
