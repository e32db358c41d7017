import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DerivedDamageError } from '#src/store/derived/damage.js';
import { encodeLayout, type Layout, StoredLayout } from '#src/store/derived/layout-codec.js';
import { chunksOf } from '#src/syntax/chunks.js';
import { entitiesOf, entityKinds } from '#src/syntax/entities.js';
import { createParser } from '#src/syntax/parser.js';
import { decodeSource } from '#src/syntax/source.js';
import { wholeLayout } from './contents-of.js';

const number = fc.nat(100_000);
/** No entity has none, and its qualified name ends with it. */
const names = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 });

/** As entitiesOf and chunksOf give them: in the order of the text, an entity after the one that it is in. */
const layouts: fc.Arbitrary<Layout> = fc
  .record({
    entities: fc.array(
      fc.record({
        kind: fc.constantFrom(...entityKinds),
        name: names,
        qualified: fc.option(names),
        lines: number,
        more: number,
        parent: number,
      }),
      { maxLength: 20 },
    ),
    chunks: fc.array(
      fc.record({ lines: number, more: number, gap: number, units: number, entity: fc.option(number) }),
      { maxLength: 20 },
    ),
  })
  .map(({ entities: given, chunks }) => {
    const entities: Layout['entities'][number][] = [];
    let line = 1;
    for (const { kind, name, qualified, lines, more, parent } of given) {
      line += lines;
      const place = { startLine: line, endLine: line + more };
      const outer = entities.length === 0 || parent % 2 === 0 ? null : parent % entities.length;
      entities.push({ kind, name, qualifiedName: qualified ?? name, parent: outer, ...place });
    }
    let [endLine, endOffset] = [0, 0];
    return {
      entities,
      chunks: chunks.map(({ lines, more, gap, units, entity }) => {
        const [startLine, startOffset] = [endLine + lines, endOffset + gap];
        [endLine, endOffset] = [startLine + more, startOffset + units];
        const entityIndex = entity === null || entities.length === 0 ? null : entity % entities.length;
        return { startLine, endLine, startOffset, endOffset, entityIndex };
      }),
    };
  });

test('a layout comes back as it was', () => {
  fc.assert(
    fc.property(layouts, (layout) =>
      assert.deepEqual(wholeLayout(new StoredLayout(encodeLayout(layout))), layout),
    ),
  );
});

test('the layout of a real file names the entity of each chunk', async () => {
  const source = 'class A {\n  b() {\n    return 1;\n  }\n}\nfunction c() {}\n';
  const tree = await createParser().parse(decodeSource(Buffer.from(source)), 'javascript');
  const entities = entitiesOf(tree);
  const layout = new StoredLayout(encodeLayout({ entities, chunks: chunksOf(tree, entities) }));
  assert.deepEqual(
    wholeLayout(layout).chunks.map((chunk) => [
      layout.entityOf(chunk)?.qualifiedName,
      source.slice(chunk.startOffset, chunk.endOffset),
    ]),
    [
      ['A', 'class A {'],
      ['A.b', '  b() {\n    return 1;\n  }'],
      ['A', '}'],
      ['c', 'function c() {}'],
    ],
  );
});

test('bytes that are no layout are damage, wherever they are cut or changed', () => {
  fc.assert(
    fc.property(layouts, fc.nat(), fc.nat(255), (layout, at, byte) => {
      const bytes = encodeLayout(layout);
      const changed = Buffer.from(bytes);
      changed[at % bytes.length] = byte;
      for (const wrong of [changed, bytes.subarray(0, at % bytes.length)]) {
        try {
          wholeLayout(new StoredLayout(wrong));
        } catch (error) {
          assert.ok(error instanceof DerivedDamageError);
        }
      }
    }),
  );
  assert.throws(() => new StoredLayout(Buffer.alloc(0)), DerivedDamageError);
});
