import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { entitiesMax, entitiesOf, qualifiedNameLengthMax } from '#src/syntax/entities.js';
import { languages } from '#src/syntax/language.js';
import type { Language } from '#src/syntax/language.js';
import { decodeTree, encodeTree } from '#src/syntax/tree-codec.js';
import { oddContents, treeOf } from './fixtures.js';

/** Each entity as `kind qualified.name first-last`. */
async function listOf(language: Language, text: string): Promise<string[]> {
  const entities = entitiesOf(await treeOf(text, language));
  return entities.map((e) => `${e.kind} ${e.qualifiedName} ${e.startLine}-${e.endLine}`);
}

const examples: Record<Language, { text: string; entities: string[] }> = {
  python: {
    text: `import os
LIMIT = 1
name: str = 'x'
os.path = 2
@dataclass
class A(B):
    field = 1
    @property
    def f(self):
        def inner(): pass
        local = 1
async def g(): pass
if LIMIT:
    hidden = 1
`,
    entities: [
      'constant LIMIT 2-2',
      'variable name 3-3',
      'class A 5-11',
      'method A.f 8-11',
      'function A.f.inner 10-10',
      'function g 12-12',
    ],
  },
  typescript: {
    text: `export abstract class A<T> {
  private x = 1;
  handler = () => 1;
  get y() { return 1; }
  abstract m(): void;
}
export const f = async () => 1;
const LIMIT = 2;
let state: string;
interface I { a: string; b(): void }
type T = { c: number };
enum E { one }
namespace N.M { export function inner() {} }
declare function ambient(): void;
`,
    entities: [
      'class A 1-6',
      'property A.x 2-2',
      'method A.handler 3-3',
      'method A.y 4-4',
      'method A.m 5-5',
      'function f 7-7',
      'constant LIMIT 8-8',
      'variable state 9-9',
      'interface I 10-10',
      'property I.a 10-10',
      'method I.b 10-10',
      'type T 11-11',
      'enum E 12-12',
      'module N.M 13-13',
      'function N.M.inner 13-13',
      'function ambient 14-14',
    ],
  },
  tsx: {
    text: 'export function View(): JSX.Element {\n  return <p>{1}</p>;\n}\n',
    entities: ['function View 1-3'],
  },
  javascript: {
    text: `function* gen() { const local = 1; const nested = () => 1; }
class A { static x = 1; #p() {} constructor() {} }
module.exports.b = class {};
A.prototype.c = function () {};
list[0].d = function () {};
const { e } = A;
const o = { k: function () {}, m() {}, n: 1 };
it('works', () => { const hidden = 1; });
export default () => 1;
`,
    entities: [
      'function gen 1-1',
      'function gen.nested 1-1',
      'class A 2-2',
      'property A.x 2-2',
      'method A.#p 2-2',
      'method A.constructor 2-2',
      'class b 3-3',
      'method A.c 4-4',
      'constant o 7-7',
      'function o.k 7-7',
      'method o.m 7-7',
      'function default 9-9',
    ],
  },
  go: {
    text: `package p
func F() {}
func (r *Recv[T]) M() { x := 1 }
type S struct { a int }
type I interface {
	M()
}
type D int
const (
	A = 1
	B = 2
)
var v = 1
`,
    entities: [
      'function F 2-2',
      'method Recv.M 3-3',
      'struct S 4-4',
      'interface I 5-7',
      'method I.M 6-6',
      'type D 8-8',
      'constant A 10-10',
      'constant B 11-11',
      'variable v 13-13',
    ],
  },
  rust: {
    text: `mod m { pub const X: u8 = 1; static Y: u8 = 1; }
struct S<T>(T);
enum E { A }
trait T { fn g(&self); }
impl<T> fmt::Display for S<T> { fn f(&self) { fn inner() {} } }
type A = u8;
macro_rules! mm { () => {} }
fn free() { const LOCAL: u8 = 1; }
`,
    entities: [
      'module m 1-1',
      'constant m.X 1-1',
      'variable m.Y 1-1',
      'struct S 2-2',
      'enum E 3-3',
      'trait T 4-4',
      'method T.g 4-4',
      'method S.f 5-5',
      'function S.f.inner 5-5',
      'type A 6-6',
      'function mm 7-7',
      'function free 8-8',
    ],
  },
  java: {
    text: `package a.b;
@An
public class A extends B {
  private int x = 1;
  A() { int local = 1; }
  @Override void m() {}
  enum E { ONE }
}
interface I { void n(); }
record R(int a) {}
`,
    entities: [
      'class A 2-8',
      'property A.x 4-4',
      'method A.A 5-5',
      'method A.m 6-6',
      'enum A.E 7-7',
      'interface I 9-9',
      'method I.n 9-9',
      'class R 10-10',
    ],
  },
  c: {
    text: `#define LIMIT 1
#define GUARD
#define TWICE(x) ((x) * 2)
typedef struct point { int x; } point_t;
static int state = 1;
int (*callback)(int);
char *prototype(struct point *p);
int main(int argc) { int local; return 0; }
`,
    entities: [
      'constant LIMIT 1-1',
      'function TWICE 3-3',
      'type point_t 4-4',
      'struct point 4-4',
      'property point.x 4-4',
      'variable state 5-5',
      'variable callback 6-6',
      'function prototype 7-7',
      'function main 8-8',
    ],
  },
  cpp: {
    text: `namespace a::b {
template <class T>
class C : D {
  int x;
  void f();
  ~C();
};
}
void A<int>::B::f(int) const {}
bool operator==(A a, B b) { return true; }
using U = int;
enum class E { one };
`,
    entities: [
      'module a.b 1-8',
      'class a.b.C 2-7',
      'property a.b.C.x 4-4',
      'method a.b.C.f 5-5',
      'method a.b.C.~C 6-6',
      'method A.B.f 9-9',
      'function operator== 10-10',
      'type U 11-11',
      'enum E 12-12',
    ],
  },
  csharp: {
    text: `namespace A.B;
[At]
public class C {
  int x = 1;
  public int P { get; set; }
  C() {}
  void M() { void L() {} }
}
struct S {}
interface I { void N(); }
delegate void D();
`,
    entities: [
      'module A.B 1-1',
      'class A.B.C 2-8',
      'property A.B.C.x 4-4',
      'property A.B.C.P 5-5',
      'method A.B.C.C 6-6',
      'method A.B.C.M 7-7',
      'function A.B.C.M.L 7-7',
      'struct A.B.S 9-9',
      'interface A.B.I 10-10',
      'method A.B.I.N 10-10',
      'type A.B.D 11-11',
    ],
  },
  ruby: {
    text: `module A::B
  class C < D
    X = 1
    def m(a) = 1
    def self.s
      local = 1
    end
  end
  def helper; end
end
def top; end
`,
    entities: [
      'module A.B 1-10',
      'class A.B.C 2-8',
      'constant A.B.C.X 3-3',
      'method A.B.C.m 4-4',
      'method A.B.C.s 5-7',
      'method A.B.helper 9-9',
      'function top 11-11',
    ],
  },
  php: {
    text: `<?php
namespace A\\B;
class C {
  const X = 1;
  public int $p = 1;
  function m() {}
}
trait T {}
namespace D;
function f() {}
`,
    entities: [
      'module A.B 2-2',
      'class A.B.C 3-7',
      'constant A.B.C.X 4-4',
      'property A.B.C.p 5-5',
      'method A.B.C.m 6-6',
      'trait A.B.T 8-8',
      'module D 9-9',
      'function D.f 10-10',
    ],
  },
  shell: {
    text: '#!/bin/sh\nLIMIT=1\nf() { local=2; }\nfunction g { :; }\n',
    entities: ['variable LIMIT 2-2', 'function f 3-3', 'function g 4-4'],
  },
  css: { text: 'a { color: red }\n', entities: [] },
  json: { text: '{\n  "a": 1,\n  "b.c": { "d": 2 }\n}\n', entities: ['property a 2-2', 'property b.c 3-3'] },
  ini: { text: '[one]\na = 1\n[two]\n', entities: ['module one 1-2', 'module two 3-3'] },
};

for (const language of languages) {
  test(`entities of ${language}`, async () => {
    assert.deepEqual(await listOf(language, examples[language].text), examples[language].entities);
  });
}

test('entities from a stored tree are those of the fresh one', async () => {
  for (const language of languages) {
    const tree = await treeOf(examples[language].text, language);
    assert.deepEqual(entitiesOf(decodeTree(encodeTree(tree))), entitiesOf(tree));
  }
});

test('an entity has its parent before it, and offsets that cut out its text', async () => {
  const text = 'class A:\n    @wrap\n    def f(self): pass\n';
  const [outer, inner] = entitiesOf(await treeOf(text, 'python'));
  assert.ok(outer && inner);
  assert.deepEqual([outer.parent, inner.parent], [null, 0]);
  assert.equal(text.slice(inner.startOffset, inner.endOffset), '@wrap\n    def f(self): pass');
});

test('documentation is the comment right before an entity, or the string in a Python body', async () => {
  const docs = async (language: Language, text: string): Promise<(string | undefined)[]> =>
    entitiesOf(await treeOf(text, language)).map((entity) => entity.docstring);
  assert.deepEqual(await docs('python', 'def f():\n    """One.\n\n    Two."""\n# about g\ndef g(): pass\n'), [
    'One.\n\nTwo.',
    'about g',
  ]);
  assert.deepEqual(
    await docs(
      'typescript',
      '/**\n * About f.\n * @returns 1\n */\nexport function f() {}\n// far\n\nfunction g() {}\n',
    ),
    ['About f.\n@returns 1', undefined],
  );
  assert.deepEqual(
    await docs('rust', '/// One.\n/// Two.\n#[inline]\nfn f() {}\nfn g() {} // not h\nfn h() {}\n'),
    ['One.\nTwo.', undefined, undefined],
  );
  assert.deepEqual(await docs('java', 'class A {\n  /** m */\n  @Override\n  void m() {}\n}\n'), [
    undefined,
    'm',
  ]);
  assert.deepEqual(await docs('shell', '#!/bin/sh\nf() { :; }\n'), [undefined]);
});

test('what has no parsed tree has no entities', async () => {
  assert.deepEqual(entitiesOf(await treeOf('def f(): pass', null)), []);
  assert.deepEqual(entitiesOf(await treeOf('def f(): pass\0', 'python'), 'python'), []);
});

test('a tree read with another language finds nothing wrong', async () => {
  const tree = await treeOf(examples.python.text, 'python');
  for (const language of languages) assert.ok(Array.isArray(entitiesOf(tree, language)), language);
});

test('functions nested without end have bounded names, and their number is bounded', async () => {
  const nested = entitiesOf(await treeOf('function f(){'.repeat(2_000) + '}'.repeat(2_000), 'javascript'));
  assert.equal(nested.length, 2_000);
  assert.ok(nested.every((entity) => entity.qualifiedName.length <= qualifiedNameLengthMax));
  const many = entitiesOf(await treeOf('def f(): 0\n'.repeat(entitiesMax + 10), 'python'));
  assert.equal(many.length, entitiesMax);
});

test('entities of any content are in the order of the text, within it, and inside their parents', async () => {
  const check = async (bytes: Buffer, language: Language): Promise<void> => {
    const tree = await treeOf(bytes, language);
    const entities = entitiesOf(tree);
    entities.forEach((entity, index) => {
      assert.ok(entity.name.length > 0 && entity.startLine >= 1 && entity.startLine <= entity.endLine);
      assert.ok(entity.startOffset <= entity.endOffset && entity.endOffset <= tree.text.length);
      assert.ok(entity.parent === null || entity.parent < index);
    });
  };
  for (const language of languages) {
    for (const bytes of Object.values(oddContents)) await check(bytes, language);
  }
  const word = fc.constantFrom(
    'class A',
    'def f',
    'function f',
    '(',
    ')',
    '{',
    '}',
    ':',
    '\n',
    ' ',
    '=',
    'fn f',
    'end',
    '#a\n',
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(word, { maxLength: 30 }),
      fc.constantFrom(...languages),
      async (words, language) => check(Buffer.from(words.join('')), language),
    ),
    { numRuns: 150 },
  );
});
