import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32, deflateRawSync, deflateSync, inflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import { oneTokenTree, render, triviaKind } from '#src/syntax/green-tree.js';
import type { GreenTree, Shape } from '#src/syntax/green-tree.js';
import { languages } from '#src/syntax/language.js';
import { decodeSource } from '#src/syntax/source.js';
import { ByteReader, ByteWriter } from '#src/syntax/tree-bytes.js';
import { TreeFormatError, decodeTree, encodeTree, sourceIn } from '#src/syntax/tree-codec.js';
import { vocabulary } from '#src/syntax/tree-vocabulary.js';
import { oddContents, treeOf } from './fixtures.js';

const example = `class A {\n  m(a) { return [a, 1, "x"]; } // c\n}\n`;

/** A stored tree taken apart, so that a test can change one part and put it together under a right checksum. */
interface Parts {
  flags: number;
  reason: number;
  language: string;
  elementCount: number;
  textLength: number;
  text: Buffer;
  structureLength: number;
  structure: Buffer;
}

function partsOf(stored: Buffer): Parts {
  const reader = new ByteReader(stored.subarray(5));
  return {
    flags: reader.byte(),
    reason: reader.byte(),
    language: reader.string(),
    elementCount: reader.varint(),
    textLength: reader.varint(),
    text: reader.blob(),
    structureLength: reader.varint(),
    structure: reader.blob(),
  };
}

function joined(parts: Parts): Buffer {
  const writer = new ByteWriter();
  writer.raw(Buffer.from('CKST\u0002'));
  writer.byte(parts.flags);
  writer.byte(parts.reason);
  writer.string(parts.language);
  writer.varint(parts.elementCount);
  writer.varint(parts.textLength);
  writer.blob(parts.text);
  writer.varint(parts.structureLength);
  writer.blob(parts.structure);
  return sealed(writer.written());
}

function sealed(body: Buffer): Buffer {
  const checksum = Buffer.alloc(4);
  checksum.writeUInt32LE(crc32(body));
  return Buffer.concat([body, checksum]);
}

/** The stored tree with another structure, before compression. */
function withStructure(stored: Buffer, structure: Buffer): Buffer {
  return joined({
    ...partsOf(stored),
    structureLength: structure.length,
    structure: deflateRawSync(structure),
  });
}

function structureOf(stored: Buffer): Buffer {
  return inflateRawSync(partsOf(stored).structure);
}

/** Whether the bytes are refused; what is not has to be a tree whose tokens are its text. */
function isRefused(bytes: Buffer): boolean {
  try {
    const tree = decodeTree(bytes);
    assert.equal(render(tree).toString(tree.encoding), tree.text);
    assert.deepEqual(decodeTree(encodeTree(tree)), tree);
    return false;
  } catch (error) {
    assert.ok(error instanceof TreeFormatError, String(error));
    return true;
  }
}

test('a stored tree is the tree', async () => {
  for (const language of [...languages, null]) {
    const tree = await treeOf(example, language);
    assert.deepEqual(decodeTree(encodeTree(tree)), tree);
  }
});

test('odd contents survive storing', async () => {
  for (const [name, bytes] of Object.entries(oddContents)) {
    assert.ok(render(decodeTree(encodeTree(await treeOf(bytes, 'python')))).equals(bytes), name);
  }
});

test('binary files survive storing', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 500 }), (array) => {
      const bytes = Buffer.from(array);
      const tree = decodeTree(encodeTree(oneTokenTree(decodeSource(bytes), 'binary')));
      assert.ok(render(tree).equals(bytes));
    }),
  );
});

/** Any well-formed tree at all, not only such as a parser makes. */
const anyTree: fc.Arbitrary<GreenTree> = fc
  .record({
    text: fc.string({
      unit: fc.constantFrom('a', '9', '_', ' ', '\n', '"', '*', '/', '.', '\u00e9', '\u{1F600}'),
    }),
    names: fc.array(fc.constantFrom(triviaKind, 'identifier', ';', 'no such kind', 'string'), {
      minLength: 1,
    }),
    steps: fc.array(fc.tuple(fc.nat(4), fc.nat(20)), { maxLength: 60 }),
  })
  .map(({ text, names, steps }) => {
    const shapes: Shape[] = names.flatMap((kind, id) => [
      { kind, field: id % 2 === 0 ? null : 'name', token: true, named: id % 3 === 0 },
      { kind, field: id % 2 === 0 ? 'odd field' : null, token: false, named: true },
    ]);
    const shape = [1];
    const size = [0];
    const open = [0];
    let rest = text.length;
    const append = (id: number, length: number): void => {
      const parent = open[open.length - 1] ?? 0;
      size[parent] = (size[parent] ?? 0) + 1;
      shape.push(id);
      size.push(length);
    };
    steps.forEach(([step, length], at) => {
      const id = (at * 2) % shapes.length;
      if (step === 0) {
        append(id + 1, 0);
        open.push(shape.length - 1);
        // A node without children is a token's place.
        append(id, 0);
      } else if (step === 1 && open.length > 1) open.pop();
      else {
        const taken = Math.min(length, rest);
        append(id, taken);
        rest -= taken;
      }
    });
    append(0, rest);
    return {
      encoding: 'utf8' as const,
      binary: false,
      language: 'c' as const,
      fallback: null,
      shapes,
      shape: Uint32Array.from(shape),
      size: Uint32Array.from(size),
      text,
    };
  });

test('any tree survives storing, whatever its tokens have to do with its text', () => {
  fc.assert(
    fc.property(anyTree, (tree) => {
      assert.deepEqual(decodeTree(encodeTree(tree)), tree);
    }),
    { numRuns: 500 },
  );
});

test('a tree whose sizes do not add up is not stored', async () => {
  const tree = await treeOf(example, 'typescript');
  const without = (cut: Partial<GreenTree>): GreenTree => ({ ...tree, ...cut });
  const count = tree.shape.length;
  for (const broken of [
    without({ text: `${tree.text} ` }),
    without({ text: tree.text.slice(1) }),
    without({ shape: tree.shape.slice(0, count - 1), size: tree.size.slice(0, count - 1) }),
    without({ shape: Uint32Array.of(...tree.shape, 0), size: Uint32Array.of(...tree.size, 0) }),
    without({ shape: new Uint32Array(0), size: new Uint32Array(0) }),
  ])
    assert.throws(() => encodeTree(broken), TreeFormatError);
});

test('the source is found without the tree, and only as long as it is', async () => {
  const long = 'a line of text\n'.repeat(5_000);
  for (const [content, language] of [
    [example, 'typescript'],
    [example, null],
    [long, null],
    ['', 'python'],
  ] as const) {
    const stored = encodeTree(await treeOf(content, language));
    const size = Buffer.byteLength(content);
    assert.equal(sourceIn(stored, size).toString(), content);
    assert.throws(() => sourceIn(stored, size + 1), TreeFormatError);
    stored[stored.length - 5] = (stored[stored.length - 5] ?? 0) ^ 1;
    assert.throws(() => sourceIn(stored, size), /the checksum is wrong/);
  }
});

test('a flipped byte is refused', async () => {
  const stored = encodeTree(await treeOf(example, 'typescript'));
  for (let at = 0; at < stored.length; at++) {
    for (const mask of [0x01, 0x80, 0xff]) {
      const damaged = Buffer.from(stored);
      damaged[at] = (damaged[at] ?? 0) ^ mask;
      assert.throws(() => decodeTree(damaged), TreeFormatError, `byte ${at}`);
    }
  }
});

test('a flipped byte under a right checksum is refused or gives a well-formed tree', async () => {
  const stored = encodeTree(await treeOf(example, 'typescript'));
  const structure = structureOf(stored);
  const masks = [0x01, 0x04, 0x7f, 0x80, 0xff];
  let refused = 0;
  for (const mask of masks) {
    for (let at = 5; at < stored.length - 4; at++) {
      const body = Buffer.from(stored.subarray(0, -4));
      body[at] = (body[at] ?? 0) ^ mask;
      isRefused(sealed(body));
    }
    for (let at = 0; at < structure.length; at++) {
      const damaged = Buffer.from(structure);
      damaged[at] = (damaged[at] ?? 0) ^ mask;
      if (isRefused(withStructure(stored, damaged))) refused++;
    }
  }
  assert.ok(refused > structure.length, `only ${refused} refused`);
});

test('a stored tree of a language that is not known any more renders, as one token', async () => {
  const parts = partsOf(encodeTree(await treeOf(example, 'typescript')));
  const tree = decodeTree(joined({ ...parts, language: 'telescript' }));
  assert.deepEqual(tree, oneTokenTree(decodeSource(Buffer.from(example)), 'no_grammar'));
});

test('a reason of a later version is a reason', () => {
  const parts = partsOf(encodeTree(oneTokenTree(decodeSource(Buffer.from(example)), 'timeout')));
  const tree = decodeTree(joined({ ...parts, reason: 200 }));
  assert.equal(tree.fallback, 'unknown');
  assert.equal(render(tree).toString(), example);
});

test('every truncation is refused', async () => {
  const stored = encodeTree(await treeOf(example, 'python'));
  for (let length = 0; length < stored.length; length++) {
    assert.throws(() => decodeTree(stored.subarray(0, length)), TreeFormatError, `length ${length}`);
    assert.throws(() => sourceIn(stored.subarray(0, length), example.length), TreeFormatError);
    assert.throws(() => decodeTree(sealed(stored.subarray(0, Math.max(5, length - 4)))), TreeFormatError);
  }
  const structure = structureOf(stored);
  for (let length = 0; length < structure.length; length++)
    isRefused(withStructure(stored, structure.subarray(0, length)));
});

test('bytes after the end are refused', async () => {
  const stored = encodeTree(await treeOf(example, 'python'));
  const more = Buffer.from([0]);
  assert.throws(() => decodeTree(Buffer.concat([stored, more])), TreeFormatError);
  assert.throws(() => decodeTree(sealed(Buffer.concat([stored.subarray(0, -4), more]))), TreeFormatError);
  assert.throws(
    () => decodeTree(withStructure(stored, Buffer.concat([structureOf(stored), more]))),
    TreeFormatError,
  );
});

test('any bytes are refused', async () => {
  const parts = partsOf(encodeTree(await treeOf(example, 'python')));
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (array) => {
      const bytes = Buffer.from(array);
      assert.throws(() => decodeTree(bytes), TreeFormatError);
      for (const version of [1, 2]) {
        const head = Buffer.from([0x43, 0x4b, 0x53, 0x54, version]);
        assert.throws(() => decodeTree(Buffer.concat([head, bytes])), TreeFormatError);
        assert.throws(() => decodeTree(sealed(Buffer.concat([head, bytes]))), TreeFormatError);
      }
      assert.ok(isRefused(joined({ ...parts, text: bytes })));
      assert.ok(isRefused(joined({ ...parts, structure: bytes })));
    }),
  );
});

test('an unknown version is refused by its number', async () => {
  const stored = encodeTree(await treeOf('', null));
  stored[4] = 3;
  assert.throws(() => decodeTree(stored), /unknown format version 3/);
});

test('what is declared too large is refused before it is unpacked', async () => {
  const parts = partsOf(encodeTree(await treeOf(example, 'python')));
  const zeros = Buffer.alloc(20_000_000);
  const forged: [Partial<Parts>, RegExp][] = [
    [{ text: deflateRawSync(zeros) }, /damaged/],
    [{ textLength: 2 ** 32 - 1 }, /over the limit/],
    [{ structure: deflateRawSync(zeros) }, /damaged/],
    [{ structureLength: 2 ** 32 - 1 }, /over the limit/],
    [{ structureLength: 200_000_000 }, /too large/],
    [{ elementCount: 2 ** 32 - 1 }, /elements declared/],
  ];
  for (const [change, message] of forged)
    assert.throws(() => decodeTree(joined({ ...parts, ...change })), message);
  assert.throws(
    () => sourceIn(joined({ ...parts, text: deflateRawSync(zeros) }), parts.textLength),
    /damaged/,
  );
});

test('names keep their place in the vocabulary', () => {
  // Positions are in stored trees: a changed one would rename what they hold.
  assert.equal(crc32(vocabulary.slice(0, 903).join('\n')), 3_794_866_195);
  assert.equal(new Set(vocabulary).size, vocabulary.length);
});

/** As version 1 stored `def größe(a):`, its body and its line ends. */
const version1 = Buffer.from(
  '434b535401bd02ff01789c358e4d6ec23014843d38ef1902e1b7adbab4d40d8855b75c2632e4052c888d8ca9ca697a8b' +
    '5e808b55087537f349a36f94527cbee5430c6f9c93fff24e71179beb4916ed35ecb28fa16ea4f5c13fa26ea42d7d2321' +
    'fbd64b2a82eba43cbbe43ac9922e5862850d6d4f71772cb6b1b94d93e46b0af525bb2c9d84cc4f30d9fae0d2ad8e6749' +
    '2ec7549ca4cd58f7ffbbf121cb5e1225bf3f64b38bdd633c57400fdcd360538034b1216358f74120180c402841188e58' +
    '57603d06f1044c343598cd098b17835798e21d3dad0a62d31fa8723852d5584dd454cd14180fc3b291d6eed3fdf7fe23' +
    '4bb7da54a5b5d63e9f5b67d7f6d3da0ffb5d957f571d4b08',
  'hex',
);
const version1Source = 'def größe(a):\r\n    return a + 1  # x\r\n';

test('version 1 is read', async () => {
  assert.deepEqual(decodeTree(version1), await treeOf(version1Source, 'python'));
  const size = Buffer.byteLength(version1Source);
  assert.equal(sourceIn(version1, size).toString(), version1Source);
  assert.throws(() => sourceIn(version1, 10_000), TreeFormatError);
});

test('damage to version 1 is refused or gives a well-formed tree', () => {
  for (let at = 0; at < version1.length; at++) {
    assert.throws(() => decodeTree(version1.subarray(0, at)), TreeFormatError);
    for (const mask of [0x01, 0x80, 0xff]) {
      const damaged = Buffer.from(version1);
      damaged[at] = (damaged[at] ?? 0) ^ mask;
      isRefused(damaged);
    }
  }
  const head = Buffer.from('CKST\u0001');
  const bomb = deflateSync(Buffer.alloc(20_000_000));
  const lengths = new ByteWriter();
  lengths.varint(100);
  lengths.blob(bomb);
  assert.throws(() => decodeTree(Buffer.concat([head, lengths.written()])), TreeFormatError);
});

test('nested 50,000 deep it survives storing', async () => {
  const bytes = Buffer.from('['.repeat(50_000));
  const tree = await treeOf(bytes, 'json');
  assert.ok(render(decodeTree(encodeTree(tree))).equals(bytes));
});
