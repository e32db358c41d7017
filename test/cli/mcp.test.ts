import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, suite, test, type TestContext } from 'node:test';
import { type Agent, callTool, startBridge } from '../harness/agent.js';
import type { Daemon, Project } from '../harness/daemon.js';
import { Sandbox } from '../harness/sandbox.js';

suite('the tools of codekeep mcp', () => {
  const sandbox = Sandbox.ofSuite(() => agent.client.close());
  let daemon: Daemon;
  let project: Project;
  let agent: Agent;

  before(async () => {
    const root = await sandbox.project({
      'a.py': 'def parse_header(text):\n    return text\n',
      'b.py': 'b = 1\n',
    });
    daemon = await sandbox.startDaemon();
    project = await daemon.addProject(root);
    agent = await startBridge(sandbox, daemon.socket);
  });

  test('are few, described, and have all four annotations', async () => {
    const { tools } = await agent.client.listTools();
    assert.deepEqual(tools.map(({ name }) => name).sort(), [
      'checkpoint',
      'file_history',
      'list_changes',
      'repair_database',
      'repair_worker_status',
      'rewind',
      'search',
      'start_repair_worker',
      'stop_repair_worker',
      'undo_repair',
    ]);
    for (const { name, description, annotations, inputSchema } of tools) {
      assert.ok((description ?? '').length > 10, name);
      assert.equal(inputSchema.type, 'object', name);
      for (const hint of ['readOnlyHint', 'destructiveHint', 'idempotentHint', 'openWorldHint'] as const)
        assert.equal(typeof annotations?.[hint], 'boolean', `${name} ${hint}`);
      assert.equal(annotations?.openWorldHint, false, name);
    }
    const readOnly = tools
      .filter(({ annotations }) => annotations?.readOnlyHint === true)
      .map(({ name }) => name);
    assert.deepEqual(readOnly.sort(), ['file_history', 'list_changes', 'repair_worker_status', 'search']);
  });

  test('an agent is told to look before it changes anything', async () => {
    assert.match(agent.client.getInstructions() ?? '', /dry_run=true/);
    const { tools } = await agent.client.listTools();
    for (const { name, description, inputSchema } of tools)
      assert.equal(
        /dry run first/i.test(description ?? ''),
        'dry_run' in (inputSchema.properties ?? {}),
        name,
      );
    assert.ok(tools.some(({ description }) => /dry run first/i.test(description ?? '')));
  });

  test('nothing gives a job that no tool reads', async () => {
    const { tools } = await agent.client.listTools();
    for (const { name, inputSchema } of tools)
      assert.equal('wait' in (inputSchema.properties ?? {}), false, name);
    const refused = await callTool(agent, 'repair_database', { dry_run: true, wait: false });
    assert.equal(refused.isError, true);
    assert.match(refused.text, /wait/);
  });

  test('a dry run of repair_database answers with the plan', async () => {
    const { isError, structured, text } = await callTool(agent, 'repair_database', {
      project_id: project.project_id,
      dry_run: true,
    });
    assert.equal(isError, false, text);
    assert.deepEqual([structured?.['dry_run'], structured?.['root_dir']], [true, project.root_dir]);
    assert.deepEqual(JSON.parse(text), structured);
  });

  test('the repair worker is started, looked at and stopped', async () => {
    const started = await callTool(agent, 'start_repair_worker', { poll_interval: 3_600 });
    assert.deepEqual([started.isError, started.structured?.['success']], [false, true], started.text);
    const again = await callTool(agent, 'start_repair_worker');
    assert.deepEqual(
      [again.structured?.['success'], again.structured?.['pid']],
      [false, started.structured?.['pid']],
    );
    const status = await callTool(agent, 'repair_worker_status');
    assert.deepEqual([status.isError, status.structured?.['is_running']], [false, true], status.text);
    const stopped = await callTool(agent, 'stop_repair_worker', { timeout: 10 });
    assert.deepEqual([stopped.isError, stopped.structured?.['success']], [false, true], stopped.text);
  });

  test('search finds code', async () => {
    const { isError, structured, text } = await callTool(agent, 'search', {
      query: 'parse header',
      mode: 'fulltext',
    });
    assert.equal(isError, false, text);
    const results = structured?.['results'] as { path: string; entity: string }[] | undefined;
    assert.deepEqual([results?.[0]?.path, results?.[0]?.entity], ['a.py', 'parse_header']);
  });

  test('an agent goes back to its checkpoint, by the plan that it has shown', async () => {
    const { project_id, root_dir } = project;
    const about = async (name: string, args: object = {}): Promise<Record<string, unknown>> => {
      const { isError, structured, text } = await callTool(agent, name, { project_id, ...args });
      assert.equal(isError, false, text);
      return structured ?? assert.fail(text);
    };
    const { checkpoint_id: to } = await about('checkpoint', { label: 'before the change' });
    writeFileSync(join(root_dir, 'b.py'), 'b = 2\n');
    await daemon.call('wait_until_fresh', { project_id });
    const { changes } = await about('list_changes', { since: to });
    assert.deepEqual(
      (changes as { path: string }[]).map(({ path }) => path),
      ['b.py'],
    );
    const { versions } = await about('file_history', { path: 'b.py' });
    assert.equal((versions as unknown[]).length, 2);
    const { tools } = await agent.client.listTools();
    const { description = '' } = tools.find(({ name }) => name === 'rewind') ?? assert.fail('no rewind');
    assert.match(description, /dry_run=true, show the plan, then call it with nothing but plan_id/u);
    const plan = await about('rewind', { to, dry_run: true });
    assert.deepEqual(plan['reverted'], [{ path: 'b.py' }]);
    assert.equal(readFileSync(join(root_dir, 'b.py'), 'utf8'), 'b = 2\n');
    const done = await callTool(agent, 'rewind', { plan_id: plan['run_id'] });
    assert.equal(done.isError, false, done.text);
    assert.equal(readFileSync(join(root_dir, 'b.py'), 'utf8'), 'b = 1\n');
    const undone = await callTool(agent, 'undo_repair', { run_id: done.structured?.['run_id'] });
    assert.equal(undone.isError, false, undone.text);
    assert.equal(readFileSync(join(root_dir, 'b.py'), 'utf8'), 'b = 2\n');
  });

  test('bad input is an error that says how to mend it, and the bridge lives', async () => {
    const wrong = await callTool(agent, 'search', { query: 'x', mode: 'telepathic' });
    assert.equal(wrong.isError, true);
    assert.match(wrong.text, /mode/);
    const missing = await callTool(agent, 'search', {});
    assert.equal(missing.isError, true);
    assert.match(missing.text, /query/);
    const unknown = await callTool(agent, 'repair_database', { root_dir: '/no/such/project', dry_run: true });
    assert.equal(unknown.isError, true);
    assert.match(unknown.text, /\/no\/such\/project[^]*codekeep status" \(in a shell\)/);
    const version = await callTool(agent, 'rewind', {
      root_dir: project.root_dir,
      to: 'no-such',
      dry_run: true,
    });
    assert.match(version.text, /"codekeep checkpoint --list" \(in a shell\)/u);
    assert.equal((await callTool(agent, 'repair_worker_status')).isError, false);
    await assert.rejects(agent.client.callTool({ name: 'no_such_tool', arguments: {} }));
  });

  test('the bridge outlives a restart of the daemon', async () => {
    await daemon.stop();
    const away = await callTool(agent, 'repair_worker_status');
    assert.equal(away.isError, true);
    assert.match(away.text, /codekeep serve/);
    daemon = await sandbox.startDaemon();
    assert.equal((await callTool(agent, 'repair_worker_status')).isError, false);
    assert.equal(agent.stderr(), '', 'it has nothing to complain about');
  });
});

test('without a daemon, tools are listed and calls say how to start one', async (t: TestContext) => {
  const sandbox = await Sandbox.create(t);
  const agent = await startBridge(sandbox, sandbox.path('none.sock'));
  try {
    assert.equal((await agent.client.listTools()).tools.length, 10);
    const { isError, text } = await callTool(agent, 'search', { query: 'x' });
    assert.equal(isError, true);
    assert.match(text, /codekeep serve/);
  } finally {
    await agent.client.close();
  }
});
