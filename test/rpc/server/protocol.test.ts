import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CodekeepError } from '#src/base/errors.js';
import { replyToFailure } from '#src/rpc/protocol.js';
import { editDistance, nearestName } from '#src/rpc/server/nearest.js';
import { checkedReply, exchange, exchangeText, outcome, request, startService } from '../service.js';

const invalid = (id: unknown): unknown => [id, -32600];

/** Section 7 of the JSON-RPC 2.0 specification: what is sent, and the reply's id with its result or code. */
const specification: [string, string, unknown[]][] = [
  ['positional', '{"jsonrpc":"2.0","method":"subtract","params":[42,23],"id":1}', [{ id: 1, result: 19 }]],
  ['positional', '{"jsonrpc":"2.0","method":"subtract","params":[23,42],"id":2}', [{ id: 2, result: -19 }]],
  [
    'named',
    '{"jsonrpc":"2.0","method":"subtract","params":{"subtrahend":23,"minuend":42},"id":3}',
    [{ id: 3, result: 19 }],
  ],
  [
    'named, the other way round',
    '{"jsonrpc":"2.0","method":"subtract","params":{"minuend":42,"subtrahend":23},"id":4}',
    [{ id: 4, result: 19 }],
  ],
  ['notification', '{"jsonrpc":"2.0","method":"update","params":[1,2,3,4,5]}', []],
  ['unknown notification', '{"jsonrpc":"2.0","method":"foobar"}', []],
  ['unknown method', '{"jsonrpc":"2.0","method":"foobar","id":"1"}', [['1', -32601]]],
  ['invalid JSON', '{"jsonrpc":"2.0","method":"foobar, "params":"bar","baz]', [[null, -32700]]],
  ['invalid request', '{"jsonrpc":"2.0","method":1,"params":"bar"}', [invalid(null)]],
  [
    'batch of invalid JSON',
    '[\n  {"jsonrpc":"2.0","method":"sum","params":[1,2,4],"id":"1"},\n  {"jsonrpc":"2.0","method"\n]',
    [[null, -32700]],
  ],
  ['empty batch', '[]', [invalid(null)]],
  ['invalid batch of one', '[1]', [[invalid(null)]]],
  ['invalid batch', '[1,2,3]', [[invalid(null), invalid(null), invalid(null)]]],
  [
    'mixed batch',
    `[{"jsonrpc":"2.0","method":"sum","params":[1,2,4],"id":"1"},
      {"jsonrpc":"2.0","method":"notify_hello","params":[7]},
      {"jsonrpc":"2.0","method":"subtract","params":[42,23],"id":"2"},
      {"foo":"boo"},
      {"jsonrpc":"2.0","method":"foo.get","params":{"name":"myself"},"id":"5"},
      {"jsonrpc":"2.0","method":"get_data","id":"9"}]`,
    [
      [
        { id: '1', result: 7 },
        { id: '2', result: 19 },
        invalid(null),
        ['5', -32601],
        { id: '9', result: ['hello', 5] },
      ],
    ],
  ],
  [
    'batch of notifications',
    '[{"jsonrpc":"2.0","method":"notify_sum","params":[1,2,4]},{"jsonrpc":"2.0","method":"notify_hello","params":[7]}]',
    [],
  ],
];

function shape(reply: unknown): unknown {
  if (Array.isArray(reply)) return reply.map(shape);
  const { id, error, result } = checkedReply(reply);
  return error === undefined ? { id, result } : outcome(reply);
}

test('the examples of the specification', async (t) => {
  const { socket, calls } = await startService(t);
  for (const [name, sent, expected] of specification) {
    await t.test(name, async () => assert.deepEqual((await exchange(socket, sent)).map(shape), expected));
  }
  assert.deepEqual(calls.toSorted(), ['notify_hello', 'notify_hello', 'notify_sum', 'update']);
});

test('what is no request is answered with -32600', async (t) => {
  const { socket } = await startService(t);
  const cases: [string, unknown][] = [
    ['null', invalid(null)],
    ['0', invalid(null)],
    ['""', invalid(null)],
    ['true', invalid(null)],
    ['[[]]', [invalid(null)]],
    ['{"jsonrpc":"2.0","id":{},"method":"get_data"}', invalid(null)],
    ['{"jsonrpc":"2.0","id":[1],"method":"get_data"}', invalid(null)],
    ['{"jsonrpc":"2.0","id":true,"method":"get_data"}', invalid(null)],
    ['{"jsonrpc":"2.0","id":12345678901234567890,"method":"get_data"}', invalid(null)],
    ['{"jsonrpc":"2.0","id":7,"method":["get_data"]}', invalid(7)],
    ['{"jsonrpc":"2.0","id":7}', invalid(7)],
    ['{"jsonrpc":"1.0","id":7,"method":"get_data"}', invalid(7)],
    ['{"id":7,"method":"get_data"}', invalid(7)],
    ['{"jsonrpc":"2.0","id":"a","method":"get_data","params":1}', invalid('a')],
    ['{"jsonrpc":"2.0","id":"a","method":"get_data","params":null}', invalid('a')],
    ['{"jsonrpc":"2.0","id":7,"result":1}', invalid(7)],
  ];
  for (const [sent, expected] of cases) {
    assert.deepEqual((await exchange(socket, sent)).map(outcome), [expected], sent);
  }
});

test("names that begin with rpc. are the protocol's own: unknown ones are -32601, and nothing is run", async (t) => {
  const { socket, calls } = await startService(t);
  const sent = ['rpc.', 'rpc.update', 'rpc.get_data'].map((name, id) => request(id, name));
  assert.deepEqual((await exchange(socket, sent.join('\n'))).map(outcome), [
    [0, -32601],
    [1, -32601],
    [2, -32601],
  ]);
  assert.deepEqual(calls, []);
});

test("every reply has the protocol's version, its id, and either a result or an error with an integer code", async (t) => {
  const { socket } = await startService(t);
  const sent = [
    request(1, 'get_data'),
    request(2, 'refuse'),
    request(3, 'break'),
    request(4, 'notify_hello', [1]),
    'null',
    '{',
  ];
  const replies = (await exchange(socket, sent.join('\n'))) as Record<string, unknown>[];
  assert.equal(replies.length, sent.length);
  for (const reply of replies) {
    const isError = 'error' in reply;
    assert.deepEqual(new Set(Object.keys(reply)), new Set(['jsonrpc', 'id', isError ? 'error' : 'result']));
    assert.equal(reply['jsonrpc'], '2.0');
    if (isError) {
      const { code, message } = reply['error'] as { code: unknown; message: unknown };
      assert.ok(Number.isInteger(code) && typeof message === 'string');
    }
  }
});

test('ids come back as they are: strings, numbers, fractions, null', async (t) => {
  const { socket } = await startService(t);
  for (const id of ['', 'x', 0, -1, 1.5, 2 ** 53 - 1, null]) {
    assert.deepEqual(await exchange(socket, request(id, 'get_data')), [
      { jsonrpc: '2.0', id, result: ['hello', 5] },
    ]);
  }
});

test('notifications are silent, whatever becomes of them', async (t) => {
  const { socket, defects } = await startService(t);
  const silent = ['break', 'refuse', 'no_such_method', 'echo'].map((method) => request(undefined, method));
  assert.equal(await exchangeText(socket, silent.join('\n')), '');
  assert.deepEqual(
    defects.map(([, where]) => where),
    ['break'],
  );
});

test('a batch is answered with an array in the order of its requests, also when it has one', async (t) => {
  const { socket } = await startService(t, { maxBatchConcurrency: 3 });
  const items = Array.from({ length: 50 }, (_, id) =>
    request(id, id % 7 === 3 ? 'nothing_like_it' : 'get_data'),
  );
  const [replies] = await exchange(socket, `[${items.join(',')}]`);
  assert.deepEqual(
    outcome(replies),
    items.map((_, id) => [id, id % 7 === 3 ? -32601 : 'ok']),
  );
  assert.deepEqual((await exchange(socket, `[${request(1, 'get_data')}]`)).map(outcome), [[[1, 'ok']]]);
});

test('wrong params are named one by one', async (t) => {
  const { socket } = await startService(t);
  const issuesOf = async (method: string, params: unknown): Promise<unknown> => {
    const [reply] = await exchange(socket, request(1, method, params));
    const { error } = checkedReply(reply);
    assert.equal(error?.code, -32602);
    assert.equal(error?.data['code'], 'INVALID_PARAMS');
    assert.match(error?.data.hint ?? '', new RegExp(`${method} takes `));
    const issues = error?.data['issues'];
    assert.ok(Array.isArray(issues));
    return issues.map((issue: { param: string; message: string }) => {
      assert.ok(issue.message.length > 0);
      return issue.param;
    });
  };
  assert.deepEqual(await issuesOf('echo', { text: 1, times: 0, more: 1, __proto__x: 2 }), [
    'text',
    'times',
    'more',
    '__proto__x',
  ]);
  assert.deepEqual(await issuesOf('echo', undefined), ['text']);
  assert.deepEqual(await issuesOf('echo', []), ['text']);
  assert.deepEqual(await issuesOf('subtract', [1, 2, 3]), ['[2]']);
  assert.deepEqual(await issuesOf('subtract', [null, 2]), ['minuend']);
  assert.deepEqual(await issuesOf('get_data', { a: 1 }), ['a']);
});

test('params by position follow the declaration; null leaves one out; defaults apply', async (t) => {
  const { socket } = await startService(t);
  const echoed = async (params: unknown): Promise<unknown> =>
    checkedReply((await exchange(socket, request(1, 'echo', params)))[0]).result;
  assert.equal(await echoed(['a']), 'a');
  assert.equal(await echoed(['a', '>', 3]), '>aaa');
  assert.equal(await echoed(['a', null, 2]), 'aa');
  assert.equal(await echoed({ times: 2, text: 'b' }), 'bb');
});

test('the errors of the program keep number, code, hint and details', async (t) => {
  const { socket, defects } = await startService(t);
  const [reply] = await exchange(socket, request(1, 'refuse'));
  assert.deepEqual(checkedReply(reply).error, {
    code: -32002,
    message: 'No file a.ts.',
    data: { path: 'a.ts', code: 'FILE_NOT_FOUND', hint: 'Give another path.' },
  });
  assert.deepEqual(defects, []);
});

test('a param that is far too long is not said back as a whole', () => {
  const message = (text: string): string =>
    replyToFailure(1, new CodekeepError('NOT_FOUND', text, 'Give another one.')).error.message;
  const path = 'x'.repeat(4_096);
  assert.equal(message(`There is no ${path} here.`), `There is no ${path} here.`);
  const short = message(`There is no ${'x'.repeat(300_000)} here.`);
  assert.ok(short.length < 5_010 && short.startsWith('There is no x') && short.endsWith('x here.'));
});

test('a defect shows nothing of the inside, and is reported', async (t) => {
  const { socket, defects } = await startService(t);
  for (const method of ['break', 'cycle']) {
    const text = await exchangeText(socket, request(1, method));
    const { error } = checkedReply(JSON.parse(text));
    assert.deepEqual([error?.code, error?.message], [-32603, 'Internal error']);
    assert.match(error?.data.hint ?? '', /supervisor log/);
    assert.doesNotMatch(text, /secret|circular/);
  }
  assert.deepEqual(
    defects.map(([error, where]) => [error instanceof TypeError, where]),
    [
      [true, 'break'],
      [true, 'cycle'],
    ],
  );
});

test('an unknown method hints at the nearest one, or at rpc.discover', async (t) => {
  const { socket } = await startService(t);
  const hint = async (method: string): Promise<string> =>
    checkedReply((await exchange(socket, request(1, method)))[0]).error?.data.hint ?? '';
  assert.match(await hint('helth'), /"health"/);
  assert.match(await hint('List_Job'), /"list_jobs"/);
  assert.match(await hint('toString'), /rpc\.discover/);
  assert.match(await hint('x'.repeat(100_000)), /rpc\.discover/);
});

test('nearestName and editDistance', () => {
  assert.equal(editDistance('kitten', 'sitting'), 3);
  assert.equal(editDistance('', 'abc'), 3);
  assert.equal(nearestName('serch', ['health', 'search']), 'search');
  assert.equal(nearestName('zzzzz', ['health', 'search']), null);
  fc.assert(fc.property(fc.string(), fc.string(), (a, b) => editDistance(a, b) === editDistance(b, a)));
});
