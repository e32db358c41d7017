import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { GrowingBytes, wordBytes } from '#src/store/derived/postings-codec.js';
import { Vocabulary } from '#src/store/derived/postings-vocabulary.js';

/** Numbers of the words as they come, and the words in the order that `sorted` gives. */
function numbered(words: readonly string[]): { numbers: number[]; sorted: string[] } {
  const text = new GrowingBytes(16);
  const vocabulary = new Vocabulary(text);
  const byNumber: string[] = [];
  const numbers = words.map((word) => {
    const bytes = wordBytes(word);
    const start = text.length;
    text.append(bytes, 0, bytes.length);
    const number = vocabulary.numberOf(start, bytes.length);
    byNumber[number] ??= word;
    return number;
  });
  return { numbers, sorted: [...vocabulary.sorted()].map((number) => byNumber[number] ?? 'unknown') };
}

function assertVocabulary(words: readonly string[]): void {
  const distinct = [...new Set(words)];
  const { numbers, sorted } = numbered(words);
  assert.deepEqual(
    numbers,
    words.map((word) => distinct.indexOf(word)),
  );
  assert.deepEqual(sorted, distinct.toSorted());
}

test('a word has one number, and the numbers are sorted as their words', () => {
  const letter = fc.constantFrom('a', 'b', '\0', '\u00e9', '\ud800', '\uffff');
  const word = fc.string({ unit: letter, maxLength: 12 });
  fc.assert(fc.property(fc.array(word, { maxLength: 300, size: 'max' }), (words) => assertVocabulary(words)));
});

test('many words, also with long beginnings in common, are told apart and sorted', () => {
  const few = ['', 'get', 'configuration', 'x'.repeat(60)];
  const words = few.flatMap((start) =>
    Array.from({ length: 700 }, (_, at) => `${start}${(at * 7919) % 700}`),
  );
  assertVocabulary(words);
  assertVocabulary([...words.toReversed(), ...words]);
});
