import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { CodekeepError } from '#src/base/errors.js';
import { connect, ConnectionLostError, RpcError, UnreachableError } from '#src/rpc/client/client.js';
import { startService, temporaryFolder } from '../service.js';

/** A server that does with its one client what the test says. */
async function startPeer(t: TestContext, serve: (socket: Socket) => void): Promise<string> {
  const path = join(await temporaryFolder(t), 'peer.sock');
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    serve(socket);
  }).listen(path);
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return path;
}

const hasCode =
  (code: string) =>
  (error: unknown): boolean =>
    error instanceof CodekeepError && error.code === code;

test('call gives the result, many at the same time each its own', async (t) => {
  const { socket } = await startService(t);
  const client = await connect({ socket });
  assert.equal((await client.call('health')).status, 'ok');
  const sums = await Promise.all([1, 2, 3].map((a) => client.callAny('sum', [a, 0, 0])));
  assert.deepEqual(sums, [1, 2, 3]);
  client.close();
});

test('errors keep their code, hint and details', async (t) => {
  const { socket } = await startService(t);
  const client = await connect({ socket });
  await assert.rejects(client.callAny('refuse'), (error) => {
    assert.ok(error instanceof CodekeepError);
    assert.deepEqual(error.toShape(), {
      code: 'FILE_NOT_FOUND',
      message: 'No file a.ts.',
      hint: 'Give another path.',
      details: { path: 'a.ts' },
    });
    return true;
  });
  await assert.rejects(client.callAny('echo', { text: 1 }), hasCode('INVALID_PARAMS'));
  await assert.rejects(client.callAny('helth'), (error) => {
    assert.ok(error instanceof RpcError);
    assert.equal(error.number, -32601);
    assert.match(error.hint, /health/);
    return true;
  });
  client.close();
});

test('nobody there: UnreachableError names the socket and what to do', async (t) => {
  const socket = join(await temporaryFolder(t), 'none.sock');
  await assert.rejects(connect({ socket }), (error) => {
    assert.ok(error instanceof UnreachableError);
    assert.ok(error.message.includes(socket));
    assert.match(error.hint, /codekeep serve/);
    return true;
  });
});

test('a connection that ends rejects every pending call, and those after it', async (t) => {
  const socket = await startPeer(t, (peer) => peer.on('data', () => peer.destroy()));
  const client = await connect({ socket });
  const calls = [client.call('health'), client.callAny('x'), client.callAny('y')];
  for (const outcome of await Promise.allSettled(calls)) {
    assert.ok(outcome.status === 'rejected' && outcome.reason instanceof ConnectionLostError);
  }
  await assert.rejects(client.callAny('z'), ConnectionLostError);
});

test('close rejects what is pending', async (t) => {
  const { socket } = await startService(t);
  const client = await connect({ socket });
  const pending = client.callAny('gate');
  client.close();
  await assert.rejects(pending, ConnectionLostError);
});

test('timeouts and signals end the waiting and nothing else; a late reply is let go', async (t) => {
  const { socket, gate } = await startService(t);
  const client = await connect({ socket });
  const abort = new AbortController();
  const cancelled = client.callAny('gate', {}, { signal: abort.signal });
  const late = client.callAny('gate', {}, { timeoutMs: 20 });
  const patient = client.callAny('gate', {});
  abort.abort();
  await assert.rejects(cancelled, hasCode('CANCELLED'));
  await assert.rejects(late, hasCode('TIMEOUT'));
  await assert.rejects(client.callAny('gate', {}, { signal: AbortSignal.abort() }), hasCode('CANCELLED'));
  gate.open();
  assert.equal(await patient, 'opened');
  client.close();
});

test('notifications reach the listeners until they are taken away', async (t) => {
  const { socket } = await startService(t);
  const client = await connect({ socket });
  const events: unknown[] = [];
  const stop = client.onNotification((method, params) => events.push([method, params]));
  await client.callAny('announce');
  stop();
  await client.callAny('announce');
  assert.deepEqual(events, [['event', { topic: 'job', connection: 1 }]]);
  client.close();
});

test('an error without an id ends the connection with that error', async (t) => {
  const { socket } = await startService(t, { maxMessageBytes: 100 });
  const client = await connect({ socket });
  await assert.rejects(client.callAny('echo', { text: 'x'.repeat(200) }), hasCode('LIMIT_EXCEEDED'));
});

test('a result that is not what the contract says is an error; unknown fields are kept', async (t) => {
  const answers = [{ jobs: 1 }, { jobs: [], more: 2 }];
  const socket = await startPeer(t, (peer) =>
    peer.on('data', () => {
      const result = answers.shift();
      peer.write(`${JSON.stringify({ jsonrpc: '2.0', id: 2 - answers.length, result })}\n`);
    }),
  );
  const client = await connect({ socket });
  await assert.rejects(client.call('list_jobs'), /list_jobs is not what the contract says \(jobs/);
  assert.deepEqual(await client.call('list_jobs'), { jobs: [], more: 2 });
  client.close();
});

test('a peer that does not speak JSON-RPC ends the connection', async (t) => {
  const socket = await startPeer(t, (peer) => peer.on('data', () => peer.write('HTTP/1.1 400\r\n')));
  const client = await connect({ socket });
  await assert.rejects(client.call('health'), ConnectionLostError);
});

test('a call takes as long as it takes while the supervisor answers others', async (t) => {
  let waiting: Socket | null = null;
  let looks = 0;
  const socket = await startPeer(t, (peer) =>
    peer.on('data', (data) => {
      const { id, method } = JSON.parse(data.toString()) as { id: number; method: string };
      const reply = (to: Socket | null, result: unknown): void =>
        void to?.write(`${JSON.stringify({ jsonrpc: '2.0', id, result })}\n`);
      if (method === 'slow') waiting = peer;
      else reply(peer, {});
      looks += method === 'health' ? 1 : 0;
      if (looks === 2) reply(waiting, 'done');
    }),
  );
  const client = await connect({ socket });
  assert.equal(await client.callAny('slow'), 'done');
  client.close();
});
