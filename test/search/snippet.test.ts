import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { snippetLineLengthMax, snippetLinesMax, snippetOf } from '#src/search/snippet.js';

const filler = (count: number): string[] => Array.from({ length: count }, (_, i) => `line ${i}`);

test('a short text is shown whole', () => {
  assert.equal(snippetOf('a\r\nb\nc', ['zebra']), 'a\nb\nc');
});

test('the lines with most of the words are shown', () => {
  const text = [...filler(20), 'parseHeader()', 'nothing', 'readBody()', ...filler(20)].join('\n');
  const lines = snippetOf(text, ['header', 'body']).split('\n');
  assert.equal(lines.length, snippetLinesMax);
  assert.ok(lines.includes('parseHeader()') && lines.includes('readBody()'));
});

test('inflected words are recognised', () => {
  const text = [...filler(30), 'parsing headers', ...filler(10)].join('\n');
  assert.match(snippetOf(text, ['header']), /parsing headers/);
});

test('a long line is cut around the word', () => {
  const snippet = snippetOf(`${'a '.repeat(1_000)}needle${' b'.repeat(1_000)}`, ['needle']);
  assert.match(snippet, /^….*needle.*…$/);
});

test('snippets are bounded for any text', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 2_000 }), fc.array(fc.string()), (text, words) => {
      const lines = snippetOf(text, words).split('\n');
      assert.ok(lines.length <= snippetLinesMax);
      assert.ok(lines.every((line) => line.length <= snippetLineLengthMax + 2));
    }),
  );
});
