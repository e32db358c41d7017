import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import type { Language as Grammar, Tree } from 'web-tree-sitter';
import { Runtime } from '#src/syntax/grammar.js';
import type { GreenTree } from '#src/syntax/green-tree.js';
import { languages } from '#src/syntax/language.js';
import type { Language } from '#src/syntax/language.js';
import { decodeSource } from '#src/syntax/source.js';
import { buildGreenTree } from '#src/syntax/tree-builder.js';
import { TreeMemoryWalk } from '#src/syntax/tree-memory.js';
import { oddContents } from './fixtures.js';

const nodeModules = fileURLToPath(new URL('..', import.meta.resolve('web-tree-sitter')));

const runtime = await Runtime.load(256 * 1024 * 1024);
after(() => runtime.parser.delete());

const depthMax = 10_000;

interface Parsed {
  tree: Tree;
  grammar: Grammar;
  language: Language;
  text: string;
}

async function parsed(text: string, language: Language): Promise<Parsed> {
  const grammar = await runtime.grammar(language);
  runtime.parser.setLanguage(grammar);
  const tree = runtime.parser.parse(text);
  assert.ok(tree !== null);
  return { tree, grammar, language, text };
}

async function built(
  { tree, grammar, language, text }: Parsed,
  words: () => Uint32Array | null,
  openMax = depthMax,
): Promise<GreenTree | null> {
  const source = decodeSource(Buffer.from(text));
  const pause = { isDue: () => true, breathe: () => Promise.resolve() };
  return await buildGreenTree({ tree, grammar, language, source, depthMax: openMax, words, pause });
}

/** Whether the memory served, or a cursor had to. */
function isRead({ tree, grammar }: Parsed): boolean {
  const words = runtime.words;
  const walk = words === null ? null : TreeMemoryWalk.begin(words, grammar, tree.rootNode);
  if (words === null || walk === null) return false;
  const sink = { depth: 1, count: 0, openNode: () => {}, token: () => {}, closeNode: () => {} };
  return walk.go(words, sink, Number.MAX_SAFE_INTEGER, depthMax) === 'complete';
}

async function assertAlike(text: string, language: Language): Promise<void> {
  const sample = await parsed(text, language);
  const read = await built(sample, () => runtime.words);
  assert.deepEqual(read, await built(sample, () => null), `${language}: ${text.slice(0, 200)}`);
  assert.ok(isRead(sample), `${language} took a cursor: ${text.slice(0, 200)}`);
  sample.tree.delete();
}

/** Texts of several languages: as any other language each of them is full of errors. */
const files = [
  'web-tree-sitter/web-tree-sitter.d.ts',
  'zod/v4/core/util.js',
  'commander/Readme.md',
  'tree-sitter-json/grammar.js',
  'tree-sitter-json/src/node-types.json',
  'better-sqlite3/src/better_sqlite3.cpp',
];
const snippets: Readonly<Record<string, string>> = {
  python:
    'import a.b as c\n@d\nclass A(B):\n  """x"""\n  def f(self, *a, b=1) -> int:\n    return [i for i in a]\n',
  go: 'package a\n// b\nfunc (x *T) F(a, b int) (int, error) { for i := range a { go g(i) }; return 1, nil }\n',
  rust: '/// a\n#[b]\npub fn f<T: A>(x: &mut T) -> Option<u8> { match x { Some(y) => y?, _ => vec![1] } }\n',
  java: '@A class B<T> extends C { int x = 1, y; void f(int... a) { for (var b : a) g(b -> b); } }\n',
  c: '#include <a.h>\n#define F(x) x\nstatic struct a *f(int x[], ...) { return x ? *x : sizeof(int); }\n',
  csharp: 'namespace A { record B(int C); class D : E { int F { get; set; } = 1; } }\n',
  ruby: 'class A < B\n  def c(d = 1, *e) = d\n  x = <<~EOT\n    a #{b}\n  EOT\nend\n',
  php: '<p><?php namespace A; class B { public function c(?int $d = null) { return "$d"; } } ?></p>\n',
  shell: 'for a in "$@"; do cat <<EOF | grep -v "b$(c)"\n$a\nEOF\ndone\n',
  css: '@media (a: 1px) { a > b:hover, .c { color: #fff; margin: 0 } }\n',
  ini: '[a]\nb = c\n; d\n',
  tsx: 'export const A = <T,>({ b }: C<T>) => <D e={b} {...f}>g</D>;\n',
};

test('the memory gives what a cursor gives, in every language', async () => {
  const texts = await Promise.all(files.map(async (file) => await readFile(join(nodeModules, file), 'utf8')));
  const odd = Object.values(oddContents).map((bytes) => decodeSource(bytes).text);
  for (const language of languages) {
    for (const text of [...texts.map((whole) => whole.slice(0, 20_000)), ...Object.values(snippets), ...odd])
      await assertAlike(text, language);
  }
});

test('the memory gives what a cursor gives, of any text', async () => {
  const piece = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 10 }),
    fc.constantFrom(...Object.values(snippets).flatMap((text) => text.split(/(?<=\W)/))),
  );
  const text = fc.array(piece, { maxLength: 60 }).map((pieces) => pieces.join(''));
  await fc.assert(fc.asyncProperty(text, fc.constantFrom(...languages), assertAlike), { numRuns: 300 });
});

test('where the memory is not as expected, a cursor gives the tree', async () => {
  const sample = await parsed(snippets['c'] ?? '', 'c');
  const expected = await built(sample, () => null);
  const words = runtime.words;
  assert.ok(expected !== null && words !== null);
  const root = sample.tree.rootNode.id >>> 2;
  const data = (words[root] ?? 0) >>> 2;
  const damages: Readonly<Record<string, (copy: Uint32Array) => void>> = {
    'nothing but zeros': (copy) => copy.fill(0),
    'nothing but ones': (copy) => copy.fill(0xffffffff),
    'all of it one word further': (copy) => copy.copyWithin(1, 0),
    'no address of the root': (copy) => copy.fill(1, root, root + 1),
    'more children than there are': (copy) => copy.fill(0xffffffff, data + 9, data + 10),
    'fewer children than there are': (copy) => copy.fill(1, data + 9, data + 10),
    'no children': (copy) => copy.fill(0, data + 9, data + 10),
    'a node that is its own child': (copy) => copy.fill(data * 4, data - 2, data - 1),
  };
  for (const [name, damage] of Object.entries(damages)) {
    const copy = words.slice();
    damage(copy);
    assert.deepEqual(await built(sample, () => copy), expected, name);
  }
  sample.tree.delete();
});

test('nesting beyond the bound gives no tree, either way', async () => {
  const sample = await parsed(`${'['.repeat(50)}${']'.repeat(50)}`, 'json');
  for (const words of [() => runtime.words, () => null]) {
    assert.equal(await built(sample, words, 50), null);
    assert.notEqual(await built(sample, words, 60), null);
  }
  sample.tree.delete();
});
