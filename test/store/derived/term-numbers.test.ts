import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { termsOf } from '#src/base/search-terms.js';
import { TermNumbers } from '#src/store/derived/term-numbers.js';
import { unpackWords, WordPacker } from '#src/store/derived/word-packer.js';

interface Counted {
  inName: number;
  inText: number;
  total: number;
}

/** What a chunk's terms are counted as, by the terms themselves. */
function counted(terms: TermNumbers, name: string, text: string): Map<string, Counted> {
  const found: [number, Counted][] = [];
  terms.count(name, text, (term, inName, inText, total) => found.push([term, { inName, inText, total }]));
  const packer = new WordPacker(terms.vocabulary);
  for (const [term] of found) {
    packer.nextChunk();
    packer.add(term, 1);
  }
  const names = unpackWords(packer.packed()).map((words) => [...words.keys()][0] ?? '');
  return new Map(found.map(([, counts], at) => [names[at] ?? '', counts]));
}

function expected(name: string, text: string): Map<string, Counted> {
  const [inName, inText] = [termsOf(name), termsOf(text)];
  const total = inName.length + inText.length;
  const countIn = (terms: readonly string[], term: string): number =>
    terms.filter((other) => other === term).length;
  return new Map(
    [...inName, ...inText].map((term) => [
      term,
      { inName: countIn(inName, term), inText: countIn(inText, term), total },
    ]),
  );
}

const longName = Array.from({ length: 12 }, (_, index) => `p${index}`).join('');
const name = fc.constantFrom(
  'run',
  'running',
  'runs',
  'fileCount',
  'FILE_COUNTS',
  'count_files',
  longName,
  'gr\u00f6\u00dfe',
  'GR\u00d6SSE',
  'x',
  '_',
);
const text = fc
  .array(fc.oneof(name, fc.string({ unit: 'binary', maxLength: 20 })), { maxLength: 40 })
  .map((pieces) => pieces.join(' '));

test('terms are counted as they are in a name and in a text, also when they were met before', () => {
  const terms = new TermNumbers();
  fc.assert(
    fc.property(name, text, (ofName, ofText) => {
      assert.deepEqual(counted(terms, ofName, ofText), expected(ofName, ofText));
    }),
    { numRuns: 500 },
  );
});

test('more identifiers than are remembered, and than there is room for at first, are counted', () => {
  const terms = new TermNumbers();
  for (let part = 0; part < 13; part++) {
    const words = Array.from({ length: 10_000 }, (_, index) =>
      `x${part * 10_000 + index}`.replaceAll(/\d/g, (digit) => 'abcdefghij'[Number(digit)] ?? ''),
    );
    let found = 0;
    let same = 0;
    terms.count(
      '',
      [...words, ...words, ...Array<string>(7).fill('same')].join(' '),
      (_, _inName, inText) => {
        found++;
        if (inText === 7) same++;
      },
    );
    assert.equal(found, new Set(words.flatMap(termsOf)).size + 1);
    assert.equal(same, 1);
  }
  assert.ok(terms.isFull);
});
