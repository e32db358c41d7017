import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { exchange, outcome, request, startService } from './service.js';

/** Lines that are no JSON, or no request: none of them can swallow the line after it. */
const badLine = fc.oneof(
  fc.constantFrom(
    '{',
    '}',
    ']',
    '{"a" 1}',
    '{"a":"b',
    '[1 2]',
    'null',
    '17',
    '"x"',
    'tru',
    '{"method":1}',
    '{}{',
    ',',
  ),
  fc.string({ maxLength: 30 }).map((noise) => `x${noise.replaceAll('\n', ' ')}`),
);

test('whatever stands between them, every request with an id gets exactly one reply', async (t) => {
  const { socket, defects } = await startService(t);
  const property = fc.asyncProperty(
    fc.array(fc.oneof(badLine, fc.constant(null)), { minLength: 1, maxLength: 20 }),
    fc.nat(),
    async (script, cutSeed) => {
      let id = 0;
      const lines = script.map((line) => line ?? request((id += 1), 'get_data'));
      const bytes = Buffer.from(`${lines.join('\n')}\n${request('last', 'get_data')}`);
      const cut = cutSeed % bytes.length;
      const replies = await exchange(socket, bytes.subarray(0, cut), bytes.subarray(cut));
      const answered = replies.map(outcome).filter((reply) => Array.isArray(reply) && reply[0] !== null);
      const expected = [...Array.from({ length: id }, (_, index) => [index + 1, 'ok']), ['last', 'ok']];
      assert.deepEqual(
        new Set(answered.map((reply) => JSON.stringify(reply))),
        new Set(expected.map((reply) => JSON.stringify(reply))),
      );
      assert.equal(answered.length, expected.length);
    },
  );
  await fc.assert(property, { numRuns: 60 });
  assert.deepEqual(defects, []);
});

test('any bytes at all: the server lives', async (t) => {
  const { socket } = await startService(t);
  const property = fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (noise) => {
    await exchange(socket, Buffer.from(noise));
    assert.deepEqual((await exchange(socket, request(1, 'get_data'))).map(outcome), [[1, 'ok']]);
  });
  await fc.assert(property, { numRuns: 60 });
});
