import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { before, suite, test } from 'node:test';
import type { Daemon } from '../harness/daemon.js';
import { Sandbox } from '../harness/sandbox.js';

suite('logs and worker status', () => {
  const sandbox = Sandbox.ofSuite();
  let daemon: Daemon;

  before(async () => {
    const root = await sandbox.project({ 'a.py': 'a = 1\n' });
    daemon = await sandbox.startDaemon();
    await daemon.addProject(root);
  });

  test('the first status of a worker has its memory, its age and what it does', async () => {
    const status = await daemon.call('get_worker_status', { worker_type: 'file_watcher' });
    assert.ok('processes' in status);
    const [process] = status.processes;
    assert.ok(process !== undefined && process.memory_mb > 1 && process.uptime_seconds > 0);
    assert.ok(Math.abs(Date.now() - Date.parse(process.create_time)) < 60_000);
    assert.deepEqual([status.internal, status.restarts, status.last_exit], [false, 0, null]);
    assert.equal(status.summary.process_count, 1);
    assert.equal(status.summary.total_memory_mb, process.memory_mb);
  });

  test('a status without a type lists all workers, index_service marked internal', async () => {
    const all = await daemon.call('get_worker_status', {});
    assert.ok('workers' in all);
    assert.deepEqual(
      all.workers.map(({ worker_type, internal }) => [worker_type, internal]),
      [
        ['index_service', true],
        ['file_watcher', false],
        ['vectorization', false],
        ['repair', false],
      ],
    );
  });

  test('logs are listed, and read by level, pattern, time and number', async () => {
    const { log_files } = await daemon.call('list_worker_logs', { worker_type: 'supervisor' });
    assert.equal(log_files.length, 1);
    const worker_type = 'supervisor';
    const all = await daemon.call('view_worker_logs', { worker_type });
    assert.ok(all.entries.length > 0 && all.entries.some(({ message }) => message.includes('listens on')));
    const found = await daemon.call('view_worker_logs', {
      worker_type,
      search_pattern: 'listens? on',
      log_levels: ['info'],
    });
    assert.deepEqual([found.entries.length, found.filtered_lines], [1, 1]);
    const none = await daemon.call('view_worker_logs', { worker_type, log_levels: ['debug'] });
    assert.deepEqual(none.entries, []);
    const future = new Date(Date.now() + 60_000).toISOString();
    assert.deepEqual((await daemon.call('view_worker_logs', { worker_type, from_time: future })).entries, []);
    const last = await daemon.call('view_worker_logs', { worker_type, tail: 1 });
    assert.deepEqual(last.entries, all.entries.slice(-1));
  });

  test('a rotation begins new files and keeps the old ones, up to the given number', async () => {
    const worker_type = 'file_watcher';
    const earlier = await daemon.call('view_worker_logs', { worker_type });
    for (let round = 1; round <= 3; round += 1) {
      const { rotated_paths } = await daemon.call('rotate_worker_logs', { worker_type, backup_count: 2 });
      assert.ok(rotated_paths.length > 0 && rotated_paths.every((path) => existsSync(path)));
      await daemon.call('stop_worker', { worker_type });
      await daemon.call('start_worker', { worker_type });
    }
    const { log_files } = await daemon.call('list_worker_logs', { worker_type });
    assert.equal(log_files.length, 3, 'the new one and two backups');
    const { entries } = await daemon.call('view_worker_logs', { worker_type });
    assert.ok(earlier.entries.length > 0 && entries.length > 0);
  });
});
