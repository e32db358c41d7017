import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { render, shapeAt } from '#src/syntax/green-tree.js';
import { languageOf, languages } from '#src/syntax/language.js';
import { createParser, parseMemoryMaxBytes, parseMemoryWithin } from '#src/syntax/parser.js';
import { decodeSource } from '#src/syntax/source.js';
import { oddContents, surrogateSeams, treeOf } from './fixtures.js';

const nodeModules = fileURLToPath(new URL('..', import.meta.resolve('web-tree-sitter')));

/** Few of each kind, so that it stays quick on two cores. */
const filesPerExtension = 40;
const fileBytesMax = 60_000;

async function realFiles(): Promise<string[]> {
  const counts = new Map<string, number>();
  const files: string[] = [];
  const entries = await readdir(nodeModules, { recursive: true, withFileTypes: true });
  for (const entry of entries) {
    const path = join(entry.parentPath, entry.name);
    const extension = entry.name.slice(entry.name.lastIndexOf('.') + 1);
    const count = counts.get(extension) ?? 0;
    if (!entry.isFile() || count >= filesPerExtension) continue;
    counts.set(extension, count + 1);
    files.push(path);
  }
  return files.slice(0, 400);
}

test('every file of a real tree renders to its bytes', async () => {
  let rendered = 0;
  let parsed = 0;
  for (const path of await realFiles()) {
    const bytes = await readFile(path);
    if (bytes.length > fileBytesMax) continue;
    const tree = await treeOf(bytes, languageOf(path, bytes.toString('latin1', 0, 256)));
    assert.ok(render(tree).equals(bytes), path);
    rendered++;
    if (tree.fallback === null) parsed++;
  }
  assert.ok(rendered >= 50 && parsed >= 30, `only ${rendered} files, ${parsed} parsed`);
});

test('odd contents render to their bytes in every language', async () => {
  for (const language of [...languages, null]) {
    for (const [name, bytes] of Object.entries(oddContents)) {
      assert.ok(render(await treeOf(bytes, language)).equals(bytes), `${language}: ${name}`);
    }
  }
});

test('a surrogate pair across the seam of the input buffer is kept', async () => {
  for (const bytes of surrogateSeams) {
    const tree = await treeOf(bytes, 'python');
    assert.equal(tree.fallback, null);
    assert.ok(render(tree).equals(bytes));
  }
});

test('any bytes render exactly in any language', async () => {
  const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array));
  await fc.assert(
    fc.asyncProperty(bytes, fc.constantFrom(...languages), async (content, language) => {
      assert.ok(render(await treeOf(content, language)).equals(content));
    }),
    { numRuns: 150 },
  );
});

test('any text renders exactly in any language', async () => {
  const word = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 20 }),
    fc.constantFrom(
      '{',
      '}',
      '(',
      ')',
      '"',
      "'",
      '`',
      '/*',
      '*/',
      '//',
      '#',
      '<<EOF',
      '\n',
      '\r',
      '\r\n',
      '\t',
      '${',
    ),
    fc.constantFrom(
      'class ',
      'def ',
      'if ',
      'function ',
      'end',
      ' = ',
      '=> ',
      'namespace ',
      '<?php ',
      'impl ',
    ),
  );
  const text = fc.array(word, { maxLength: 40 }).map((words) => words.join(''));
  await fc.assert(
    fc.asyncProperty(text, fc.constantFrom(...languages), async (content, language) => {
      const bytes = Buffer.from(content);
      assert.ok(render(await treeOf(bytes, language)).equals(bytes));
    }),
    { numRuns: 200 },
  );
});

test('50,000 nested brackets are parsed and render exactly', async () => {
  const bytes = Buffer.from(`x = ${'['.repeat(50_000)}${']'.repeat(50_000)}\n`);
  for (const language of ['javascript', 'json'] as const) {
    const tree = await treeOf(bytes, language);
    assert.equal(tree.fallback, null, language);
    assert.ok(render(tree).equals(bytes), language);
  }
});

test('white space between tokens and around the root becomes trivia of the root', async () => {
  const tree = await treeOf('\n a;\n', 'javascript');
  const elements = [...tree.shape.keys()].map((i) => `${shapeAt(tree, i).kind}:${tree.size[i]}`);
  assert.deepEqual(elements, [
    'program:3',
    'trivia:2',
    'expression_statement:2',
    'identifier:1',
    ';:1',
    'trivia:1',
  ]);
});

test('text that a grammar hides stays inside its node', async () => {
  const tree = await treeOf('// abc\n', 'rust');
  const elements = [...tree.shape.keys()].map((i) => `${shapeAt(tree, i).kind}:${tree.size[i]}`);
  assert.deepEqual(elements, ['source_file:2', 'line_comment:2', '//:2', 'trivia:4', 'trivia:1']);
});

test('fields and errors are kept', async () => {
  const tree = await treeOf('x = = 1\n', 'python');
  assert.ok(tree.shapes.some((shape) => shape.kind === 'ERROR'));
  const good = await treeOf('def f(): pass\n', 'python');
  assert.ok(good.shapes.some((shape) => shape.kind === 'identifier' && shape.field === 'name'));
});

test('what is not parsed says why', async () => {
  const reason = async (
    content: string,
    options: Parameters<typeof createParser>[0],
  ): Promise<string | null> => {
    const parser = createParser(options);
    const tree = await parser.parse(decodeSource(Buffer.from(content)), 'javascript');
    parser.close();
    assert.equal(render(tree).toString(), content);
    return tree.fallback;
  };
  assert.equal((await treeOf('\0', 'python')).fallback, 'binary');
  assert.equal((await treeOf('text', null)).fallback, 'no_grammar');
  assert.equal(await reason('abcdef', { textLengthMax: 5 }), 'too_large');
  assert.equal(await reason('[[[[1]]]]', { depthMax: 4 }), 'too_deep');
  assert.equal(await reason('a;', {}), null);
});

test('a parse that takes too long is given up, and the next one starts afresh', async () => {
  let time = 0;
  const parser = createParser({ timeMaxMs: 10, now: () => (time += 6) });
  const long = decodeSource(Buffer.from('f(1);\n'.repeat(5_000)));
  assert.equal((await parser.parse(long, 'javascript')).fallback, 'timeout');
  const tree = await parser.parse(decodeSource(Buffer.from('b;')), 'javascript');
  assert.equal(tree.fallback, null);
  assert.equal(render(tree).toString(), 'b;');
  parser.close();
});

/** `a<b<c<…` as generics that never end. */
function openGenerics(length: number): string {
  return 'abcdefghijklmnopqrstuvwxyz'
    .replaceAll(/./gu, '$&<')
    .repeat(Math.ceil(length / 52))
    .slice(0, length);
}

test('a text that would take all memory is kept as one token, and the next one is parsed', async () => {
  const memoryMaxBytes = 64 * 1024 * 1024;
  const parser = createParser({ memoryMaxBytes, now: () => 0 });
  const poison = openGenerics(300_000);
  for (const language of ['java', 'cpp'] as const) {
    const tree = await parser.parse(decodeSource(Buffer.from(poison)), language);
    assert.equal(tree.fallback, 'out_of_memory', language);
    assert.equal(render(tree).toString(), poison);
    assert.equal((await parser.parse(decodeSource(Buffer.from('int a;')), language)).fallback, null);
  }
  parser.close();
});

test('memory that a parse has taken is given back', () => {
  // In a process of its own: the test runner holds on to what its tests have awaited.
  const script = `
    const [{ createParser }, { decodeSource }] = await Promise.all([
      import(${JSON.stringify(import.meta.resolve('#src/syntax/parser.js'))}),
      import(${JSON.stringify(import.meta.resolve('#src/syntax/source.js'))}),
    ]);
    const parser = createParser({ now: () => 0 });
    for (const text of ['a<b<c<'.repeat(50_000), 'int a;'])
      console.log((await parser.parse(decodeSource(Buffer.from(text)), 'java')).fallback, process.memoryUsage.rss());`;
  const out = execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  const [first = [], second = []] = out.split('\n').map((line) => line.split(' '));
  assert.deepEqual([first[0], second[0]], ['out_of_memory', 'null']);
  assert.ok(Number(first[1]) > 0.75 * parseMemoryMaxBytes, out);
  assert.ok(Number(second[1]) < 0.5 * parseMemoryMaxBytes, out);
});

test('a parser takes half of what its process may use, and never more than a bound', () => {
  const mebibyte = 1024 * 1024;
  assert.equal(parseMemoryWithin(256 * mebibyte), 128 * mebibyte);
  assert.equal(parseMemoryWithin(8192 * mebibyte), parseMemoryMaxBytes);
});

test('parses at the same time do not disturb each other', async () => {
  const parser = createParser();
  const contents = languages.map((language, i) => ({
    language,
    bytes: Buffer.from(`a${i} = "${language}"\n`),
  }));
  const trees = await Promise.all(contents.map((c) => parser.parse(decodeSource(c.bytes), c.language)));
  trees.forEach((tree, i) => assert.ok(contents[i] && render(tree).equals(contents[i].bytes)));
  parser.close();
});
