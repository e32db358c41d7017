import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { connect } from 'node:net';
import { test } from 'node:test';
import { exchange, exchangeText, outcome, parseLines, RawClient, request, startService } from '../service.js';

const MiB = 1024 * 1024;

/** Runs a shell command with $SOCKET set; gives its stdout, after it has exited with 0. */
async function shell(command: string, socket: string): Promise<string> {
  const child = spawn('bash', ['-o', 'pipefail', '-c', command], {
    env: { ...process.env, SOCKET: socket },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [output, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  assert.equal(code, 0);
  return output;
}

const toSocket = 'socat -t 600 - "UNIX-CONNECT:$SOCKET"';

test('socat: one request on one line', async (t) => {
  const { socket } = await startService(t);
  const output = await shell(`echo '${request(1, 'get_data')}' | ${toSocket}`, socket);
  assert.equal(output, `${JSON.stringify({ jsonrpc: '2.0', id: 1, result: ['hello', 5] })}\n`);
});

test('socat: a request that jq prints over many lines, and the reply read by jq', async (t) => {
  const { socket } = await startService(t);
  const ask = `jq -n '{jsonrpc: "2.0", id: 7, method: "echo", params: {text: "ä\\n"}}'`;
  assert.equal(await shell(`${ask} | ${toSocket} | jq .result`, socket), '"ä\\n"\n');
});

test('socat: two requests one right after the other', async (t) => {
  const { socket } = await startService(t);
  const output = await shell(
    `printf %s '${request(1, 'get_data')}' '${request(2, 'sum', [1, 2, 3])}' | ${toSocket}`,
    socket,
  );
  assert.deepEqual(parseLines(output).map(outcome), [
    [1, 'ok'],
    [2, 'ok'],
  ]);
});

test('socat: the reply of a slow call comes although the input has long ended', async (t) => {
  const { socket, gate, server } = await startService(t);
  const output = shell(`echo '${request(1, 'gate')}' | ${toSocket}`, socket);
  const watcher = new RawClient(socket);
  // Longer than the server's probe for clients that are gone, which must not take socat for one.
  await new Promise((resolve) => setTimeout(resolve, 1_300));
  assert.equal(server.connectionCount(), 2);
  watcher.socket.end();
  gate.open();
  assert.deepEqual(parseLines(await output).map(outcome), [[1, 'ok']]);
});

test('replies use the framing of the requests', async (t) => {
  const { socket } = await startService(t);
  const client = new RawClient(socket);
  const body = request(1, 'echo', { text: 'ä' });
  client.send(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  client.socket.end();
  await once(client.socket, 'close');
  const reply = JSON.stringify({ jsonrpc: '2.0', id: 1, result: 'ä' });
  assert.equal(client.received, `Content-Length: ${Buffer.byteLength(reply)}\r\n\r\n${reply}`);
});

test('a request is answered whatever the pieces it comes in', async (t) => {
  const { socket } = await startService(t);
  const bytes = Buffer.from(request(1, 'echo', { text: 'ä😀' }));
  const client = new RawClient(socket);
  client.socket.setNoDelay(true);
  for (const byte of bytes) {
    await new Promise<unknown>((resolve) => client.socket.write(Buffer.from([byte]), resolve));
  }
  assert.deepEqual(await client.lines(1), [{ jsonrpc: '2.0', id: 1, result: 'ä😀' }]);
  client.socket.end();
});

test('limits: batch length, message length and depth are LIMIT_EXCEEDED, and the connection lives on', async (t) => {
  const { socket } = await startService(t, { maxBatchItems: 3, maxMessageBytes: 500, maxDepth: 10 });
  const alive = request(9, 'get_data');
  const cases = [
    `[${Array.from({ length: 4 }, () => '1').join(',')}]`,
    JSON.stringify('x'.repeat(200_000)),
    '['.repeat(11) + ']'.repeat(11),
  ];
  for (const sent of cases) {
    assert.deepEqual(
      (await exchange(socket, `${sent}\n${alive}`)).map(outcome),
      [
        [null, -32013],
        [9, 'ok'],
      ],
      sent.slice(0, 20),
    );
  }
});

test('limits: the items of a batch whose replies grow too large are refused, each with its id', async (t) => {
  const { socket } = await startService(t, { maxBatchReplyBytes: 1000, maxBatchConcurrency: 1 });
  const items = [1, 2, 3, 4].map((id) => request(id, 'fill', { bytes: 600 }));
  const [reply] = await exchange(socket, `[${items.join(',')}]`);
  assert.deepEqual(outcome(reply), [
    [1, 'ok'],
    [2, 'ok'],
    [3, -32013],
    [4, -32013],
  ]);
});

test('limits: beyond maxPendingRequests nothing more is begun until a reply is out, and nothing is lost', async (t) => {
  const { socket, calls, gate } = await startService(t, { maxPendingRequests: 4 });
  const client = new RawClient(socket);
  client.send(Array.from({ length: 20 }, (_, id) => request(id, 'gate')).join('\n'));
  const other = new RawClient(socket);
  for (let round = 0; round < 20; round += 1) {
    other.send(`${request(round, 'get_data')}\n`);
    await other.lines(round + 1);
  }
  assert.equal(calls.length, 4);
  gate.open();
  client.socket.end('\n');
  const replies = await client.closed();
  assert.deepEqual(
    replies.map(outcome),
    Array.from({ length: 20 }, (_, id) => [id, 'ok']),
  );
  other.socket.end();
});

test('limits: one connection too many is told so and closed, the others are served', async (t) => {
  const { socket } = await startService(t, { maxConnections: 2 });
  const clients = [new RawClient(socket), new RawClient(socket)];
  for (const client of clients) {
    client.send(request(1, 'get_data'));
    await client.lines(1);
  }
  const refused = await new RawClient(socket).closed();
  assert.deepEqual(refused.map(outcome), [[null, -32013]]);
  clients[0]?.socket.end();
  await clients[0]?.closed();
  assert.deepEqual((await exchange(socket, request(2, 'get_data'))).map(outcome), [[2, 'ok']]);
  clients[1]?.socket.end();
});

test('limits: a message that stays incomplete is answered with TIMEOUT, after what is pending', async (t) => {
  const { socket, gate } = await startService(t, { partialMessageMaxMs: 50 });
  const client = new RawClient(socket);
  client.send(`${request(1, 'gate')}\n{"jsonrpc":`);
  assert.deepEqual((await client.lines(1)).map(outcome), [[null, -32011]]);
  gate.open();
  assert.deepEqual((await client.closed()).map(outcome), [
    [null, -32011],
    [1, 'ok'],
  ]);
});

test('an idle connection without a partial message stays', async (t) => {
  const { socket } = await startService(t, { partialMessageMaxMs: 1 });
  const client = new RawClient(socket);
  for (const id of [1, 2, 3]) {
    client.send(`${request(id, 'get_data')}\n`);
    await client.lines(id);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.equal(client.socket.destroyed, false);
  client.socket.end();
});

test('a wrong header ends the connection after its error', async (t) => {
  const { socket } = await startService(t);
  const client = new RawClient(socket);
  client.send('Content-Length: many\r\n\r\n{}');
  await once(client.socket, 'close');
  assert.match(client.received, /-32700/);
});

test('a client that never reads is no longer read and at last destroyed; others are served meanwhile', async (t) => {
  const { socket, server } = await startService(t, { maxWriteBufferChars: MiB, writeStallMaxMs: 300 });
  const stuck = new RawClient(socket);
  stuck.socket.pause();
  stuck.send(Array.from({ length: 500 }, (_, id) => request(id, 'fill', { bytes: MiB / 4 })).join('\n'));
  const other = new RawClient(socket);
  let id = 0;
  do {
    id += 1;
    other.send(`${request(id, 'get_data')}\n`);
    await other.lines(id);
  } while (server.connectionCount() > 1);
  assert.ok(id > 1);
  assert.ok(process.memoryUsage().external < 100 * MiB);
  other.socket.end();
  stuck.socket.destroy();
});

test('a client that reads late gets every reply', async (t) => {
  const { socket } = await startService(t, { maxWriteBufferChars: MiB });
  const client = new RawClient(socket);
  client.socket.pause();
  client.send(Array.from({ length: 100 }, (_, id) => request(id, 'fill', { bytes: MiB / 4 })).join('\n'));
  client.socket.end();
  assert.equal((await exchange(socket, request(1, 'get_data'))).length, 1);
  client.socket.resume();
  const replies = await client.closed();
  assert.equal(replies.length, 100);
});

test('a slow but steady reader is not cut off, however long its reply takes', async (t) => {
  const stallMs = 400;
  const { socket } = await startService(t, { maxWriteBufferChars: MiB, writeStallMaxMs: stallMs });
  const client = connect(socket);
  client.write(`${request(1, 'fill', { bytes: 8 * MiB })}\n`);
  const startedAt = performance.now();
  let bytes = 0;
  for await (const chunk of client) {
    assert.ok(Buffer.isBuffer(chunk));
    bytes += chunk.length;
    if (chunk.at(-1) === 0x0a) break;
    // The reader's own pace: what is tested is that it takes longer than a stall.
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.ok(bytes > 8 * MiB);
  assert.ok(performance.now() - startedAt > 2 * stallMs);
});

test('headers with bare line feeds are answered', async (t) => {
  const { socket } = await startService(t);
  const body = request(1, 'get_data');
  const reply = await exchangeText(socket, `Content-Length: ${body.length}\n\n${body}\n`);
  assert.match(reply, /^Content-Length: \d+\r\n\r\n\{"jsonrpc":"2.0","id":1,"result":\["hello",5\]\}$/);
});

test('the signal of a call aborts when its client is gone, reset or closed', async (t) => {
  for (const leave of ['destroy', 'end'] as const) {
    const { socket, held, aborted, defects } = await startService(t);
    const client = new RawClient(socket);
    client.send(request(1, 'hold'));
    await held.opened;
    // After a plain end the client still reads: only when it is destroyed, too, is it gone.
    if (leave === 'end') client.socket.end();
    client.socket.destroy();
    await aborted.opened;
    assert.deepEqual(defects, []);
  }
});

test('a client that left while it was not being read is noticed, too', async (t) => {
  const { socket, held, aborted } = await startService(t, { maxPendingRequests: 2 });
  const client = new RawClient(socket);
  client.send(Array.from({ length: 50 }, (_, id) => request(id, 'hold')).join('\n'));
  await held.opened;
  client.socket.destroy();
  await aborted.opened;
});

test('a client that reads no notifications is destroyed before they fill the memory', async (t) => {
  const { socket, aborted } = await startService(t, { maxWriteBufferChars: MiB });
  const client = new RawClient(socket);
  client.socket.pause();
  client.send(request(1, 'flood'));
  await aborted.opened;
  client.socket.destroy();
});

test('notifications go to the connection of the call', async (t) => {
  const { socket } = await startService(t);
  const bystander = new RawClient(socket);
  bystander.send(`${request(1, 'get_data')}\n`);
  await bystander.lines(1);
  const client = new RawClient(socket);
  client.send(`${request(1, 'announce')}\n`);
  const [event] = await client.lines(2);
  assert.deepEqual(event, { jsonrpc: '2.0', method: 'event', params: { topic: 'job', connection: 2 } });
  assert.equal(bystander.replies.length, 1);
  client.socket.end();
  bystander.socket.end();
});

test('thousands of requests in one go are all answered, and others get their turn between them', async (t) => {
  const { socket } = await startService(t);
  const count = 5_000;
  const busy = exchange(socket, Array.from({ length: count }, (_, id) => request(id, 'get_data')).join(''));
  const other = await exchange(socket, request('other', 'get_data'));
  assert.equal(other.length, 1);
  const ids = new Set((await busy).map((reply) => JSON.stringify(outcome(reply))));
  assert.equal(ids.size, count);
});

test('close lets pending replies go out, and bounds how long it waits for them', async (t) => {
  const { socket, gate, server, calls } = await startService(t, { closeGraceMs: 200 });
  const client = new RawClient(socket);
  client.send(request(1, 'gate'));
  while (calls.length === 0) await exchange(socket, request(0, 'get_data'));
  const closing = server.close();
  gate.open();
  assert.deepEqual((await client.closed()).map(outcome), [[1, 'ok']]);
  await closing;

  const stubborn = await startService(t, { closeGraceMs: 100 });
  const waiting = new RawClient(stubborn.socket);
  waiting.send(request(1, 'hold'));
  await stubborn.held.opened;
  await stubborn.server.close();
  await stubborn.aborted.opened;
  assert.deepEqual(await waiting.closed(), []);
});
