import assert from 'node:assert/strict';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { before, suite, test } from 'node:test';
import { codekeep, type CommandResult, run } from '../harness/command.js';
import type { Daemon } from '../harness/daemon.js';
import { program, Sandbox } from '../harness/sandbox.js';

suite('exit statuses', () => {
  const sandbox = Sandbox.ofSuite();
  let daemon: Daemon;
  let root: string;

  before(async () => {
    root = await sandbox.project({ 'a.py': 'def parse_header(text):\n    return text\n', 'b.py': 'b = 1\n' });
    daemon = await sandbox.startDaemon({ config: { autostart: [] } });
    await daemon.addProject(root);
  });

  const at = (...args: string[]): Promise<CommandResult> =>
    codekeep(sandbox, ...args, '--socket', daemon.socket);

  test('1 where nothing was found, as grep has it; a list without entries is no search', async () => {
    const nowhere = await at('search', 'zzzznowhere', '--mode', 'fulltext');
    assert.deepEqual([nowhere.status, nowhere.stderr], [1, '']);
    assert.match(nowhere.stdout, /^nothing found\n/);
    assert.equal((await at('search', 'zzzznowhere', '--mode', 'fulltext', '--json')).status, 1);
    assert.equal((await at('search', 'parse header', '--mode', 'fulltext')).status, 0);
    assert.equal((await at('logs', 'supervisor', '--grep', 'zzzznowhere')).status, 1);
    assert.equal((await at('logs', 'repair')).status, 0);
    assert.equal((await at('deleted', root)).status, 0);
  });

  test('1 where what it says is lost', async () => {
    const words = [
      '-c',
      'exec "$0" "$@" > /dev/full',
      process.execPath,
      program,
      'status',
      '--socket',
      daemon.socket,
    ];
    const { status, stderr } = await run(sandbox, 'sh', words);
    assert.equal(status, 1);
    assert.match(stderr, /the output cannot be written: .*ENOSPC/);
  });

  const wrong: [args: string[], says: RegExp][] = [
    [['search', 'x', '--limit', '1000'], /^codekeep: --limit: /],
    [['search', ''], /^codekeep: <query>: /],
    [['logs', 'supervisor', '--level', 'loud'], /^codekeep: --level: /],
    [['logs', 'supervisor', '--tail', '0'], /^codekeep: --tail: /],
    [['worker', 'start', 'repair', '--batch-size', '0'], /^codekeep: --batch-size: /],
    [['worker', 'stop', 'repair', '--timeout', '-1'], /^codekeep: --timeout: /],
    [['stop', '--timeout', '-3'], /option '--timeout <seconds>' argument '-3' is invalid/],
    [['stop', '--timeout', '1e12'], /option '--timeout <seconds>' argument '1e12' is invalid/],
    [['jobs', '--cancel'], /^codekeep: --cancel /],
    [['events', 'weather'], /topics/],
    [['remove', ''], /'dir'.* empty/],
    [['repair', ''], /'dir'.* empty/],
    [['search', 'x', '--project', ''], /--project.* empty/],
    [['status', '-C', '/no/such/folder'], /^codekeep: -C \/no\/such\/folder: ENOENT/],
    [['search', 'x', '--nope'], /unknown option '--nope'/],
    [['search', '--limit'], /option '--limit <\w+>' argument missing/],
    [['nope'], /unknown command 'nope'/],
  ];
  for (const [args, says] of wrong) {
    test(`2 for wrong usage, in words of the command line: ${args.join(' ')}`, async () => {
      const { status, stdout, stderr } = await at(...args);
      assert.deepEqual([status, stdout], [2, '']);
      assert.match(stderr, says);
      assert.doesNotMatch(stderr, /data\.issues|params|[a-z]_[a-z]/, 'nothing of the wire');
      const asJson = await at(...args, '--json');
      const { error } = JSON.parse(asJson.stderr) as { error: { message: string; hint: string } };
      assert.deepEqual([asJson.status, asJson.stdout, error.hint !== ''], [2, '', true]);
      assert.match(`codekeep: ${error.message}`, says);
    });
  }

  const emptyPaths = [
    ['rewind', '10m', '', '--yes'],
    ['rewind', '10m', 'a.py', '', '--yes'],
    ['restore', ''],
    ['restore', 'a.py', '--as', ''],
    ['history', ''],
    ['show', ''],
    ['purge', '', '--yes'],
    ['diff', ''],
  ];
  for (const args of emptyPaths)
    test(`2 for an empty path, which names no file and not the whole project: ${args.join(' ')}`, async () => {
      const { status, stdout, stderr } = await at('-C', root, ...args);
      assert.deepEqual([status, stdout], [2, '']);
      assert.match(stderr, /^codekeep: A path is empty\.\n/u);
    });

  test('2 for a project that cannot be one', async () => {
    const { status, stderr } = await at('add', join(root, 'a.py'));
    assert.deepEqual(
      [status, stderr],
      [2, 'codekeep: [dir]: is not a folder\n  Give the folder, not a file in it.\n'],
    );
    const asJson = await at('add', join(root, 'a.py'), '--json');
    const { error } = JSON.parse(asJson.stderr) as { error: { message: string } };
    assert.deepEqual([asJson.status, error.message], [2, '[dir]: is not a folder']);
  });

  test('2 for a socket path that the kernel would cut off', async () => {
    const args = ['--state-dir', sandbox.path('other'), '--socket', sandbox.path('s'.repeat(108))];
    for (const command of ['serve', 'status', 'stop', 'doctor']) {
      const { status, stdout, stderr } = await codekeep(sandbox, command, ...args);
      assert.deepEqual([status, stdout], [2, ''], command);
      assert.match(
        stderr,
        /^codekeep: The socket path .* is longer than 107 bytes\.\n {2}Give a shorter one/,
      );
    }
  });

  test('2 for what is not the user’s own, with what to give instead', async () => {
    for (const dir of ['/', '/proc', '/sys/fs', '/dev', daemon.stateDir]) {
      const { status, stderr } = await at('add', dir);
      const says = 'codekeep: [dir]: cannot be a project\n  Give a folder of your own files.\n';
      assert.deepEqual([status, stderr], [2, says], dir);
    }
  });

  test('call is about methods and params: it speaks their words, and a refusal is a call that failed', async () => {
    const { status, stderr } = await at('call', 'search', '{"query": "x", "limit": 1000}');
    assert.equal(status, 1);
    assert.match(stderr, /limit[^]*data\.issues/);
  });

  test('a hint names the command, and for call the method', async () => {
    const unknown = await at('remove', '/no/such/project');
    assert.match(
      unknown.stderr,
      /\n {2}Call "codekeep status" to see .*, or "codekeep add" to register one\.\n$/,
    );
    const deleted = await at('restore', 'a.py', '--project', root);
    assert.match(deleted.stderr, /\n {2}.*"codekeep deleted"/);
    const called = await at('call', 'remove_project', '{"root_dir": "/no/such/project"}');
    assert.match(called.stderr, /\n {2}Call list_projects /);
  });

  test('4 where a repair leaves something that a person must look at, foreseen by the dry run', async () => {
    const other = await sandbox.project({ 'lost.py': 'lost = 1\n' });
    const project = await daemon.addProject(other);
    assert.equal((await at('repair', other, '--dry-run')).status, 0);
    await rm(join(other, 'lost.py'));
    await mkdir(join(other, 'lost.py'));
    for (const args of [['--dry-run'], ['--dry-run', '--json'], [], ['--json']]) {
      const { status, stdout, stderr } = await at('repair', other, ...args);
      assert.deepEqual([status, stderr], [4, ''], args.join(' '));
      assert.match(stdout, /lost\.py/);
    }
    assert.equal((await at('remove', other)).status, 0);
    assert.equal(
      (await daemon.refusal('get_project_status', { project_id: project.project_id })).code,
      'PROJECT_NOT_FOUND',
    );
  });

  test('4 where check finds damage', async () => {
    const whole = await at('check', '--deep');
    assert.deepEqual([whole.status, whole.stderr], [0, '']);
    assert.match(whole.stdout, /^the index is whole, \d+ contents checked, in \d+ ms\n$/);
    daemon.sql((db) => db.exec("UPDATE contents SET tree = x'00' WHERE size = 6"));
    const damaged = await at('check', '--deep');
    assert.equal(damaged.status, 4, damaged.stdout);
    assert.match(damaged.stdout, /1 problems/);
    assert.equal((await at('check', '--deep', '--json')).status, 4);
  });

  test('the help says what they mean', async () => {
    const { stdout } = await codekeep(sandbox, '--help');
    for (const status of ['0 done', '2 wrong usage', '3 no supervisor', '4 done but', '130 interrupted'])
      assert.ok(stdout.replaceAll(/\s+/g, ' ').includes(status), status);
  });
});
