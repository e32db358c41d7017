import assert from 'node:assert/strict';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { codekeep } from '../harness/command.js';
import { childrenOf, isAlive, stateOf } from '../harness/processes.js';
import { Sandbox } from '../harness/sandbox.js';
import { waitFor, within } from '../harness/waiting.js';

suite('codekeep stop', () => {
  test('ends when the daemon and all its workers are gone', async (t) => {
    const sandbox = await Sandbox.create(t);
    const daemon = await sandbox.startDaemon({ config: {} });
    await daemon.addProject(await sandbox.project({ 'a.py': 'a = 1\n' }));
    const processes = [daemon.pid, ...childrenOf(daemon.pid).map(({ pid }) => pid)];
    assert.equal(processes.length, 4);
    const { status, stdout, stderr } = await codekeep(sandbox, 'stop', '--socket', daemon.socket);
    assert.deepEqual(processes.filter(isAlive), []);
    assert.deepEqual([status, stderr], [0, '']);
    assert.match(stdout, /^stopped: 4 processes, in \d+ ms\n$/);
    assert.deepEqual(await within('its exit', daemon.exited), { code: 0, signal: null });
    assert.equal((await codekeep(sandbox, 'stop', '--socket', daemon.socket)).status, 3, 'there is none now');
  });

  test('saves an index that was removed under the daemon, and says where', async (t) => {
    const sandbox = await Sandbox.create(t);
    const root = await sandbox.project({ 'a.py': 'a = 1\n', 'late.py': 'late = "precious"\n' });
    const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
    daemon.mayLogErrors = true;
    const { project_id } = await daemon.addProject(root);
    rmSync(join(root, 'late.py'));
    for (const end of ['', '-wal', '-shm']) rmSync(join(daemon.stateDir, `index.db${end}`));
    const { status, stdout, stderr } = await codekeep(sandbox, 'stop', '--socket', daemon.socket);
    assert.deepEqual([status, stdout], [1, '']);
    const said = /index\.db or its log was removed, .* saved: (\S+)\. .*"codekeep restore-backup (\S+)"/u;
    const [, path = '', named] = said.exec(stderr) ?? [];
    assert.equal(named, path);
    assert.ok(existsSync(path), stderr);
    assert.deepEqual(await within('its exit', daemon.exited), { code: 1, signal: null });
    assert.match(daemon.stderr, said);
    daemon.expectedStderr = daemon.stderr;

    const next = await sandbox.startDaemon({ config: { autostart: [] } });
    next.mayLogErrors = true;
    await next.call('restore_backup', { path });
    const { content } = await next.call('get_file', { project_id, path: 'late.py' });
    assert.equal(content, 'late = "precious"\n');
  });

  test('a SIGTERM saves the index of a state directory that was removed, too', async (t) => {
    const sandbox = await Sandbox.create(t);
    const root = await sandbox.project({ 'a.py': 'a = 1\n', 'late.py': 'late = "precious"\n' });
    const daemon = await sandbox.startDaemon();
    daemon.mayLogErrors = true;
    const { project_id } = await daemon.addProject(root);
    await daemon.call('delete_file', { project_id, path: 'late.py' });
    // Its logs may be written to meanwhile.
    rmSync(daemon.stateDir, { recursive: true, maxRetries: 10 });
    assert.deepEqual(await daemon.stop(), { code: 1, signal: null });
    assert.match(daemon.stderr, /saved: \S+\/backups\/index-\S+\.db\. .*"codekeep restore-backup /u);
    daemon.expectedStderr = daemon.stderr;

    const next = await sandbox.startDaemon({ config: { autostart: [] } });
    next.mayLogErrors = true;
    await next.call('rebuild_database');
    const { content } = await next.call('get_file', { project_id, path: 'late.py' });
    assert.equal(content, 'late = "precious"\n');
  });

  test('says what is left when its time is over', async (t) => {
    const sandbox = await Sandbox.create(t);
    const daemon = await sandbox.startDaemon({ config: { worker_stop_timeout: 600 } });
    const watcher = await waitFor('the watcher', () => daemon.workerPid('file_watcher'));
    process.kill(watcher, 'SIGSTOP');
    try {
      const { status, stdout, stderr } = await codekeep(
        sandbox,
        'stop',
        '--timeout',
        '0.5',
        '--socket',
        daemon.socket,
      );
      assert.deepEqual([status, stdout], [4, '']);
      assert.match(
        stderr,
        new RegExp(`^codekeep: Still there after 0\\.5 s: .*file_watcher \\(pid ${watcher}\\)`),
      );
    } finally {
      process.kill(watcher, 'SIGCONT');
    }
    await within('its exit', daemon.exited);
  });

  test('returns where the supervisor does not answer, names it, and leaves it alone', async (t) => {
    const sandbox = await Sandbox.create(t);
    const daemon = await sandbox.startDaemon();
    const byState = ['--state-dir', daemon.stateDir];
    const bySocket = ['--socket', daemon.socket];
    process.kill(daemon.pid, 'SIGSTOP');
    try {
      for (const where of [byState, bySocket]) {
        const { status, stdout, stderr } = await codekeep(sandbox, 'stop', '--timeout', '1', ...where);
        assert.deepEqual([status, stdout], [1, '']);
        const says = `^codekeep: The supervisor \\(pid ${daemon.pid}\\) is halted.*\n {2}.*kill -CONT ${daemon.pid}`;
        assert.match(stderr, new RegExp(says));
        assert.equal(stateOf(daemon.pid), 'T', 'nobody signalled it');
      }
    } finally {
      process.kill(daemon.pid, 'SIGCONT');
    }
    assert.equal((await daemon.call('health')).pid, daemon.pid);
    assert.equal((await codekeep(sandbox, 'stop', ...byState)).status, 0);
    await within('its exit', daemon.exited);
  });
});
