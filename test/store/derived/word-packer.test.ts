import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DerivedDamageError } from '#src/store/derived/damage.js';
import { chunkIdMax, GrowingBytes } from '#src/store/derived/postings-codec.js';
import { packWords, unpackWords } from '#src/store/derived/word-packer.js';
import { level, orDamage, word } from './any-words.js';

const words = fc.array(fc.tuple(word, level)).map((pairs) => new Map(pairs));

test('packed words are the words', () => {
  fc.assert(
    fc.property(fc.array(words), (chunks) => {
      assert.deepEqual(unpackWords(packWords(chunks)), chunks);
    }),
  );
});

test('packed words have a memory of their own, to be transferred', () => {
  const packed = packWords([new Map([['a', 1]])]);
  assert.equal(packed.buffer.byteLength, packed.length);
});

test('a level that is no byte or says nothing is refused', () => {
  for (const wrong of [0, 256, 1.5, Number.NaN])
    assert.throws(() => packWords([new Map([['a', wrong]])]), RangeError);
});

test('packed words that are cut off or changed are damaged, or words', () => {
  const packed = packWords([
    new Map([
      ['and', 3],
      ['\u4e2d', 200],
    ]),
    new Map([['and', 255]]),
  ]);
  for (let at = 0; at < packed.length; at++) {
    orDamage(() => unpackWords(packed.subarray(0, at)));
    for (let value = 0; value < 256; value++) {
      const changed = Buffer.from(packed);
      changed[at] = value;
      orDamage(() => unpackWords(changed));
    }
  }
  assert.throws(() => unpackWords(packed.subarray(0, -1)), DerivedDamageError);
  assert.throws(() => unpackWords(Buffer.alloc(0)), DerivedDamageError);
});

test('a document that declares more chunks than there can be is damaged', () => {
  const bytes = new GrowingBytes();
  bytes.varint(chunkIdMax);
  assert.throws(() => unpackWords(bytes.written()), DerivedDamageError);
});
