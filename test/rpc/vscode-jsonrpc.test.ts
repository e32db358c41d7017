import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import {
  CancellationTokenSource,
  createMessageConnection,
  type MessageConnection,
  ResponseError,
  StreamMessageReader,
  StreamMessageWriter,
} from 'vscode-jsonrpc/node';
import { Sandbox } from '../harness/sandbox.js';
import { waitFor, within } from '../harness/waiting.js';
import { type Service, startService } from './service.js';

/** The library that VS Code speaks LSP with, unchanged, over a plain socket. */

async function dial(t: TestContext, path: string): Promise<{ rpc: MessageConnection; socket: Socket }> {
  const socket = connect(path);
  await once(socket, 'connect');
  const rpc = createMessageConnection(new StreamMessageReader(socket), new StreamMessageWriter(socket));
  rpc.listen();
  t.after(() => {
    rpc.dispose();
    socket.destroy();
  });
  return { rpc, socket };
}

async function start(t: TestContext): Promise<Service & { rpc: MessageConnection }> {
  const service = await startService(t);
  return { ...service, rpc: (await dial(t, service.socket)).rpc };
}

/** The error that a request has to end with. */
async function refused(request: Promise<unknown>): Promise<ResponseError<Record<string, unknown>>> {
  const error = await request.then(
    () => assert.fail('it was not refused'),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof ResponseError);
  return error as ResponseError<Record<string, unknown>>;
}

test('requests by name and by position', async (t) => {
  const { rpc } = await start(t);
  assert.equal(await rpc.sendRequest('subtract', { minuend: 42, subtrahend: 23 }), 19);
  assert.equal(await rpc.sendRequest('subtract', 42, 23), 19);
  assert.deepEqual(await rpc.sendRequest('get_data'), ['hello', 5]);
  assert.equal(await rpc.sendRequest('echo', { text: 'ä😀\r\n\r\n' }), 'ä😀\r\n\r\n');
});

test('errors with their code and data', async (t) => {
  const { rpc } = await start(t);
  const error = await refused(rpc.sendRequest('refuse'));
  assert.deepEqual([error.code, error.message], [-32002, 'No file a.ts.']);
  assert.deepEqual(error.data, { path: 'a.ts', code: 'FILE_NOT_FOUND', hint: 'Give another path.' });
  const unknown = await refused(rpc.sendRequest('helth'));
  assert.equal(unknown.code, -32601);
  assert.match(String(unknown.data?.['hint']), /health/);
  const params = await refused(rpc.sendRequest('echo', { text: 1 }));
  assert.equal(params.code, -32602);
});

test('notifications in both directions', async (t) => {
  const { rpc, calls } = await start(t);
  const received = new Promise((resolve) => rpc.onNotification('event', resolve));
  await rpc.sendNotification('notify_hello', { value: 7 });
  await rpc.sendRequest('announce');
  assert.deepEqual(await within('the event', received), { topic: 'job', connection: 1 });
  assert.deepEqual(calls, ['notify_hello']);
});

test('a cancellation token ends its request with CANCELLED, and no other', async (t) => {
  const { rpc, calls, held, gate } = await start(t);
  const source = new CancellationTokenSource();
  const held1 = rpc.sendRequest('hold', source.token);
  const other = rpc.sendRequest('gate');
  await held.opened;
  source.cancel();
  const error = await refused(held1);
  assert.deepEqual([error.code, error.data?.['code']], [-32012, 'CANCELLED']);
  assert.ok(calls.includes('cancelled'));
  gate.open();
  assert.equal(await other, 'opened');
});

test('a large result comes whole', async (t) => {
  const { rpc } = await start(t);
  const bytes = 20 * 1024 * 1024;
  assert.equal((await rpc.sendRequest<string>('fill', { bytes })).length, bytes);
});

test('thousands at once are each answered with their own result', async (t) => {
  const { rpc } = await start(t);
  const sums = await Promise.all(
    Array.from({ length: 3_000 }, (_, a) => rpc.sendRequest<number>('sum', a, 1, 0)),
  );
  assert.deepEqual(
    sums,
    Array.from({ length: 3_000 }, (_, a) => a + 1),
  );
});

test('the daemon: subscribe, and its events', async (t) => {
  const sandbox = await Sandbox.create(t);
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  const { rpc } = await dial(t, daemon.socket);
  const events: Record<string, unknown>[] = [];
  rpc.onNotification('event', (event: Record<string, unknown>) => void events.push(event));
  const { subscription_id } = await rpc.sendRequest<{ subscription_id: string }>('subscribe', {
    topics: ['index'],
  });
  await rpc.sendRequest('add_project', { root_dir: await sandbox.project({ 'a.py': 'a = 1\n' }) });
  await waitFor('the event', () => events.length > 0);
  assert.deepEqual(events, [{ subscription_id, topic: 'index', type: 'projects' }]);
  assert.deepEqual(await rpc.sendRequest('unsubscribe', { subscription_id }), { unsubscribed: true });
});
