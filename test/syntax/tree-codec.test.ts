import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deflateSync, inflateSync } from 'node:zlib';
import fc from 'fast-check';
import { oneTokenTree, render } from '#src/syntax/green-tree.js';
import { languages } from '#src/syntax/language.js';
import { decodeSource } from '#src/syntax/source.js';
import { TreeFormatError, decodeTree, encodeTree } from '#src/syntax/tree-codec.js';
import { oddContents, treeOf } from './fixtures.js';

const example = `class A {\n  m(a) { return [a, 1, "x"]; } // c\n}\n`;

/** A stored tree with this payload, as the codec frames it. */
function framed(payload: Buffer, declaredLength = payload.length): Buffer {
  const compressed = deflateSync(payload);
  return Buffer.concat([
    Buffer.from('CKST\u0001'),
    varint(declaredLength),
    varint(compressed.length),
    compressed,
  ]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 0x80) return Buffer.from([...bytes, rest]);
    bytes.push((rest & 0x7f) | 0x80);
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

test('a flipped byte is refused or gives a well-formed tree', async () => {
  const stored = encodeTree(await treeOf(example, 'typescript'));
  for (let at = 0; at < stored.length; at++) {
    for (const mask of [0x01, 0x80, 0xff]) {
      const damaged = Buffer.from(stored);
      damaged[at] = (damaged[at] ?? 0) ^ mask;
      try {
        render(decodeTree(damaged));
      } catch (error) {
        assert.ok(error instanceof TreeFormatError, String(error));
      }
    }
  }
});

test('a flipped byte under a valid checksum is refused or gives a tree whose tokens are its text', async () => {
  const tree = await treeOf(example, 'typescript');
  const payload = payloadOf(encodeTree(tree));
  let refused = 0;
  for (let at = 0; at < payload.length; at++) {
    for (const mask of [0x01, 0x04, 0x7f, 0x80, 0xff]) {
      const damaged = Buffer.from(payload);
      damaged[at] = (damaged[at] ?? 0) ^ mask;
      try {
        const decoded = decodeTree(framed(damaged));
        assert.equal(render(decoded).toString(decoded.encoding), decoded.text);
      } catch (error) {
        assert.ok(error instanceof TreeFormatError, String(error));
        refused++;
      }
    }
  }
  assert.ok(refused > payload.length, `only ${refused} refused`);
});

function payloadOf(stored: Buffer): Buffer {
  // Found by trying, because the two lengths before the compressed bytes vary in length.
  for (let skip = 5; ; skip++) {
    if (stored[skip] === 0x78) return inflateSync(stored.subarray(skip));
  }
}

test('a stored tree of a language that is not known any more renders, as one token', async () => {
  const payload = payloadOf(encodeTree(await treeOf(example, 'typescript')));
  const at = payload.indexOf('typescript');
  payload.write('telescript', at, 'latin1');
  const tree = decodeTree(framed(payload));
  assert.deepEqual(tree, oneTokenTree(decodeSource(Buffer.from(example)), 'no_grammar'));
});

test('a reason of a later version is a reason', () => {
  const payload = payloadOf(encodeTree(oneTokenTree(decodeSource(Buffer.from(example)), 'timeout')));
  payload[2] = 200;
  const tree = decodeTree(framed(payload));
  assert.equal(tree.fallback, 'unknown');
  assert.equal(render(tree).toString(), example);
});

test('every truncation is refused', async () => {
  const stored = encodeTree(await treeOf(example, 'python'));
  for (let length = 0; length < stored.length; length++) {
    assert.throws(() => decodeTree(stored.subarray(0, length)), TreeFormatError, `length ${length}`);
  }
  const payload = payloadOf(stored);
  for (let length = 0; length < payload.length; length++) {
    assert.throws(
      () => decodeTree(framed(payload.subarray(0, length))),
      TreeFormatError,
      `payload ${length}`,
    );
  }
});

test('bytes after the end are refused', async () => {
  const stored = encodeTree(await treeOf(example, 'python'));
  assert.throws(() => decodeTree(Buffer.concat([stored, Buffer.from([0])])), TreeFormatError);
  assert.throws(
    () => decodeTree(framed(Buffer.concat([payloadOf(stored), Buffer.from([0])]))),
    TreeFormatError,
  );
});

test('any bytes are refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (array) => {
      assert.throws(() => decodeTree(Buffer.from(array)), TreeFormatError);
      assert.throws(
        () => decodeTree(Buffer.concat([Buffer.from('CKST\u0001'), Buffer.from(array)])),
        TreeFormatError,
      );
      assert.throws(
        () => decodeTree(framed(Buffer.concat([Buffer.from([9]), Buffer.from(array)]))),
        TreeFormatError,
      );
    }),
  );
});

test('an unknown version is refused by its number', async () => {
  const stored = encodeTree(await treeOf('', null));
  stored[4] = 2;
  assert.throws(() => decodeTree(stored), /unknown format version 2/);
});

test('a compressed bomb is refused before it is unpacked', () => {
  const bomb = Buffer.alloc(20_000_000);
  assert.throws(() => decodeTree(framed(bomb, 100)), TreeFormatError);
  assert.throws(() => decodeTree(framed(Buffer.alloc(10), 200_000_000)), /too large/);
});

test('nested 50,000 deep it survives storing', async () => {
  const bytes = Buffer.from('['.repeat(50_000));
  const tree = await treeOf(bytes, 'json');
  assert.ok(render(decodeTree(encodeTree(tree))).equals(bytes));
});
