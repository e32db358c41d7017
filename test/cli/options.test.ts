import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { before, suite, test } from 'node:test';
import { codekeep, run } from '../harness/command.js';
import type { Daemon } from '../harness/daemon.js';
import { program, Sandbox } from '../harness/sandbox.js';
import { waitFor } from '../harness/waiting.js';

suite('options that every command takes', () => {
  const sandbox = Sandbox.ofSuite();
  let daemon: Daemon;
  let root: string;

  before(async () => {
    root = await sandbox.project({ 'a.py': 'a = 1\n' });
    daemon = await sandbox.startDaemon();
    await daemon.addProject(root);
  });

  async function done(...args: string[]): Promise<string> {
    const { status, stdout, stderr } = await codekeep(sandbox, ...args);
    assert.deepEqual([status, stderr], [0, ''], args.join(' '));
    return stdout;
  }

  test('may stand before and after the name of the command', async () => {
    const { socket, stateDir } = daemon;
    for (const args of [
      ['--socket', socket, '--json', 'worker', 'status', 'file_watcher'],
      ['worker', '--socket', socket, 'status', '--json', 'file_watcher'],
      ['worker', 'status', 'file_watcher', '--socket', socket, '--json'],
      ['--state-dir', stateDir, 'worker', 'status', '--json', 'file_watcher'],
    ]) {
      const { worker_type } = JSON.parse(await done(...args)) as { worker_type: string };
      assert.equal(worker_type, 'file_watcher', args.join(' '));
    }
    assert.match(await done('deleted', '-C', root, '--socket', socket), /no file is marked deleted/);
    assert.match(await done('-C', dirname(root), '--socket', socket, 'update', 'project-1'), /1 unchanged/);
  });

  test('--quiet leaves errors and the exit status', async () => {
    assert.equal(await done('status', '--quiet', '--socket', daemon.socket), '');
    const args = ['--quiet', 'search', 'zzzznowhere', '--mode', 'fulltext', '--socket', daemon.socket];
    const nowhere = await codekeep(sandbox, ...args);
    assert.deepEqual([nowhere.status, nowhere.stdout, nowhere.stderr], [1, '', '']);
    const failed = await codekeep(sandbox, '--quiet', 'deleted', '/no/such', '--socket', daemon.socket);
    assert.equal(failed.status, 1);
    assert.match(failed.stderr, /^codekeep: /);
  });

  test('an empty path is wrong usage, and not the working directory', async () => {
    for (const flag of ['--socket', '--state-dir']) {
      const { status, stderr } = await codekeep(sandbox, flag, '', 'status');
      assert.deepEqual([status, stderr.split('\n')[0]], [2, `codekeep: ${flag} is empty.`]);
    }
  });

  test('a working directory that is gone is named, where one is needed', async () => {
    const line = 'cd "$1" && rmdir "$1" && exec "$2" "$3" --socket "$4" add';
    const gone = await sandbox.project({});
    const args = ['-c', line, 'sh', gone, process.execPath, program, daemon.socket];
    const { status, stderr } = await run(sandbox, 'sh', args);
    assert.equal(status, 2, stderr);
    assert.match(stderr, /The working directory is gone\.\n {2}.* -C/);
  });

  test('are in the help of each command', async () => {
    for (const args of [['status'], ['worker', 'start'], ['install']]) {
      const help = await done(...args, '--help');
      for (const option of ['-C <dir>', '--socket <path>', '--json', '--quiet'])
        assert.ok(help.includes(option), `${args.join(' ')}: ${option}`);
    }
  });

  test('remove forgets the project and keeps its files', async () => {
    const other = await sandbox.project({ 'x.py': 'x = 1\n' });
    await daemon.addProject(other);
    const text = await done('remove', other, '--socket', daemon.socket);
    assert.match(text, new RegExp(`^removed: ${other} \\(`));
    assert.equal((await daemon.refusal('get_project_status', { root_dir: other })).code, 'PROJECT_NOT_FOUND');
    assert.ok(existsSync(join(other, 'x.py')));
  });

  test('backup says where the copy is, jobs what ran', async () => {
    assert.match(await done('backup', '--socket', daemon.socket), /^\/.*\/backups\/\S+ \(\d+\.\d MB\)\n$/);
    const [, id = ''] =
      /^(\S+) .* update_indexes +done/m.exec(await done('jobs', '--socket', daemon.socket)) ?? [];
    assert.match(await done('jobs', id, '--socket', daemon.socket), new RegExp(`^${id} .*done`));
  });

  test('events follows until it is interrupted, a line each; all topics where none is named', async () => {
    const child = sandbox.spawn(process.execPath, [program, 'events', '--json', '--socket', daemon.socket]);
    let text = '';
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    const other = await sandbox.project({});
    await waitFor('an event', async () => {
      // The subscription may come after the first of them.
      await daemon.call('add_project', { root_dir: other });
      await daemon.call('remove_project', { root_dir: other });
      return text.includes('"type":"projects"');
    });
    const heard = text.split('\n').slice(0, -1);
    assert.ok(heard.every((line) => 'topic' in (JSON.parse(line) as object)));
    child.kill('SIGINT');
  });
});

/** Another /run in a mount namespace of its own, where this machine lets us have one. */
const ownRun = ['unshare', '--map-root-user', '--mount'];
const canUnshare =
  spawnSync(ownRun[0] ?? '', [...ownRun.slice(1), 'mount', '-t', 'tmpfs', 'none', '/run']).status === 0;
const skip = canUnshare ? false : 'this machine allows no mount namespaces';

test('the socket of the system unit is found where the user has none of his own', { skip }, async (t) => {
  const sandbox = await Sandbox.create(t);
  const daemon = await sandbox.startDaemon();
  await mkdir(sandbox.path('empty'));
  const script = `mount -t tmpfs none /run && mkdir -p "/run/codekeep/$(id -un)" &&
    ln -s "$1" "/run/codekeep/$(id -un)/codekeep.sock" && XDG_STATE_HOME="$2" exec "$3" "$4" call health`;
  const words = [...ownRun.slice(1), 'env', '--unset=XDG_RUNTIME_DIR', 'sh', '-c', script, 'sh'];
  const args = [daemon.socket, sandbox.path('empty'), process.execPath, program];
  const { status, stdout, stderr } = await run(sandbox, 'unshare', [...words, ...args]);
  assert.deepEqual([status, stderr], [0, '']);
  assert.equal((JSON.parse(stdout) as { pid: number }).pid, daemon.pid);
});
