import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { clientsFor, defaultLimits, openFilesMax } from '#src/rpc/server/limits.js';
import { Load } from '../../harness/load.js';
import { waitFor, within } from '../../harness/waiting.js';
import { outcome, RawClient, request, type Service, startService } from '../service.js';

const MiB = 1024 * 1024;

function start(t: TestContext, service: Service, ...load: [...ConstructorParameters<typeof Load>]): Load {
  const [kind, , amount] = load;
  const begun = new Load(kind, service.socket, amount);
  t.after(() => begun.kill());
  return begun;
}

/** Asks one request after the other until `work` is over; each has to be answered. */
async function askMeanwhile<T>(service: Service, work: Promise<T>): Promise<T> {
  const client = new RawClient(service.socket);
  const end = new AbortController();
  const over = work.finally(() => end.abort());
  for (let id = 1; !end.signal.aborted || id < 20; id += 1) {
    client.send(`${request(id, 'get_data')}\n`);
    const replies = await within('another client is answered', client.lines(id));
    assert.deepEqual(outcome(replies.at(-1)), [id, 'ok']);
  }
  client.socket.end();
  return await over;
}

test('10,000 connections: as many as the limit are served, each other is told why, and then all is as before', async (t) => {
  const service = await startService(t, { maxConnections: 500 });
  const crowd = start(t, service, 'crowd', service.socket, 10_000);
  const tally = await crowd.isOn();
  assert.deepEqual(tally, { answered: 500, '-32013': 9_500 });
  await crowd.end();
  await waitFor('they are gone', () => service.server.connectionCount() === 0);
  await askMeanwhile(service, Promise.resolve());
  assert.deepEqual(service.defects, []);
});

test('a message of 100 MB is refused while it streams, nothing of it is kept, and its connection lives on', async (t) => {
  const service = await startService(t);
  const before = process.memoryUsage.rss();
  const load = start(t, service, 'large', service.socket, 100 * MiB);
  await load.isOn();
  const replies = await askMeanwhile(service, load.end());
  assert.deepEqual(replies, [
    [null, -32013],
    [2, 'ok'],
  ]);
  assert.ok(process.memoryUsage.rss() - before < 60 * MiB);
});

test('a batch of 100,000 is refused without being parsed, and its connection lives on', async (t) => {
  for (const limits of [{}, { maxMessageBytes: 64 * MiB }]) {
    const service = await startService(t, limits);
    const load = start(t, service, 'batch', service.socket, 100_000);
    await load.isOn();
    const replies = await askMeanwhile(service, load.end());
    assert.deepEqual(replies, [
      [null, -32013],
      [2, 'ok'],
    ]);
  }
});

test('10,000 requests that are sent before a reply is read are all answered', async (t) => {
  const service = await startService(t);
  const load = start(t, service, 'pipeline', service.socket, 10_000);
  await load.isOn();
  await askMeanwhile(service, Promise.resolve());
  assert.deepEqual(await load.end(), { replies: 10_000 });
});

test('a client that sends byte by byte keeps its connection and harms nobody', async (t) => {
  const service = await startService(t);
  const load = start(t, service, 'slow', service.socket, 20);
  await load.isOn();
  await waitFor('it is connected', () => service.server.connectionCount() === 1);
  await askMeanwhile(service, Promise.resolve());
  const { sent, isOpen } = (await load.end()) as { sent: number; isOpen: boolean };
  assert.deepEqual([sent > 0, isOpen], [true, true]);
});

test('several clients that send without end all get their turns, and so does one with one request', async (t) => {
  const service = await startService(t);
  const loads = Array.from({ length: 4 }, () => start(t, service, 'pipeline', service.socket, 5_000));
  await Promise.all(loads.map((load) => load.isOn()));
  const ends = Promise.all(loads.map((load) => load.end()));
  for (const end of await askMeanwhile(service, ends)) assert.deepEqual(end, { replies: 5_000 });
});

test('beside 400 connections that send 98 kB messages without end, one small request is answered at once', async (t) => {
  const service = await startService(t);
  const load = start(t, service, 'bulk', service.socket, 400);
  await load.isOn();
  const client = new RawClient(service.socket);
  const times: number[] = [];
  const startedAt = performance.now();
  for (let id = 1; id <= 100; id += 1) {
    const askedAt = performance.now();
    client.send(`${request(id, 'get_data')}\n`);
    await within('the reply', client.lines(id));
    times.push(performance.now() - askedAt);
  }
  const tookMs = performance.now() - startedAt;
  client.socket.end();
  const { answered } = (await load.end()) as { answered: number };
  assert.ok(answered > 0, 'the others get their turns');
  times.sort((a, b) => a - b);
  // One that waits until each of the others has had a turn takes a whole round, however fast the machine is.
  const roundMs = (tookMs / answered) * 400;
  const usualMs = times[75] ?? Number.NaN;
  assert.ok(usualMs < roundMs / 4, `three quarters within ${usualMs} ms, a round takes ${roundMs} ms`);
});

/** A request of so many bytes: blanks count as what they are. */
function padded(id: number, name: string, bytes: number): string {
  return `{"jsonrpc":"2.0","id":${id},"method":"${name}"${' '.repeat(bytes)}}\n`;
}

test('what requests of all connections hold is bounded, small ones are answered, and those of clients that left let go', async (t) => {
  const service = await startService(t, { maxHeldBytes: 4 * MiB });
  const crowd = Array.from({ length: 40 }, () => new RawClient(service.socket));
  for (const client of crowd) client.send(padded(1, 'gate', 0.9 * MiB));
  await waitFor('some have begun', () => service.calls.length >= 1);
  await askMeanwhile(service, Promise.resolve());
  assert.ok(service.calls.length <= 6, `${service.calls.length} have begun`);
  for (const client of crowd) client.socket.destroy();
  await waitFor('they are gone', () => service.server.connectionCount() === 0);
  // Their work goes on, and holds what it holds, until it has ended.
  service.gate.open();
  const late = new RawClient(service.socket);
  late.send(padded(2, 'get_data', 0.9 * MiB));
  assert.deepEqual((await within('its reply', late.lines(1))).map(outcome), [[2, 'ok']]);
  late.socket.end();
});

test('requests that wait for what does not come end with their clients, and what they held is free', async (t) => {
  const service = await startService(t, { maxHeldBytes: 2 * MiB });
  for (const round of [1, 2, 3]) {
    const client = new RawClient(service.socket);
    for (const id of [1, 2, 3]) client.send(padded(id, 'hold', 0.9 * MiB));
    await waitFor('the first has begun', () => service.server.connectionCount() === 1);
    const other = new RawClient(service.socket);
    other.send(padded(round, 'get_data', 0.5 * MiB));
    assert.deepEqual((await within('another large one', other.lines(1))).map(outcome), [[round, 'ok']]);
    other.socket.destroy();
    client.socket.destroy();
    await waitFor('they are gone', () => service.server.connectionCount() === 0);
  }
  assert.deepEqual(service.defects, []);
});

test('clients and the refused leave what the process itself needs of its open files', () => {
  for (let files = 64; files <= 100_000; files += 1) {
    const { maxConnections, maxRefused, maxSockets } = clientsFor(files);
    assert.ok(maxConnections >= 12 && maxRefused >= 4, `${files}`);
    assert.ok(maxConnections + maxRefused <= maxSockets, `${files}`);
    assert.equal(maxSockets, Math.max(16, files - 96), `${files}`);
  }
  const { maxConnections, maxRefused, maxSockets } = defaultLimits;
  assert.deepEqual(clientsFor(Number.POSITIVE_INFINITY), { maxConnections, maxRefused, maxSockets });
});

test('the limit of open files is read from the kernel', () => {
  assert.ok(openFilesMax() >= 64);
});
