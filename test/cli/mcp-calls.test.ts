import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { createInterface } from 'node:readline';
import { suite, test, type TestContext } from 'node:test';
import { callTool, withBridge } from '../harness/agent.js';
import { run } from '../harness/command.js';
import { addLostRows, type Daemon, type Project } from '../harness/daemon.js';
import { manyFiles, program, Sandbox } from '../harness/sandbox.js';
import { waitFor, within } from '../harness/waiting.js';

interface Scene {
  sandbox: Sandbox;
  daemon: Daemon;
  project: Project;
}

/** A project of which `lost` files have to be written again: a repair that takes its time. */
async function scene(t: TestContext, lost: number): Promise<Scene> {
  const sandbox = await Sandbox.create(t);
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  const project = await daemon.addProject(await sandbox.project(manyFiles(40)));
  if (lost > 0) addLostRows(daemon, project, lost);
  return { sandbox, daemon, project };
}

/** How the repair ended. */
async function outcome({ daemon, project }: Scene): Promise<string> {
  return await waitFor(
    'the end of the repair',
    async () => {
      const { runs } = await daemon.call('list_repairs', { project_id: project.project_id });
      return runs[0]?.state === 'running' ? null : runs[0]?.state;
    },
    60_000,
  );
}

const opening = [
  {
    id: 1,
    method: 'initialize',
    params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'test', version: '0' } },
  },
  { method: 'notifications/initialized' },
];

/** Messages of MCP, a line each. */
function lines(...messages: Record<string, unknown>[]): string {
  return [...opening, ...messages]
    .map((message) => `${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`)
    .join('');
}

const call = (id: number, name: string, args: Record<string, unknown>): Record<string, unknown> => ({
  id,
  method: 'tools/call',
  params: { name, arguments: args },
});

suite('a call over MCP', () => {
  test('that is cancelled is cancelled: a repair stops at a safe point', async (t) => {
    const set = await scene(t, 400);
    await withBridge(set.sandbox, set.daemon.socket, async (agent) => {
      const { project_id } = set.project;
      const cancel = new AbortController();
      const repair = callTool(agent, 'repair_database', { project_id }, { signal: cancel.signal });
      const ended = assert.rejects(repair);
      await set.daemon.untilItApplies();
      cancel.abort('enough');
      await ended;
      assert.equal(await outcome(set), 'cancelled');
      assert.equal((await callTool(agent, 'repair_worker_status')).isError, false, 'the bridge goes on');
    });
  });

  test('tells how far it is where the agent asked for it, and rises', async (t) => {
    const { sandbox, daemon, project } = await scene(t, 100);
    await withBridge(sandbox, daemon.socket, async (agent) => {
      const told: { progress: number; total?: number | undefined; message?: string | undefined }[] = [];
      const { isError, text } = await callTool(
        agent,
        'repair_database',
        { project_id: project.project_id },
        { onprogress: (progress) => told.push(progress) },
      );
      assert.equal(isError, false, text);
      assert.ok(told.length > 1, `told ${told.length} times`);
      assert.deepEqual(
        told.map(({ progress }) => progress),
        told.map(({ progress }) => progress).sort((a, b) => a - b),
      );
      assert.equal(new Set(told.map(({ progress }) => progress)).size, told.length, 'each time more');
      assert.ok(told.some(({ message }) => message === 'apply'));
    });
  });

  test('goes on when the agent goes away', async (t) => {
    const set = await scene(t, 400);
    await withBridge(set.sandbox, set.daemon.socket, async (agent) => {
      const repair = callTool(agent, 'repair_database', { project_id: set.project.project_id });
      // It may be answered before the bridge is ended.
      const ended = repair.catch(() => null);
      await set.daemon.untilItApplies();
      await agent.client.close();
      await ended;
      assert.equal(await outcome(set), 'done');
    });
  });
});

suite('at the end of input the bridge', () => {
  test('answers what is pending, and ends', async (t) => {
    const { sandbox, daemon, project } = await scene(t, 0);
    const input = lines(
      call(2, 'repair_database', { project_id: project.project_id, dry_run: true }),
      call(3, 'search', { query: 'f7', mode: 'fulltext' }),
    );
    const args = [program, 'mcp', '--socket', daemon.socket];
    const { status, stdout, stderr } = await run(sandbox, process.execPath, args, { input });
    assert.deepEqual([status, stderr], [0, '']);
    const ids = stdout
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { id: number }).id);
    assert.deepEqual(new Set(ids), new Set([1, 2, 3]));
  });

  test('ends promptly: once a long call is answered, and at once where none is pending', async (t) => {
    const { sandbox, daemon, project } = await scene(t, 100);
    const args = [program, 'mcp', '--socket', daemon.socket];
    const busy = sandbox.spawn(process.execPath, args);
    const exited = once(busy, 'close');
    let text = '';
    busy.stdout?.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    busy.stdin?.end(lines(call(2, 'repair_database', { project_id: project.project_id })));
    await waitFor('the answer', () => text.includes('"id":2}'), 60_000);
    assert.deepEqual(await within('its end', exited, 2_000), [0, null]);

    const idle = sandbox.spawn(process.execPath, args);
    const ended = once(idle, 'close');
    let hello = '';
    idle.stdout?.setEncoding('utf8').on('data', (chunk: string) => (hello += chunk));
    idle.stdin?.write(lines());
    await waitFor('its first answer', () => hello.includes('"id":1'));
    idle.stdin?.end();
    assert.deepEqual(await within('its end', ended, 2_000), [0, null]);
  });
});

suite('what an agent sends wrongly', () => {
  test('a line that is no message takes one line to say, and the bridge goes on', async (t) => {
    const sandbox = await Sandbox.create(t);
    const input = lines({ a: 1 }, { id: 2, method: 5 }, { id: 3, method: 'ping' });
    const { status, stdout, stderr } = await run(sandbox, process.execPath, [program, 'mcp'], { input });
    assert.deepEqual([status, /"id":3/.test(stdout)], [0, true]);
    assert.equal(stderr, 'codekeep: A line that is no JSON-RPC message was passed over.\n'.repeat(2));
  });

  test('a line without end ends the bridge: it says why, in one line, and in its exit status', async (t) => {
    const sandbox = await Sandbox.create(t);
    const input = `${lines()}${'x'.repeat(11_000_000)}`;
    const { status, stdout, stderr } = await run(sandbox, process.execPath, [program, 'mcp'], { input });
    assert.deepEqual([status, /"id":1/.test(stdout)], [1, true]);
    assert.match(
      stderr,
      /^codekeep: A message of more than 10485760 bytes came: .* Start "codekeep mcp" again.*\n$/,
    );
  });
});

suite('with a newer daemon', () => {
  test('fields that this version does not know reach the agent', async (t) => {
    const sandbox = await Sandbox.create(t);
    const daemon = await newerDaemon(sandbox.path('newer.sock'));
    t.after(() => daemon.close());
    await withBridge(sandbox, sandbox.path('newer.sock'), async (agent) => {
      await agent.client.listTools();
      const { isError, structured, text } = await callTool(agent, 'search', { query: 'x' });
      assert.equal(isError, false, text);
      assert.deepEqual(structured, newerResult);
    });
  });
});

const newerResult = {
  results: [
    {
      project_id: 'p',
      root_dir: '/p',
      path: 'a.py',
      start_line: 1,
      end_line: 2,
      entity: null,
      score: 1,
      snippet: 'a',
      column: 7,
    },
  ],
  freshness: 'fresh',
  vectorized: { total: 1, vectorized: 1, model: 'next' },
  took_ms: 1,
  next_cursor: null,
};

/** Answers everything with one result, which has more than this version's contract. */
async function newerDaemon(path: string): Promise<Server> {
  const server = createServer((socket) => {
    createInterface({ input: socket }).on('line', (line) => {
      const { id } = JSON.parse(line) as { id: number };
      socket.write(`${JSON.stringify({ jsonrpc: '2.0', id, result: newerResult })}\n`);
    });
    socket.on('error', () => undefined).unref();
  });
  server.listen(path).unref();
  await once(server, 'listening');
  return server;
}
