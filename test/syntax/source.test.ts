import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeSource, encodeSource } from '#src/syntax/source.js';
import { oddContents } from './fixtures.js';

test('any bytes come back exactly', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (array) => {
      const bytes = Buffer.from(array);
      const source = decodeSource(bytes);
      assert.deepEqual(encodeSource(source.text, source.encoding), bytes);
    }),
    { numRuns: 1_000 },
  );
});

test('odd contents come back exactly', () => {
  for (const [name, bytes] of Object.entries(oddContents)) {
    const source = decodeSource(bytes);
    assert.deepEqual(encodeSource(source.text, source.encoding), bytes, name);
  }
});

test('valid UTF-8 is read as such, with its byte order mark', () => {
  assert.deepEqual(decodeSource(Buffer.from('\uFEFF\u00e9')), {
    encoding: 'utf8',
    text: '\uFEFF\u00e9',
    binary: false,
  });
});

test('invalid UTF-8 is read as latin1', () => {
  assert.deepEqual(decodeSource(Buffer.from([0x61, 0xe9])), {
    encoding: 'latin1',
    text: 'a\u00e9',
    binary: false,
  });
});

test('an encoded surrogate is not valid UTF-8', () => {
  assert.equal(decodeSource(Buffer.from([0xed, 0xa0, 0x80])).encoding, 'latin1');
});

test('a NUL within the first 8,000 bytes makes a file binary, a later one does not', () => {
  const early = Buffer.alloc(9_000, 'a');
  early[7_999] = 0;
  const late = Buffer.alloc(9_000, 'a');
  late[8_000] = 0;
  assert.equal(decodeSource(early).binary, true);
  assert.equal(decodeSource(late).binary, false);
});
