import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { crc32, deflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import { decodeDelta, encodeDelta, isDelta } from '#src/syntax/source-delta.js';
import { TreeFormatError } from '#src/syntax/tree-codec.js';

/** A source of many windows. */
const large = readFileSync('package-lock.json').subarray(0, 120_000);

/** An edit: at a share of the source, so many bytes are replaced. */
const edits = fc.array(
  fc.record({ at: fc.nat(1_000), removed: fc.nat(40), added: fc.uint8Array({ maxLength: 60 }) }),
  { maxLength: 12 },
);

function edited(
  base: Buffer,
  changes: readonly { at: number; removed: number; added: Uint8Array }[],
): Buffer {
  let source = base;
  for (const { at, removed, added } of changes) {
    const from = Math.floor((source.length * at) / 1_000);
    source = Buffer.concat([source.subarray(0, from), added, source.subarray(from + removed)]);
  }
  return source;
}

test('any source comes back from its difference to any other, byte by byte', () => {
  const sources = fc.oneof(
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    fc.string({ unit: 'grapheme', maxLength: 200 }).map((text) => Buffer.from(text)),
    edits.map((changes) => edited(large, changes)),
    fc.constantFrom(Buffer.alloc(0), Buffer.alloc(100_000), large, large.subarray(0, 70_000)),
  );
  fc.assert(
    fc.property(sources, sources, (source, base) => {
      const delta = encodeDelta(source, base);
      assert.ok(isDelta(delta));
      assert.ok(decodeDelta(delta, base, source.length).equals(source));
    }),
    { numRuns: 300 },
  );
});

test('what was edited takes about as much as its edits', () => {
  fc.assert(
    fc.property(edits, (changes) => {
      const source = edited(large, changes);
      const added = changes.reduce((sum, { added: bytes }) => sum + bytes.length, 0);
      const whole = deflateRawSync(source).length;
      const { length } = encodeDelta(source, large);
      assert.ok(length < whole / 4 + added, `${length} of ${whole} bytes for ${changes.length} edits`);
    }),
    { numRuns: 100 },
  );
});

test('a damaged difference is refused, never taken for another source', () => {
  const source = edited(large, [{ at: 500, removed: 10, added: Buffer.from('something else') }]);
  const delta = encodeDelta(source, large);
  fc.assert(
    fc.property(fc.nat(delta.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const damaged = Buffer.from(delta);
      damaged[at] = (damaged[at] ?? 0) ^ flip;
      assert.ok(!isDelta(damaged));
      assert.throws(() => decodeDelta(damaged, large, source.length), TreeFormatError);
      assert.ok(!isDelta(delta.subarray(0, at)));
    }),
  );
});

test('forged lengths end in a format error, whatever the checksum says', () => {
  const base = Buffer.from('a base of some bytes');
  const delta = encodeDelta(Buffer.from('a base of other bytes'), base);
  const forged = (change: (bytes: Buffer) => void): Buffer => {
    const bytes = Buffer.from(delta);
    change(bytes);
    bytes.writeUInt32LE(crc32(bytes.subarray(0, -4)), bytes.length - 4);
    return bytes;
  };
  for (let at = 4; at < delta.length - 4; at += 1)
    for (const value of [0, 1, 0x7f, 0x80, 0xff]) {
      const bytes = forged((given) => (given[at] = value));
      try {
        decodeDelta(bytes, base, 21);
      } catch (error) {
        assert.ok(error instanceof TreeFormatError, String(error));
      }
    }
  assert.throws(() => decodeDelta(delta, Buffer.alloc(0), 21), TreeFormatError);
  assert.throws(() => decodeDelta(delta, base, 20), TreeFormatError);
});
