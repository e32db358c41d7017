import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CodekeepError, connect } from '#src/rpc/client/client.js';
import { waitFor, within } from '../../harness/waiting.js';
import { checkedReply, exchange, outcome, RawClient, request, startService } from '../service.js';

const cancel = (id: unknown): string => request(undefined, '$/cancelRequest', { id });

test('a cancelled request is answered with CANCELLED, once; the others go on', async (t) => {
  const { socket, calls, defects, gate } = await startService(t);
  const client = new RawClient(socket);
  client.send(`${request(1, 'hold')}\n${request(2, 'hold')}\n${request('1', 'hold')}\n`);
  client.send(`${cancel(1)}\n`);
  const [reply] = await client.lines(1);
  assert.deepEqual(outcome(reply), [1, -32012]);
  assert.equal(checkedReply(reply).error?.data['code'], 'CANCELLED');
  gate.open();
  client.socket.end();
  assert.deepEqual((await client.closed()).map(outcome), [
    [1, -32012],
    [2, 'ok'],
    ['1', 'ok'],
  ]);
  assert.deepEqual([calls, defects], [['cancelled'], []]);
});

test('ids that are not pending are passed over: unknown, answered, of another connection, none at all', async (t) => {
  const { socket, gate, held } = await startService(t);
  const other = new RawClient(socket);
  other.send(`${request(7, 'hold')}\n`);
  await held.opened;
  const nonsense = [cancel(7), cancel(null), cancel({}), request(undefined, '$/cancelRequest')];
  const sent = [request(1, 'get_data'), cancel(1), ...nonsense, request(null, 'get_data'), cancel(null)];
  assert.deepEqual((await exchange(socket, sent.join('\n'))).map(outcome), [
    [1, 'ok'],
    [null, 'ok'],
  ]);
  gate.open();
  assert.deepEqual((await other.lines(1)).map(outcome), [[7, 'ok']]);
  other.socket.end();
});

test('work that is not to be left half done ends with its result', async (t) => {
  const { socket, calls, gate } = await startService(t);
  const client = new RawClient(socket);
  client.send(`${request(1, 'gate')}\n`);
  await waitFor('the call has begun', () => calls.includes('gate'));
  client.send(`${cancel(1)}\n${request(2, 'get_data')}\n`);
  assert.deepEqual((await client.lines(1)).map(outcome), [[2, 'ok']]);
  gate.open();
  assert.deepEqual((await client.lines(2)).map(outcome), [
    [2, 'ok'],
    [1, 'ok'],
  ]);
  client.socket.end();
});

test('one request of a batch can be cancelled; its batch still has every reply', async (t) => {
  const { socket, held } = await startService(t);
  const client = new RawClient(socket);
  client.send(`[${request(1, 'hold')},${request(2, 'get_data')}]\n`);
  await held.opened;
  client.send(`${cancel(1)}\n`);
  assert.deepEqual((await client.lines(1)).map(outcome), [
    [
      [1, -32012],
      [2, 'ok'],
    ],
  ]);
  client.socket.end();
});

test('a request by that name is none: it is a notification', async (t) => {
  const { socket } = await startService(t);
  assert.deepEqual((await exchange(socket, request(3, '$/cancelRequest', { id: 1 }))).map(outcome), [
    [3, -32601],
  ]);
});

test('a client that goes away has not asked for the end of the work', async (t) => {
  const { socket, held, aborted, calls, defects } = await startService(t);
  const client = new RawClient(socket);
  client.send(request(1, 'hold'));
  await held.opened;
  client.socket.destroy();
  await aborted.opened;
  assert.deepEqual([calls, defects], [['gone'], []]);
});

test("the client's AbortSignal reaches the handler, and rejects at once", async (t) => {
  const { socket, held, aborted, calls } = await startService(t);
  const client = await connect({ socket });
  const abort = new AbortController();
  const call = client.callAny('hold', {}, { signal: abort.signal });
  await held.opened;
  abort.abort();
  await assert.rejects(call, (error) => error instanceof CodekeepError && error.code === 'CANCELLED');
  await aborted.opened;
  assert.deepEqual(calls, ['cancelled']);
  assert.deepEqual(await client.callAny('get_data'), ['hello', 5]);
  client.close();
});

test('at the pending limit a cancellation is still read, and makes room', async (t) => {
  const { socket, calls } = await startService(t, { maxPendingRequests: 2 });
  const client = new RawClient(socket);
  client.send(`${[1, 2, 3, 4].map((id) => request(id, 'hold')).join('\n')}\n`);
  for (const [index, id] of [1, 2, 3, 4].entries()) {
    client.send(`${cancel(id)}\n`);
    const replies = await within(`the end of ${id}`, client.lines(index + 1));
    assert.deepEqual(outcome(replies.at(-1)), [id, -32012]);
  }
  assert.deepEqual(calls, ['cancelled', 'cancelled', 'cancelled', 'cancelled']);
  client.socket.end();
});

test('a request that waits for room is cancelled without being begun', async (t) => {
  const { socket, calls, gate } = await startService(t, { maxPendingRequests: 1 });
  const client = new RawClient(socket);
  client.send(`${request(1, 'gate')}\n${request(2, 'gate')}\n${request(3, 'gate')}\n${cancel(2)}\n`);
  assert.deepEqual((await within('its reply', client.lines(1))).map(outcome), [[2, -32012]]);
  gate.open();
  assert.deepEqual((await client.lines(3)).slice(1).map(outcome), [
    [1, 'ok'],
    [3, 'ok'],
  ]);
  assert.deepEqual(calls, ['gate', 'gate']);
  client.socket.end();
});
