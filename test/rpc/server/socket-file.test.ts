import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmod,
  chown,
  lstat,
  mkdir,
  readdir,
  readFile,
  rename,
  symlink,
  unlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { test } from 'node:test';
import { CodekeepError } from '#src/base/errors.js';
import { listenAt, removeSocketFile } from '#src/rpc/server/socket-file.js';
import type { RpcServer } from '#src/rpc/server/server.js';
import { waitFor } from '../../harness/waiting.js';
import {
  checkedReply,
  exchange,
  exchangeText,
  outcome,
  RawClient,
  request,
  serverFor,
  startService,
  temporaryFolder,
} from '../service.js';

const modeOf = async (path: string): Promise<number> => (await lstat(path)).mode & 0o777;

function isCode(code: string, message: RegExp): (error: unknown) => boolean {
  return (error) => error instanceof CodekeepError && error.code === code && message.test(error.message);
}

/** Leaves a socket file behind that nobody listens on, as a killed daemon does. */
async function leaveDeadSocket(path: string): Promise<void> {
  const script = `require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`;
  await once(spawn(process.execPath, ['-e', script, path]), 'exit');
  assert.ok((await lstat(path)).isSocket());
}

test('the socket is 0600 in a folder made 0700, and nothing else is left there', async (t) => {
  const umask = process.umask();
  const { socket, server } = await startService(t);
  assert.equal(await modeOf(socket), 0o600);
  assert.equal(await modeOf(dirname(socket)), 0o700);
  assert.deepEqual(await readdir(dirname(socket)), ['test.sock']);
  assert.equal(process.umask(), umask);
  await server.close();
  assert.deepEqual(await readdir(dirname(socket)), []);
});

test('a group may be let in: the socket is 0660 and the folder that is made 0750, both of that group', async (t) => {
  const service = await startService(t);
  // Root may give it to any group, others to their own.
  const isRoot = process.getuid?.() === 0;
  const [name, id] = isRoot
    ? ['nogroup', Number(execFileSync('getent', ['group', 'nogroup'], { encoding: 'utf8' }).split(':')[2])]
    : [execFileSync('id', ['-gn'], { encoding: 'utf8' }).trim(), process.getgid?.()];
  const socket = join(dirname(service.socket), 'shared', 'test.sock');
  const second = serverFor({ ...service, socket, socketGroup: name });
  await second.listen();
  assert.deepEqual([await modeOf(socket), (await lstat(socket)).gid], [0o660, id]);
  assert.deepEqual([await modeOf(dirname(socket)), (await lstat(dirname(socket))).gid], [0o750, id]);
  assert.deepEqual((await exchange(socket, request(1, 'get_data'))).map(outcome), [[1, 'ok']]);
  await second.close();
  const third = serverFor({ ...service, socket, socketGroup: 'no such group' });
  await assert.rejects(third.listen(), isCode('INVALID_PARAMS', /no group no such group/));
});

test('a folder that exists keeps its mode', async (t) => {
  const service = await startService(t);
  const folder = join(dirname(service.socket), 'mine');
  await mkdir(folder);
  await chmod(folder, 0o755);
  const second = serverFor({ ...service, socket: join(folder, 'test.sock') });
  await second.listen();
  assert.equal(await modeOf(folder), 0o755);
  await second.close();
});

test('a folder that others may write is refused, unless it is sticky', async (t) => {
  const service = await startService(t);
  const folder = join(dirname(service.socket), 'open');
  await mkdir(folder);
  const second = (): RpcServer => serverFor({ ...service, socket: join(folder, 'test.sock') });
  for (const mode of [0o777, 0o770, 0o702]) {
    await chmod(folder, mode);
    await assert.rejects(
      second().listen(),
      isCode('INVALID_PARAMS', /Others may write .*open/),
      mode.toString(8),
    );
    assert.deepEqual(await readdir(folder), []);
  }
  await chmod(folder, 0o1777);
  const sticky = second();
  await sticky.listen();
  await sticky.close();
});

test("another user's folder is refused", { skip: process.getuid?.() !== 0 && 'needs root' }, async (t) => {
  const service = await startService(t);
  const folder = join(dirname(service.socket), 'foreign');
  await mkdir(folder, { mode: 0o755 });
  await chown(folder, 12_345, 12_345);
  const second = serverFor({ ...service, socket: join(folder, 'test.sock') });
  await assert.rejects(second.listen(), isCode('INVALID_PARAMS', /another user \(12345\)/));
});

test('a dead socket is replaced', async (t) => {
  const service = await startService(t);
  const socket = join(dirname(service.socket), 'dead.sock');
  await leaveDeadSocket(socket);
  const second = serverFor({ ...service, socket });
  await second.listen();
  assert.deepEqual((await exchange(socket, request(1, 'get_data'))).map(outcome), [[1, 'ok']]);
  await second.close();
});

test('a live socket is refused and goes on', async (t) => {
  const service = await startService(t);
  await assert.rejects(serverFor(service).listen(), isCode('TARGET_FILE_EXISTS', /answers on .* already/));
  assert.deepEqual((await exchange(service.socket, request(1, 'get_data'))).map(outcome), [[1, 'ok']]);
});

test('what is not a socket is refused and kept: a file, a folder, a symlink', async (t) => {
  const service = await startService(t);
  const folder = dirname(service.socket);
  await writeFile(join(folder, 'file'), 'precious');
  await mkdir(join(folder, 'folder'));
  await symlink(service.socket, join(folder, 'link'));
  for (const name of ['file', 'folder', 'link']) {
    const second = serverFor({ ...service, socket: join(folder, name) });
    await assert.rejects(second.listen(), isCode('TARGET_FILE_EXISTS', /not a socket/));
  }
  assert.equal(await readFile(join(folder, 'file'), 'utf8'), 'precious');
});

test('a path that the kernel would cut off is refused', async (t) => {
  const service = await startService(t);
  const second = serverFor({ ...service, socket: join(dirname(service.socket), 'x'.repeat(100)) });
  await assert.rejects(second.listen(), isCode('INVALID_PARAMS', /107 bytes/));
});

test('close leaves a socket that is not ours any more', async (t) => {
  const { socket, server } = await startService(t);
  await rename(socket, `${socket}.old`);
  const foreign = createServer().listen(socket);
  t.after(() => foreign.close());
  await once(foreign, 'listening');
  await server.close();
  assert.ok((await lstat(socket)).isSocket());
});

test('close is harmless when the socket file is gone, when called twice, and before listen', async (t) => {
  const { socket, server, ...rest } = await startService(t);
  await rename(socket, `${socket}.old`);
  await Promise.all([server.close(), server.close()]);
  await serverFor({ socket, ...rest }).close();
});

/** Looks often: no test waits for the usual two seconds. */
const watchful = { socketCheckEveryMs: 10 };

async function answers(socket: string): Promise<boolean> {
  const [reply] = await exchange(socket, request(1, 'get_data'));
  return checkedReply(reply).error === undefined;
}

test('a socket that was removed is listened at again, and those who are connected stay', async (t) => {
  const { socket, problems, server, defects } = await startService(t, watchful);
  const client = new RawClient(socket);
  client.send(`${request(1, 'get_data')}\n`);
  await client.lines(1);
  for (const round of [1, 2]) {
    await unlink(socket);
    await waitFor('it answers again', () => answers(socket));
    assert.equal(await modeOf(socket), 0o600);
    client.send(`${request(1 + round, 'get_data')}\n`);
    await client.lines(1 + round);
    await waitFor('it is said to be over', () => problems.length === 2 * round && problems.at(-1) === null);
    assert.match(problems.at(-2) ?? '', /was removed; it listens there again/);
  }
  client.socket.end();
  await client.closed();
  await server.close();
  assert.deepEqual([await readdir(dirname(socket)), defects], [[], []]);
});

test('what answers in place of the socket is left alone and told, and the place taken again when it is gone', async (t) => {
  const { socket, problems, server } = await startService(t, watchful);
  const foreign = createServer((client) => client.on('error', () => undefined).end('foreign'));
  foreign.listen(`${socket}.foreign`);
  await once(foreign, 'listening');
  await rename(`${socket}.foreign`, socket);
  await waitFor('it is told', () => problems.length > 0);
  assert.match(problems.at(-1) ?? '', /something else.*answers on/i);
  assert.equal(await exchangeText(socket), 'foreign');
  foreign.close();
  await waitFor('it answers again', () => answers(socket));
  await waitFor('it is said to be over', () => problems.at(-1) === null);
  await server.close();
});

test('a file in place of the socket is left alone; a socket that nobody listens on is replaced', async (t) => {
  const { socket, problems, server } = await startService(t, watchful);
  await unlink(socket);
  await writeFile(socket, 'precious');
  await waitFor('it is told', () => /not a socket/.test(problems.at(-1) ?? ''));
  assert.equal(await readFile(socket, 'utf8'), 'precious');
  await unlink(socket);
  await waitFor('it answers again', () => answers(socket));
  const dead = `${socket}.dead`;
  await leaveDeadSocket(dead);
  await rename(dead, socket);
  await waitFor('it answers again', () => answers(socket));
  await server.close();
});

/** Descriptor of a listening server; Node shows it only on its internal handle. */
function descriptorOf(server: Server): number {
  const handle: unknown = Reflect.get(server, '_handle');
  assert.ok(typeof handle === 'object' && handle !== null && 'fd' in handle && typeof handle.fd === 'number');
  return handle.fd;
}

test('a listening socket can be handed over by its descriptor; its file stays at close', async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, 'activated.sock');
  const fixture = new URL('../fixtures/activated.js', import.meta.url).pathname;
  const holder = createServer().listen(join(folder, 'bound.sock'));
  await once(holder, 'listening');
  const child = spawn(process.execPath, [fixture], {
    stdio: ['ignore', 'inherit', 'inherit', descriptorOf(holder)],
  });
  t.after(() => child.kill('SIGKILL'));
  const exited = once(child, 'exit');
  // The holder unlinks the name it bound when it closes, as Node does; the child's stays.
  await rename(join(folder, 'bound.sock'), path);
  holder.close();
  const [reply] = await exchange(path, request(1, 'subtract', [3, 1]));
  assert.deepEqual(outcome(reply), [1, 'ok']);
  child.kill('SIGTERM');
  assert.deepEqual(await exited, [0, null]);
  assert.ok((await lstat(path)).isSocket());
});

test('what was killed while it bound its socket is cleaned up after, what has just been made is not', async (t) => {
  const folder = await temporaryFolder(t);
  await chmod(folder, 0o700);
  const [old, young] = ['a', 'b'].map((digit) => join(folder, `.codekeep-${digit.repeat(16)}.sock`));
  for (const path of [old, young]) await leaveDeadSocket(path ?? '');
  const longAgo = new Date(Date.now() - 600_000);
  await utimes(old ?? '', longAgo, longAgo);
  const file = await listenAt(createServer().unref(), join(folder, 'test.sock'));
  t.after(() => removeSocketFile(file));
  assert.deepEqual((await readdir(folder)).sort(), [basename(young ?? ''), 'test.sock'].sort());
});
