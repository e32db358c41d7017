import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { connect, ConnectionLostError, type EventOf } from '#src/rpc/client/client.js';
import { Sandbox } from '../../harness/sandbox.js';
import { waitFor, within } from '../../harness/waiting.js';
import { serverFor, type Service, startService } from '../service.js';

/** A server that can go away and come back on the same socket. */
async function startAgain(t: TestContext, service: Service): Promise<void> {
  const server = serverFor(service);
  await server.listen();
  t.after(() => server.close());
}

test('after a restart of the server calls work again; what was pending is lost, and not repeated', async (t) => {
  const service = await startService(t, { closeGraceMs: 10 });
  const client = await connect({ socket: service.socket, reconnect: true });
  const pending = client.callAny('gate');
  pending.catch(() => undefined);
  await waitFor('it has begun', () => service.calls.length === 1);
  await service.server.close();
  await assert.rejects(pending, ConnectionLostError);
  const waiting = client.callAny('get_data');
  await startAgain(t, service);
  assert.deepEqual(await within('the call that waited', waiting), ['hello', 5]);
  assert.deepEqual(service.calls, ['gate']);
  client.close();
});

test('what waits for the connection ends by its own timeout, its signal, or close', async (t) => {
  const service = await startService(t);
  const client = await connect({ socket: service.socket, reconnect: true });
  await service.server.close();
  await waitFor('the connection is lost', async () => {
    const error: unknown = await client.callAny('get_data', {}, { timeoutMs: 5 }).catch((e: unknown) => e);
    return error instanceof Error && /was not sent/.test(error.message);
  });
  await assert.rejects(client.callAny('get_data', {}, { timeoutMs: 20 }), { code: 'TIMEOUT' });
  const abort = new AbortController();
  const aborted = client.callAny('get_data', {}, { signal: abort.signal });
  abort.abort();
  await assert.rejects(aborted, { code: 'CANCELLED' });
  const closed = client.callAny('get_data');
  client.close();
  await assert.rejects(closed, ConnectionLostError);
  await assert.rejects(client.callAny('get_data'), ConnectionLostError);
  assert.ok((await client.closed) instanceof ConnectionLostError);
});

test('without reconnect a lost connection is the end, and says so', async (t) => {
  const service = await startService(t);
  const client = await connect({ socket: service.socket });
  await service.server.close();
  assert.ok((await within('the end', client.closed)) instanceof ConnectionLostError);
  await assert.rejects(client.callAny('get_data'), ConnectionLostError);
});

test('subscriptions live on over a restart of the daemon, until they are ended', async (t) => {
  const sandbox = await Sandbox.create(t);
  const first = await sandbox.startDaemon({ config: { autostart: [] } });
  let reconnections = 0;
  const client = await connect({
    socket: first.socket,
    reconnect: true,
    onReconnect: () => (reconnections += 1),
  });
  const events: EventOf<'worker'>[] = [];
  const subscription = await client.subscribe(['worker'], (event) => events.push(event));
  await first.stop();
  await sandbox.startDaemon({ config: { autostart: [] } });
  await waitFor('the connection', () => reconnections === 1);
  events.length = 0;
  await client.call('start_worker', { worker_type: 'vectorization' });
  await waitFor('its events', () => events.some(({ state }) => state === 'ready'));
  assert.deepEqual(
    events.map(({ worker_type, state }) => [worker_type, state]).filter(([type]) => type === 'vectorization'),
    [
      ['vectorization', 'starting'],
      ['vectorization', 'ready'],
    ],
  );
  await subscription.end();
  events.length = 0;
  await client.call('stop_worker', { worker_type: 'vectorization' });
  assert.deepEqual(events, []);
  client.close();
});
