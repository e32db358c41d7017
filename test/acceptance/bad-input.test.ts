import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, suite, test } from 'node:test';
import type { CodekeepError, RpcError } from '#src/rpc/client/client.js';
import type { Daemon, Project } from '../harness/daemon.js';
import { Sandbox } from '../harness/sandbox.js';
import { checkedReply, exchange, request } from '../rpc/service.js';

suite('bad input', () => {
  const sandbox = Sandbox.ofSuite();
  let daemon: Daemon;
  let project: Project;
  let pids: (number | null)[];

  const workers = (): Promise<(number | null)[]> =>
    Promise.all([daemon.workerPid('file_watcher'), daemon.workerPid('vectorization')]);

  before(async () => {
    const root = await sandbox.project({ 'a.py': 'a = 1\n', 'b.py': 'b = 1\n' });
    daemon = await sandbox.startDaemon({ config: {} });
    project = await daemon.addProject(root);
    pids = await workers();
  });

  /** The reply to bytes that no client of ours would send. */
  async function reply(...bytes: (string | Buffer)[]): Promise<[unknown, number | undefined]> {
    const [first] = await exchange(daemon.socket, ...bytes);
    const { id, error } = checkedReply(first);
    return [id, error?.code];
  }

  function issuesOf(error: CodekeepError | RpcError): string[] {
    assert.ok('details' in error, String(error));
    return (error.details['issues'] as { param: string }[]).map(({ param }) => param);
  }

  const wrongParams: [string, unknown, string[]][] = [
    ['health', { surplus: 1 }, ['surplus']],
    ['list_files', {}, ['root_dir']],
    ['list_files', { root_dir: '/', path_prefix: './src' }, ['path_prefix']],
    ['list_changes', { root_dir: '/', path_prefix: '../src' }, ['path_prefix']],
    ['rewind', { root_dir: '/', to: '1m', path_prefix: '/src' }, ['path_prefix']],
    ['list_files', { project_id: 'no uuid' }, ['project_id']],
    ['list_files', { root_dir: 1, limit: 'x', deleted: 'yes' }, ['root_dir', 'deleted', 'limit']],
    ['list_files', { root_dir: '/x', limit: 0 }, ['limit']],
    ['list_files', { root_dir: '/x', limit: 1_001 }, ['limit']],
    ['get_file', { root_dir: '/x' }, ['path']],
    ['add_project', {}, ['root_dir']],
    ['add_project', { root_dir: 'relative' }, ['root_dir']],
    ['add_project', { root_dir: '/' }, ['root_dir']],
    ['repair_database', { dry_run: 'yes' }, ['dry_run']],
    ['repair_database', { dryrun: true }, ['dryrun']],
    ['restore_deleted_files', { root_dir: '/x' }, ['paths']],
    ['restore_deleted_files', { root_dir: '/x', paths: ['a', 1] }, ['paths[1]']],
    ['start_worker', { worker_type: 'index_service' }, ['worker_type']],
    ['start_repair_worker', { batch_size: 0, poll_interval: -1 }, ['batch_size', 'poll_interval']],
    ['stop_worker', { worker_type: 'repair', timeout: 0 }, ['timeout']],
    ['search', { query: '' }, ['query']],
    ['search', ['words', null, null, 'telepathic'], ['mode']],
    ['view_worker_logs', { worker_type: 'supervisor', from_time: 'yesterday' }, ['from_time']],
    ['subscribe', { topics: Array.from({ length: 12_000 }, () => 'nope') }, ['topics']],
    ['health', Object.fromEntries(Array.from({ length: 8_000 }, (_, n) => [`p${n}`, n])), ['params']],
  ];

  for (const [method, params, names] of wrongParams) {
    test(`${method} ${JSON.stringify(params).slice(0, 100)} names ${names.join(', ')}`, async () => {
      const error = await daemon.failure(method, params);
      assert.ok('code' in error && error.code === 'INVALID_PARAMS', String(error));
      assert.deepEqual(issuesOf(error), names);
    });
  }

  test('unknown methods are -32601, with a hint', async () => {
    for (const method of ['repair_databse', 'constructor', '__proto__', 'toString', '']) {
      const [first] = await exchange(daemon.socket, request(1, method));
      const { error, id } = checkedReply(first);
      assert.deepEqual([id, error?.code], [1, -32601], method);
    }
  });

  test('what is no JSON is -32700, what is no request is -32600', async () => {
    assert.deepEqual(await reply('{"jsonrpc": "2.0", "method": '), [null, -32700]);
    assert.deepEqual(await reply('not json\n'), [null, -32700]);
    assert.deepEqual(await reply(Buffer.from([0xff, 0xfe, 0x00, 0x0a])), [null, -32700]);
    for (const text of [
      '1',
      'null',
      '""',
      '{}',
      '{"jsonrpc":"2.0","id":1}',
      '{"jsonrpc":"1.0","id":1,"method":"health"}',
    ])
      assert.deepEqual((await reply(`${text}\n`))[1], -32600, text);
    assert.deepEqual((await reply('[]'))[1], -32600);
  });

  test('unknown projects are -32001', async () => {
    for (const method of [
      'get_project_status',
      'list_files',
      'list_deleted_files',
      'remove_project',
      'repair_database',
    ] as const) {
      for (const reference of [
        { root_dir: '/no/such/project' },
        { project_id: '00000000-0000-4000-8000-000000000000' },
      ]) {
        const error = await daemon.refusal(method, reference);
        assert.equal(error.code, 'PROJECT_NOT_FOUND', method);
      }
    }
    const [first] = await exchange(daemon.socket, request(7, 'list_files', { root_dir: '/no/such/project' }));
    const { error } = checkedReply(first);
    assert.deepEqual([error?.code, error?.data['code']], [-32001, 'PROJECT_NOT_FOUND']);
    assert.match(error?.data.hint ?? '', /list_projects|add_project/);
  });

  test('paths outside are -32014, unknown files -32002, unknown runs and jobs -32016', async () => {
    const { project_id } = project;
    for (const path of ['../x', '/etc/passwd', 'a/../../x', './a.py', 'a//b'])
      assert.equal((await daemon.refusal('get_file', { project_id, path })).code, 'PATH_OUTSIDE_ROOT', path);
    for (const method of ['get_file', 'get_ast', 'delete_file'] as const)
      assert.equal(
        (await daemon.refusal(method, { project_id, path: 'none.py' })).code,
        'FILE_NOT_FOUND',
        method,
      );
    assert.equal((await daemon.refusal('get_repair', { run_id: 'none' })).code, 'NOT_FOUND');
    assert.equal((await daemon.refusal('get_job', { job_id: 'none' })).code, 'NOT_FOUND');
    assert.equal((await daemon.refusal('cancel_job', { job_id: 'none' })).code, 'NOT_FOUND');
  });

  test('a root that cannot be read is -32008', async () => {
    const { code } = await daemon.refusal('add_project', { root_dir: sandbox.path('none') });
    assert.equal(code, 'ROOT_UNAVAILABLE');
  });

  test('restoring onto a path that exists is -32003', async () => {
    const { project_id, root_dir } = project;
    await daemon.call('stop_worker', { worker_type: 'file_watcher' });
    await daemon.call('delete_file', { project_id, path: 'b.py' });
    await writeFile(join(root_dir, 'b.py'), 'another\n');
    const error = await daemon.refusal('restore_deleted_files', { project_id, paths: ['b.py'] });
    assert.equal(error.code, 'TARGET_FILE_EXISTS');
    await rm(join(root_dir, 'b.py'));
    await daemon.call('restore_deleted_files', { project_id, paths: ['b.py'] });
    await daemon.call('start_worker', { worker_type: 'file_watcher' });
    // Until a watcher has compared the project, health says that nothing is known of it.
    await daemon.call('wait_until_fresh', { project_id });
  });

  test('a regular expression that is none, or costs too much, is refused', async () => {
    const error = await daemon.refusal('view_worker_logs', {
      worker_type: 'supervisor',
      search_pattern: '(',
    });
    assert.ok(error.code === 'INVALID_PARAMS' || error.code === 'LOG_VIEW_ERROR', error.code);
  });

  test('a message that is too long is refused, and the next connection is served', async () => {
    const [, code] = await reply(
      `{"jsonrpc":"2.0","id":1,"method":"health","params":{"x":"${'x'.repeat(9 * 1024 * 1024)}"}}\n`,
    );
    assert.equal(code, -32013);
    assert.equal((await daemon.call('health')).status, 'ok');
  });

  test('the daemon lives: it is the same, and so are its workers', async () => {
    const health = await daemon.call('health');
    assert.deepEqual([health.pid, health.status], [daemon.pid, 'ok']);
    const [, vectorization] = await workers();
    assert.equal(vectorization, pids[1]);
  });
});

test('a cursor that no page of the same list gave is refused: it is neither the first page nor the last', async (t) => {
  const sandbox = await Sandbox.create(t);
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  const { project_id } = await daemon.addProject(await sandbox.project({ 'a.py': 'a = 1\n', 'b.py': '' }));
  const { run_id } = await daemon.repair({ project_id });
  const page = await daemon.call('list_files', { project_id, limit: 1 });
  const ofFiles = page.next_cursor ?? assert.fail('there is a second page');
  const foreign: Record<string, string> = { list_code_entities: ofFiles, get_repair: ofFiles };
  const methods = [
    'list_files',
    'list_deleted_files',
    'list_unprotected',
    'list_code_entities',
    'get_repair',
  ] as const;
  for (const method of methods)
    for (const cursor of ['nonsense', '0', 'action:x', 'entity:a.py', 'path:', foreign[method] ?? 'a.py']) {
      const error = await daemon.refusal(method, {
        ...(method === 'get_repair' ? { run_id } : { project_id }),
        cursor,
      });
      assert.equal(error.code, 'INVALID_PARAMS', `${method} ${cursor}`);
      assert.deepEqual(error.details['issues'], [
        { param: 'cursor', message: 'is not one that this method gave' },
      ]);
      assert.match(error.hint, /next_cursor of the page before/);
    }
  const { files } = await daemon.call('list_files', { project_id, limit: 1, cursor: ofFiles });
  assert.deepEqual(
    files.map(({ path }) => path),
    ['b.py'],
  );
});
