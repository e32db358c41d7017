import assert from 'node:assert/strict';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { before, suite, test } from 'node:test';
import { type CommandResult, codekeep, run } from '../harness/command.js';
import { addLostRows, type Daemon } from '../harness/daemon.js';
import { openSockets } from '../harness/processes.js';
import { manyFiles, program, Sandbox } from '../harness/sandbox.js';
import { waitFor, within } from '../harness/waiting.js';

suite('the command line', () => {
  const sandbox = Sandbox.ofSuite();
  let daemon: Daemon;
  let root: string;

  before(async () => {
    root = await sandbox.project({
      'a.py': 'def parse_header(text):\n    return text\n',
      'b.py': 'b = 1\n',
      'c.py': 'c = 1\n',
    });
    daemon = await sandbox.startDaemon();
    await daemon.addProject(root);
  });

  const at = (...args: string[]): Promise<CommandResult> =>
    codekeep(sandbox, ...args, '--socket', daemon.socket);

  /** A command that has to end well; gives what it printed. */
  async function done(...args: string[]): Promise<string> {
    const { status, stdout, stderr } = await at(...args);
    assert.deepEqual([status, stderr], [0, ''], args.join(' '));
    return stdout;
  }

  async function json(...args: string[]): Promise<Record<string, unknown>> {
    return JSON.parse(await done(...args, '--json')) as Record<string, unknown>;
  }

  test('call prints the result as JSON', async () => {
    const health = JSON.parse(await done('call', 'health')) as { pid: number };
    assert.equal(health.pid, daemon.pid);
    const status = JSON.parse(
      await done('call', 'get_project_status', JSON.stringify({ root_dir: root })),
    ) as object;
    assert.ok('freshness' in status);
  });

  test('a reader that has seen enough is no error', async () => {
    const script = '"$@" | head -c 1; echo "${PIPESTATUS[0]}"';
    const words = [process.execPath, program, 'call', 'rpc.discover', '--socket', daemon.socket];
    const { stdout, stderr } = await run(sandbox, 'bash', ['-c', script, 'bash', ...words]);
    assert.deepEqual([stdout, stderr], ['{0\n', '']);
  });

  test('a call that fails: status 1, the error and its hint on stderr', async () => {
    const failed = await at('call', 'list_files', '{"root_dir": "/no/such/project"}');
    assert.deepEqual([failed.status, failed.stdout], [1, '']);
    assert.match(failed.stderr, /^codekeep: .*\/no\/such\/project.*\n {2}\S/);
    const asJson = await at('restore', 'none.py', '--project', root, '--json');
    const { error } = JSON.parse(asJson.stderr) as { error: Record<string, string> };
    assert.deepEqual([asJson.status, error['code']], [1, 'FILE_NOT_FOUND']);
    assert.ok((error['hint'] ?? '').length > 0);
    assert.equal((await at('call', 'no_such_method')).status, 1);
  });

  test('wrong usage: status 2', async () => {
    for (const args of [
      ['frobnicate'],
      ['status', '--frobnicate'],
      ['call'],
      ['call', 'health', 'not json'],
      ['worker', 'start', 'no_such_worker'],
      ['search'],
      ['search', 'x', '--mode', 'telepathic'],
      ['search', 'x', '--limit', 'many'],
      ['logs'],
      ['logs', 'no_such_log'],
    ]) {
      const { status, stdout, stderr } = await codekeep(sandbox, ...args);
      assert.deepEqual([status, stdout], [2, ''], args.join(' '));
      assert.notEqual(stderr, '', args.join(' '));
    }
    assert.equal((await codekeep(sandbox)).status, 2, 'no command at all');
  });

  test('help and version are no errors', async () => {
    for (const args of [['--help'], ['help'], ['repair', '--help'], ['worker', 'start', '--help']]) {
      const { status, stdout } = await codekeep(sandbox, ...args);
      assert.equal(status, 0, args.join(' '));
      assert.match(stdout, /Usage: codekeep/);
    }
    const { status, stdout } = await codekeep(sandbox, '--version');
    assert.deepEqual([status, /^\d+\.\d+\.\d+\n$/.test(stdout)], [0, true]);
  });

  test('no supervisor: status 3, whatever the command', async () => {
    const nowhere = ['--socket', sandbox.path('none.sock')];
    for (const args of [
      ['status'],
      ['stop'],
      ['call', 'health'],
      ['add', root],
      ['remove', root],
      ['check'],
      ['backup'],
      ['jobs'],
      ['events'],
      ['update', root],
      ['repair'],
      ['deleted', root],
      ['restore', 'a.py'],
      ['history'],
      ['diff', 'a.py'],
      ['show', 'a.py@10m'],
      ['checkpoint', 'before'],
      ['checkpoint', '--list'],
      ['rewind', '10m', '--yes'],
      ['purge', 'a.py', '--yes'],
      ['undo'],
      ['search', 'x'],
      ['worker', 'start', 'repair'],
      ['worker', 'stop', 'repair'],
      ['worker', 'status'],
      ['logs', 'supervisor'],
    ]) {
      const { status, stdout, stderr } = await codekeep(sandbox, ...args, ...nowhere);
      assert.deepEqual([status, stdout], [3, ''], args.join(' '));
      assert.match(stderr, /codekeep serve/, 'it says how to start one');
    }
  });

  test('Ctrl-C while it waits: status 130', async () => {
    const status = await daemon.call('get_worker_status', {});
    assert.ok('workers' in status);
    const service = status.workers.find(({ worker_type }) => worker_type === 'index_service')?.processes[0]
      ?.pid;
    assert.ok(service !== undefined);
    process.kill(service, 'SIGSTOP');
    const sockets = openSockets(daemon.pid);
    try {
      const child = sandbox.spawn(process.execPath, [
        program,
        'call',
        'list_projects',
        '--socket',
        daemon.socket,
      ]);
      const ended = once(child, 'close');
      await waitFor('it is connected', () => openSockets(daemon.pid) > sockets);
      child.kill('SIGINT');
      const [code] = (await within('the command ends', ended)) as [number | null];
      assert.equal(code, 130);
    } finally {
      process.kill(service, 'SIGCONT');
    }
  });

  test('Ctrl-C during a repair cancels it at a safe point, and ends with status 130', async () => {
    const other = await sandbox.project(manyFiles(40));
    const project = await daemon.addProject(other);
    addLostRows(daemon, project, 900);
    const child = sandbox.spawn(process.execPath, [
      program,
      'repair',
      other,
      '--deleted-since',
      '1h',
      '--socket',
      daemon.socket,
    ]);
    let stderr = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    const ended = once(child, 'close');
    await daemon.untilItApplies(60_000);
    child.kill('SIGINT');
    const [code] = (await within('the command ends', ended)) as [number | null];
    assert.equal(code, 130);
    assert.match(stderr, /^cancelling; .*\ncodekeep: "codekeep repair" was cancelled\.\n {2}\S/);
    const { runs } = await daemon.call('list_repairs', { project_id: project.project_id });
    assert.equal(runs[0]?.state, 'cancelled', 'it was over when the command ended');
    await daemon.call('remove_project', { project_id: project.project_id });
  });

  test('the socket is found by state directory and by environment, too', async () => {
    const byState = await codekeep(sandbox, 'call', 'health', '--state-dir', daemon.stateDir);
    assert.equal(byState.status, 0, byState.stderr);
    const script = `CODEKEEP_SOCKET='${daemon.socket}' exec '${process.execPath}' "$0" call health`;
    const byEnvironment = await run(sandbox, 'sh', ['-c', script, program]);
    assert.equal(byEnvironment.status, 0, byEnvironment.stderr);
  });

  test('status, for people and for scripts', async () => {
    const text = await done('status');
    assert.match(text, new RegExp(`codekeep .* is ok \\(pid ${daemon.pid}`));
    assert.match(text, /file_watcher +ready/);
    assert.ok(text.includes(`${root}: `) && text.includes('3 files'));
    const { health, projects } = await json('status');
    assert.equal((health as { pid: number }).pid, daemon.pid);
    assert.equal((projects as unknown[]).length, 1);
  });

  test('add and update', async () => {
    assert.match(await done('add', root), /known already/);
    const other = await sandbox.project({ 'x.py': 'x = 1\n' });
    const added = await json('add', other, '--name', 'other');
    assert.deepEqual([added['root_dir'], added['created'], added['name']], [other, true, 'other']);
    assert.match(await done('update', other), /1 unchanged|1 added/);
    assert.deepEqual((await json('update', other))['files_deleted'], 0);
    await daemon.call('remove_project', { root_dir: other });
  });

  test('worker start, stop and status', async () => {
    assert.match(
      await done('worker', 'start', 'repair', '--poll-interval', '3600', '--batch-size', '5'),
      /ready \(pid \d+\)/,
    );
    assert.equal((await json('worker', 'start', 'repair'))['success'], false);
    assert.match(await done('worker', 'status'), /repair +ready +pid \d+/);
    assert.equal((await json('worker', 'status', 'repair'))['is_running'], true);
    assert.ok(Array.isArray((await json('worker', 'status'))['workers']));
    assert.match(await done('worker', 'stop', 'repair'), /ended in order/);
    assert.equal((await json('worker', 'stop', 'repair', '--force', '--timeout', '1'))['success'], true);
  });

  test('repair --dry-run, repair, deleted and restore', async () => {
    await done('worker', 'stop', 'file_watcher');
    await rm(join(root, 'b.py'));
    const plan = await json('repair', root, '--dry-run');
    assert.deepEqual(
      (plan['files_restored_from_cst'] as { path: string }[]).map(({ path }) => path),
      ['b.py'],
    );
    const planned = await done('repair', root, '--dry-run');
    assert.match(planned, /to be restored/);
    assert.match(planned, /dry run, nothing was changed: 3 files checked, 1 to be restored/);
    const repaired = await done('repair', root);
    assert.match(repaired, /restored from the syntax tree.*1/);
    assert.match(repaired, /backup of the index: /);
    assert.match(await done('repair', '--no-resume'), /nothing to do/);
    assert.deepEqual((await json('repair', root, '--force'))['dry_run'], false);

    assert.match(await done('deleted', root), /no file is marked deleted/);
    await daemon.call('delete_file', { root_dir: root, path: 'c.py' });
    assert.match(await done('deleted', root), /c\.py/);
    assert.equal(((await json('deleted', root))['files'] as unknown[]).length, 1);
    assert.match(await done('restore', 'c.py', '--project', root, '--dry-run'), /1 to be restored/);
    assert.deepEqual((await json('restore', '--prefix', 'c', '--project', root))['restored'], [
      { path: 'c.py' },
    ]);
    await done('worker', 'start', 'file_watcher');
  });

  test('search', async () => {
    const text = await done('search', 'parse', 'header', '--project', root, '--mode', 'fulltext');
    assert.match(text, /a\.py:1-2 +parse_header\n/);
    const { results } = await json('search', 'parse header', '--limit', '1', '--mode', 'fulltext');
    assert.deepEqual(
      (results as { path: string }[]).map(({ path }) => path),
      ['a.py'],
    );
  });

  test('logs', async () => {
    assert.match(await done('logs', 'supervisor', '--tail', '5'), /^\d{4}-\d\d-\d\dT.* (info|warn) /m);
    const { entries } = await json('logs', 'file_watcher', '--grep', 'ready', '--level', 'info');
    assert.ok((entries as unknown[]).length > 0);
  });

  test('socat: a request in, its reply out', async () => {
    const recipe = `echo '{"jsonrpc":"2.0","id":1,"method":"health"}' | socat -t 600 - UNIX-CONNECT:${daemon.socket}`;
    const { status, stdout } = await run(sandbox, 'sh', ['-c', recipe]);
    assert.equal(status, 0);
    const reply = JSON.parse(stdout) as { id: number; result: { pid: number } };
    assert.deepEqual([reply.id, reply.result.pid], [1, daemon.pid]);
  });

  test('socat and jq: pretty-printed requests, several on one stream, and a slow call is waited for', async () => {
    const recipe = `{ jq -n --arg dir "${root}" '{jsonrpc: "2.0", id: 1, method: "update_indexes", params: {root_dir: $dir}}'
      jq -n '{jsonrpc: "2.0", id: 2, method: "repair_database", params: {dry_run: true}}'
      } | socat -t 600 - UNIX-CONNECT:${daemon.socket} | jq -c .id`;
    const { status, stdout, stderr } = await run(sandbox, 'sh', ['-c', recipe]);
    assert.deepEqual([status, stderr, stdout.trim().split('\n').sort()], [0, '', ['1', '2']]);
  });
});
