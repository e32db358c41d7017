import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeFrame, type Frame, type FrameLimits } from '#src/rpc/framing/frame.js';
import { MessageReader } from '#src/rpc/framing/message-reader.js';

const limits: FrameLimits = { maxMessageBytes: 1000, maxDepth: 20, maxBatchItems: 30, maxValues: 60 };

function read(pieces: Buffer[], bounds = limits): Frame[] {
  const reader = new MessageReader(bounds);
  return [...pieces.flatMap((piece) => reader.push(piece)), ...reader.end()];
}

/** Values of messages, names of problems. */
function gist(frames: Frame[]): unknown[] {
  return frames.map((frame) => (frame.kind === 'message' ? frame.value : `! ${frame.problem}`));
}

function readText(text: string, bounds = limits): unknown[] {
  return gist(read([Buffer.from(text)], bounds));
}

const stream = `{"a":"ä€😀 \\" } ] \\\\"}{"b":[1,{}]}[]
[
  {"id": 1, "text": "über\\u00fc"},
  2, null
]
{
  "pretty": {
    "x": [ ]
  }
}1 "x"null  -1.5e3
{not json} {"lost":1}
{"cut":
{"after": true}
  true`;

const headers = 'Content-Length: 14\r\n\r\n{"a":"ä€x"}\r\ncontent-length:2\r\nX: y\r\n\r\n[]';

const bareHeaders = 'Content-Length: 14\n\n{"a":"ä€x"}\ncontent-length:2\nX: y\r\n\n[]\n\n';

test('headers whose lines end with a bare LF are read like others, with blank lines between messages', () => {
  assert.deepEqual(readText(bareHeaders), [{ a: 'ä€x' }, []]);
});

for (const [name, text] of Object.entries({ stream, headers, bareHeaders })) {
  test(`${name}: the same frames wherever the bytes are cut`, () => {
    const bytes = Buffer.from(text);
    const whole = read([bytes]);
    assert.ok(whole.length > 1);
    for (let cut = 0; cut <= bytes.length; cut += 1) {
      assert.deepEqual(read([bytes.subarray(0, cut), bytes.subarray(cut)]), whole, `cut at ${cut}`);
    }
    assert.deepEqual(read([...bytes].map((byte) => Buffer.from([byte]))), whole);
  });
}

const good = '{"good":1}';
const texts: [string, string, unknown[]][] = [
  ['nothing', ' \r\n\t\n', []],
  ['one per line', '{}\n[]\r\n{}', [{}, [], {}]],
  ['concatenated', '{}{}[]{}', [{}, {}, [], {}]],
  ['bare scalars', '1 "x"null true', [1, 'x', null, true]],
  ['a number at the end of input', '12', [12]],
  ['a broken line, then a good one', `{"a": b, "c"\n${good}`, ['! not_json', { good: 1 }]],
  ['words', `hello world, this is no JSON\n${good}`, ['! not_json', { good: 1 }]],
  ['a word that begins like one of JSON', `nothing here\n${good}`, ['! not_json', { good: 1 }]],
  ['a line that is cut off after a value', `{"a":1\n${good}`, ['! not_json', { good: 1 }]],
  ['a line that is cut off inside a string', `{"a":"b\n${good}`, ['! not_json', { good: 1 }]],
  ['wrong bracket', `{"a":[1}]\n${good}`, ['! not_json', { good: 1 }]],
  ['a wrong word in balanced brackets', `{"a":tru}${good}`, ['! not_json', { good: 1 }]],
  ['a bad escape', `{"a":"\\q"}\n${good}`, ['! not_json', { good: 1 }]],
  [
    'a broken text of several lines',
    `{\n  "a" 1,\n  "b": [\n    2\n  ]\n}\n${good}`,
    ['! not_json', { good: 1 }],
  ],
  ['a broken batch', '[\n  {"a":1},\n  {"b"\n]', ['! not_json']],
  ['cut off', '{"a":[1,', ['! not_json']],
  ['cut off in a string', '"abc', ['! not_json']],
  ['two broken lines', `}\n]\n${good}`, ['! not_json', '! not_json', { good: 1 }]],
  ['not headers after all', `Contents\n${good}`, ['! not_json', { good: 1 }]],
  ['a beginning of headers only', 'Cont', ['! not_json']],
];
for (const [name, text, expected] of texts) {
  test(`stream: ${name}`, () => assert.deepEqual(readText(text), expected));
}

test('bytes that are not UTF-8 are refused and not replaced', () => {
  const bytes = Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xff, 0xc3]), Buffer.from(`"}\n${good}`)]);
  assert.deepEqual(gist(read([bytes])), ['! not_json', { good: 1 }]);
});

test('a message that is too long costs one error, whole or in pieces, and the next one is read', () => {
  const long = Buffer.from(`{"a":"${'x'.repeat(5000)}"}${good}`);
  const expected = ['! too_large', { good: 1 }];
  assert.deepEqual(gist(read([long])), expected);
  assert.deepEqual(gist(read([...long].map((byte) => Buffer.from([byte])))), expected);
  assert.deepEqual(gist(read([long.subarray(0, 3000)])), ['! too_large']);
});

test('a message of exactly the limit is read', () => {
  const text = JSON.stringify('x'.repeat(limits.maxMessageBytes - 2));
  assert.deepEqual(readText(text), [JSON.parse(text)]);
  assert.deepEqual(readText(`${text.slice(0, -1)}x"`), ['! too_large']);
});

test('nesting beyond the limit costs one error, and the next message is read', () => {
  const nested = (depth: number): string => `${'['.repeat(depth)}"]"${']'.repeat(depth)}`;
  assert.deepEqual(readText(`${nested(21)}${good}`), ['! too_deep', { good: 1 }]);
  assert.deepEqual(readText(`${nested(400)}\n${good}`), ['! too_deep', { good: 1 }]);
  assert.equal(readText(nested(20)).length, 1);
  assert.deepEqual(readText(`Content-Length: 45\r\n\r\n${nested(21)}`), ['! too_deep']);
});

test('too many items or values cost one error without being parsed, and the next message is read', () => {
  const items = (count: number): string => `[${Array.from({ length: count }, () => '1').join(', ')}]`;
  assert.deepEqual(readText(`${items(30)}${good}`), [Array.from({ length: 30 }, () => 1), { good: 1 }]);
  assert.deepEqual(readText(`${items(31)}${good}`), ['! too_many', { good: 1 }]);
  const members = (count: number): string => `{"a":{"b":${items(count)}}}`;
  assert.equal(gist(read([Buffer.from(members(57))]))[0] instanceof Object, true);
  assert.deepEqual(readText(`${members(58)}${good}`), ['! too_many', { good: 1 }]);
  assert.deepEqual(readText(`{"a":[{}, "[1,2]", ${items(40)}]}`).length, 1, 'only a batch has items');
});

const withHeader = (body: string): string => encodeFrame(body, 'content_length');
const framed: [string, string, unknown[]][] = [
  ['a wrong body costs one error', withHeader('{oops') + withHeader('{}'), ['! not_json', {}]],
  ['two texts in one body', withHeader('{}{}') + withHeader('[]'), ['! not_json', []]],
  ['an empty body', withHeader('') + withHeader('[]'), ['! not_json', []]],
  [
    'a body that is too long is skipped',
    withHeader('x'.repeat(2000)) + withHeader('[]'),
    ['! too_large', []],
  ],
  ['a body that is cut off', withHeader('{"a":1}').slice(0, -1), ['! not_json']],
  ['no length', `Content-Type: x\r\n\r\n{}${withHeader('{}')}`, ['! bad_header']],
  ['a length that is no number', 'Content-Length: -1\r\n\r\n{}', ['! bad_header']],
  ['two lengths', 'Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}', ['! bad_header']],
  ['an endless header', `Content-Length: 2\r\n${'X: y\r\n'.repeat(5000)}`, ['! bad_header']],
];
for (const [name, text, expected] of framed) {
  test(`content-length: ${name}`, () => {
    assert.deepEqual(readText(text), expected);
    assert.deepEqual(gist(read([...Buffer.from(text)].map((byte) => Buffer.from([byte])))), expected);
  });
}

test('any JSON values, printed any way and cut anywhere, are read as they are', () => {
  const printed = fc.tuple(fc.jsonValue({ maxDepth: 4 }), fc.constantFrom(undefined, 1, 2, '\t'));
  fc.assert(
    fc.property(
      fc.array(printed, { maxLength: 6 }),
      fc.array(fc.nat(400), { maxLength: 6 }),
      (values, cuts) => {
        const bytes = Buffer.from(
          values.map(([value, indent]) => JSON.stringify(value, null, indent)).join('\n'),
        );
        const edges = [
          0,
          ...cuts.filter((cut) => cut < bytes.length).toSorted((a, b) => a - b),
          bytes.length,
        ];
        const pieces = edges.slice(1).map((edge, index) => bytes.subarray(edges[index], edge));
        const expected = values.map(([value]): unknown => JSON.parse(JSON.stringify(value)));
        assert.deepEqual(
          gist(
            read(pieces, {
              ...limits,
              maxMessageBytes: 1e6,
              maxDepth: 100,
              maxBatchItems: 1e3,
              maxValues: 1e4,
            }),
          ),
          expected,
        );
      },
    ),
  );
});

test('any bytes: never a throw, and a good line after them is read at the latest after one line', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (noise) => {
      const frames = gist(
        read([Buffer.from('x'), Buffer.from(noise), Buffer.from(`\n\n${good}\n${good}\n`)]),
      );
      assert.deepEqual(frames.at(-1), { good: 1 });
    }),
  );
});

test('partial: only while something is begun', () => {
  const reader = new MessageReader(limits);
  const after = (text: string): boolean => {
    reader.push(Buffer.from(text));
    return reader.isPartial;
  };
  assert.equal(reader.isPartial, false);
  assert.deepEqual(
    [
      after('{"a"'),
      after(':1}'),
      after('\n'),
      after('garbage'),
      after('\n'),
      after('{\n "a" "b"'),
      after('\n'),
    ],
    [true, false, false, true, false, true, false],
  );
});
