import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectSocket, type Socket } from 'node:net';
import { suite, test, type TestContext } from 'node:test';
import { codekeep, type CommandResult } from '../harness/command.js';
import type { Daemon } from '../harness/daemon.js';
import { Sandbox } from '../harness/sandbox.js';
import { within } from '../harness/waiting.js';

/** A connected socket, or the code of the error that connecting ended with. */
function dial(path: string): Promise<Socket | string> {
  return new Promise((resolve) => {
    const socket = connectSocket({ path });
    socket.once('connect', () => resolve(socket));
    socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code ?? 'without a code'));
  });
}

/** So many clients that connect at once; they are closed with the test. */
async function burst(t: TestContext, { socket }: Daemon, count: number): Promise<(Socket | string)[]> {
  const clients = await Promise.all(Array.from({ length: count }, () => dial(socket)));
  t.after(() => clients.forEach((client) => typeof client !== 'string' && client.destroy()));
  return clients;
}

async function whileHalted({ pid }: Daemon, work: () => Promise<void>): Promise<void> {
  process.kill(pid, 'SIGSTOP');
  try {
    await work();
  } finally {
    process.kill(pid, 'SIGCONT');
  }
}

async function answerTo(client: Socket | string): Promise<string> {
  if (typeof client === 'string') return client;
  client.write('{"jsonrpc":"2.0","id":1,"method":"health"}\n');
  const [data] = (await once(client, 'data')) as [Buffer];
  return data.toString();
}

suite('a supervisor that is halted or busy', () => {
  test('hundreds of clients that connect at once wait for it, and all are answered', async (t) => {
    const sandbox = await Sandbox.create(t);
    const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
    let clients: (Socket | string)[] = [];
    await whileHalted(daemon, async () => {
      clients = await burst(t, daemon, 500);
    });
    for (const answer of await within('the answers', Promise.all(clients.map(answerTo))))
      assert.match(answer, /"result":/);
  });

  test('where too many wait already, a command says so', async (t) => {
    const sandbox = await Sandbox.create(t);
    const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
    await whileHalted(daemon, async () => {
      const crowd = await burst(t, daemon, 1_500);
      assert.ok(crowd.includes('EAGAIN'), 'the queue is full');
      const { status, stdout, stderr } = await codekeep(sandbox, 'status', '--socket', daemon.socket);
      assert.deepEqual([status, stdout], [3, '']);
      const says = `^codekeep: The supervisor \\(pid ${daemon.pid}\\) is halted.* takes no new connection\\.\n {2}.*kill -CONT`;
      assert.match(stderr, new RegExp(says));
      for (const client of crowd) if (typeof client !== 'string') client.destroy();
    });
    const { status } = await codekeep(sandbox, 'status', '--socket', daemon.socket);
    assert.equal(status, 0);
  });

  test('every command that it leaves without an answer ends, and says who does not answer', async (t) => {
    const sandbox = await Sandbox.create(t);
    const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
    await daemon.addProject(await sandbox.project({ 'a.py': 'a = 1\n' }));
    const commands = [
      ['status'],
      ['search', 'a'],
      ['call', 'list_projects'],
      ['repair', '--dry-run'],
      ['events'],
    ];
    await whileHalted(daemon, async () => {
      const ask = (args: string[]): Promise<CommandResult> =>
        codekeep(sandbox, ...args, '--socket', daemon.socket);
      for (const { status, stdout, stderr } of await Promise.all(commands.map(ask))) {
        assert.deepEqual([status, stdout], [1, '']);
        const says = `^codekeep: The supervisor \\(pid ${daemon.pid}\\) is halted.*may yet do what it was asked\\.\n {2}.*kill -CONT ${daemon.pid}`;
        assert.match(stderr, new RegExp(says));
      }
    });
  });

  test('the doctor says who does not answer, instead of having another one started', async (t) => {
    const sandbox = await Sandbox.create(t);
    const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
    await whileHalted(daemon, async () => {
      const { status, stdout } = await codekeep(sandbox, 'doctor', '--state-dir', daemon.stateDir);
      assert.equal(status, 4);
      const says = `^fail +socket +The supervisor \\(pid ${daemon.pid}\\) is halted.*\n +.*kill -CONT ${daemon.pid}`;
      assert.match(stdout, new RegExp(says, 'm'));
    });
  });
});
