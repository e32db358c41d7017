import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { chunkLinesMax, chunkTextLengthMax, chunksMax, chunksOf } from '#src/syntax/chunks.js';
import type { Chunk } from '#src/syntax/chunks.js';
import { entitiesOf } from '#src/syntax/entities.js';
import type { GreenTree } from '#src/syntax/green-tree.js';
import { languages } from '#src/syntax/language.js';
import type { Language } from '#src/syntax/language.js';
import { oddContents, treeOf } from './fixtures.js';

async function chunked(text: string | Buffer, language: Language | null): Promise<Chunk[]> {
  const tree = await treeOf(text, language);
  return chunksOf(tree, entitiesOf(tree));
}

/** Each chunk as `first-last name of its entity`. */
async function listOf(text: string, language: Language | null): Promise<string[]> {
  const tree = await treeOf(text, language);
  const entities = entitiesOf(tree);
  return chunksOf(tree, entities).map((chunk) => {
    const name = chunk.entityIndex === null ? '-' : entities[chunk.entityIndex]?.qualifiedName;
    return `${chunk.startLine}-${chunk.endLine} ${name}`;
  });
}

function checkChunks(tree: GreenTree): void {
  const chunks = chunksOf(tree, entitiesOf(tree));
  let before = 0;
  let uncovered = '';
  for (const chunk of chunks) {
    assert.ok(chunk.startOffset >= before, 'chunks do not overlap');
    uncovered += tree.text.slice(before, chunk.startOffset);
    before = chunk.endOffset;
    assert.equal(chunk.text, tree.text.slice(chunk.startOffset, chunk.endOffset));
    assert.ok(chunk.text.length <= chunkTextLengthMax && chunk.text.trim() !== '');
    assert.ok(chunk.startLine <= chunk.endLine && chunk.endLine - chunk.startLine < chunkLinesMax);
  }
  uncovered += tree.text.slice(before);
  assert.equal(uncovered.trim(), '', 'every non-blank line is covered');
}

test('functions come with their comments, classes as header and methods, the rest in windows', async () => {
  const text = `import os

# about f
# and more
def f():
    def inner():
        pass

class A:
    x = 1
    def m(self):
        pass

    def n(self):
        pass

y = 1
z = 2
`;
  assert.deepEqual(await listOf(text, 'python'), [
    '1-1 -',
    '3-7 f',
    '9-10 A',
    '11-12 A.m',
    '14-15 A.n',
    '17-18 -',
  ]);
});

test('attributes and documentation before a function are in its chunk', async () => {
  const text = 'use a;\n/// doc\n#[inline]\nfn f() {\n}\n';
  assert.deepEqual(await listOf(text, 'rust'), ['1-1 -', '2-5 f']);
});

test('an interface with one-line methods is one chunk', async () => {
  assert.deepEqual(await listOf('interface I {\n  a(): void;\n  b(): void;\n}\n', 'typescript'), ['1-4 I']);
});

test('a long function is cut to windows that are all its own', async () => {
  const text = `def f():\n${'    x = 1\n'.repeat(130)}`;
  assert.deepEqual(await listOf(text, 'python'), ['1-60 f', '61-120 f', '121-131 f']);
});

test('a long line is cut to pieces, never inside a surrogate pair', async () => {
  const text = `-${'\u{1F600}'.repeat(5_000)}`;
  const chunks = await chunked(text, null);
  assert.deepEqual(
    chunks.map((chunk) => chunk.text.length),
    [3_999, 4_000, 2_002],
  );
  assert.ok(chunks.every((chunk) => !/^[\uDC00-\uDFFF]|[\uD800-\uDBFF]$/.test(chunk.text)));
});

test('text without a grammar has windows, a binary file has no chunks', async () => {
  assert.deepEqual(await listOf('one\n\n\ntwo\n', null), ['1-4 -']);
  assert.deepEqual(await chunked('one\0', null), []);
  assert.deepEqual(await chunked('', 'python'), []);
  assert.deepEqual(await chunked(' \n\t\n', 'python'), []);
});

test('the number of chunks of a file is bounded', async () => {
  const chunks = await chunked('def f(): 0\n'.repeat(chunksMax + 100), 'python');
  assert.equal(chunks.length, chunksMax);
});

test('every non-blank line of odd contents is covered, whatever the language', async () => {
  for (const [name, bytes] of Object.entries(oddContents)) {
    if (name === 'NUL bytes') continue;
    for (const language of [...languages, null]) checkChunks(await treeOf(bytes, language));
  }
});

test('every non-blank line of any text is covered by bounded chunks', async () => {
  const line = fc.oneof(
    fc.constantFrom(
      'class A {',
      'class A:',
      '  def f(self):',
      'function f() {',
      '}',
      'end',
      '',
      '  ',
      '// c',
      '# c',
      '@dec',
    ),
    fc.string({ unit: 'binary', maxLength: 20 }).map((text) => text.replaceAll('\0', '')),
    fc.constantFrom('x'.repeat(3_900), 'y'.repeat(9_000), '  pass\n'.repeat(70)),
  );
  const text = fc.array(fc.tuple(line, fc.constantFrom('\n', '\r\n', '\r')), { maxLength: 25 });
  await fc.assert(
    fc.asyncProperty(text, fc.constantFrom(...languages, null), async (parts, language) => {
      checkChunks(await treeOf(parts.flat().join(''), language));
    }),
    { numRuns: 100 },
  );
});
