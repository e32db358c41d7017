import assert from 'node:assert/strict';
import { unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Daemon, Project } from '../harness/daemon.js';
import { moveIntoVersions, versionPath } from '../harness/daemon.js';
import { isAlive } from '../harness/processes.js';
import { manyFiles, Sandbox } from '../harness/sandbox.js';
import { filesOf } from '../harness/trees.js';
import { waitFor } from '../harness/waiting.js';

const files = { 'a.py': 'a = 1\n', 'b.py': 'b = 1\n', 'c.py': 'c = 1\n', 'd.py': 'd = 1\n' };

function mark(daemon: Daemon, { project_id }: Project, path: string): void {
  daemon.sql((db) =>
    db
      .prepare('UPDATE files SET deleted = 1, deleted_at = 1 WHERE project_id = ? AND path = ?')
      .run(project_id, path),
  );
}

/** Waits for a round that began after now. */
async function nextRound(daemon: Daemon): Promise<void> {
  const { rounds } = await daemon.call('repair_worker_status');
  await waitFor(
    'two more rounds',
    async () => (await daemon.call('repair_worker_status')).rounds >= rounds + 2,
  );
}

test('start, status and graceful stop', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project(files);
  const daemon = await sandbox.startDaemon();
  await daemon.addProject(root);
  const idle = await daemon.call('repair_worker_status');
  assert.deepEqual([idle.state, idle.is_running, idle.processes], ['stopped', false, []]);

  const started = await daemon.call('start_repair_worker', { poll_interval: 3_600, batch_size: 2 });
  assert.deepEqual([started.success, started.worker_type], [true, 'repair']);
  assert.equal(isAlive(started.pid), true);

  const again = await daemon.call('start_repair_worker', {});
  assert.deepEqual([again.success, again.pid], [false, started.pid]);

  const status = await waitFor('the first round', async () => {
    const seen = await daemon.call('repair_worker_status');
    return seen.rounds >= 1 && seen;
  });
  assert.deepEqual([status.state, status.is_running], ['ready', true]);
  assert.deepEqual(status.last_round, { checked: 4, repaired: 0, skipped: 0 });
  assert.equal(status.halted_reason, null);
  assert.deepEqual(
    status.processes.map(({ pid }) => pid),
    [started.pid],
  );
  assert.ok((status.processes[0]?.memory_mb ?? 0) > 1);

  const before = performance.now();
  const stopped = await daemon.call('stop_repair_worker', { timeout: 10 });
  assert.ok(performance.now() - before < 2_000, 'a stop does not wait for the poll interval');
  assert.deepEqual(
    [stopped.success, stopped.failed, stopped.killed.map(({ pid, graceful }) => [pid, graceful])],
    [true, [], [[started.pid, true]]],
  );
  assert.equal(isAlive(started.pid), false);

  const none = await daemon.call('stop_repair_worker', {});
  assert.deepEqual([none.success, none.killed, none.failed], [true, [], []]);
});

test('without a watcher it does everything that is safe', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project(files);
  const original = filesOf(root);
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  const project = await daemon.addProject(root);
  unlinkSync(join(root, 'a.py'));
  await moveIntoVersions(project, 'b.py');
  mark(daemon, project, 'c.py');
  await daemon.call('start_repair_worker', { poll_interval: 0.05, batch_size: 1 });
  await nextRound(daemon);
  const found = filesOf(root, ['data']);
  assert.deepEqual([...found.keys()], ['a.py', 'c.py', 'd.py']);
  assert.deepEqual(found.get('a.py'), original.get('a.py'));
  assert.deepEqual([...filesOf(versionPath(project)).keys()], ['a.py', 'b.py']);
  assert.deepEqual(await daemon.paths(project.project_id, true), ['b.py']);
  const { last_round, halted_reason } = await daemon.call('repair_worker_status');
  assert.deepEqual([last_round, halted_reason], [{ checked: 4, repaired: 0, skipped: 0 }, null]);
  const { runs } = await daemon.call('list_repairs', { root_dir: root });
  assert.deepEqual(
    runs.map(({ origin, state, actions }) => [origin, state, actions]),
    [['worker', 'done', 3]],
  );
  mark(daemon, project, 'd.py');
  await waitFor('what is marked later is unmarked, too', async () => {
    return (await daemon.paths(project.project_id)).includes('d.py');
  });
});

test('missing files are left to a watcher that runs', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project(files);
  const daemon = await sandbox.startDaemon({ config: { autostart: ['file_watcher'] } });
  const project = await daemon.addProject(root);
  await daemon.call('start_repair_worker', { poll_interval: 0.05 });
  unlinkSync(join(root, 'a.py'));
  await waitFor('the watcher marks it', async () => {
    return (await daemon.paths(project.project_id, true)).includes('a.py');
  });
  await nextRound(daemon);
  assert.deepEqual([...filesOf(root, ['data']).keys()], ['b.py', 'c.py', 'd.py'], 'a deletion is not undone');
});

test('it halts at the brake, and says why', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project(manyFiles(40));
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  const project = await daemon.addProject(root);
  const files40 = [...filesOf(root).keys()];
  for (const path of files40) unlinkSync(join(root, path));
  daemon.sql((db) => db.prepare('UPDATE projects SET root_ino = 1').run());
  await daemon.call('start_repair_worker', { poll_interval: 0.05 });
  const { halted_reason } = await waitFor('it halts', async () => {
    const status = await daemon.call('repair_worker_status');
    return status.halted_reason !== null && status;
  });
  assert.match(halted_reason ?? '', /40 of 40/);
  assert.deepEqual(await daemon.paths(project.project_id), files40.sort());
  assert.deepEqual([...filesOf(root, ['data']).keys()], []);
});

test('what cannot be restored is remembered and reported, and does not stop the rest', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project(files);
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  // The scrub names what is damaged.
  daemon.mayLogErrors = true;
  const project = await daemon.addProject(root);
  daemon.sql((db) =>
    db
      .prepare(
        "UPDATE contents SET tree = x'00' WHERE sha256 = (SELECT sha256 FROM files WHERE path = 'a.py')",
      )
      .run(),
  );
  unlinkSync(join(root, 'a.py'));
  unlinkSync(join(root, 'b.py'));
  await daemon.call('start_repair_worker', { poll_interval: 0.05 });
  await nextRound(daemon);
  const { last_round } = await daemon.call('repair_worker_status');
  assert.deepEqual(last_round, { checked: 4, repaired: 0, skipped: 1 });
  assert.deepEqual([...filesOf(root, ['data']).keys()], ['b.py', 'c.py', 'd.py']);
  const report = await daemon.repair({ project_id: project.project_id, dry_run: true });
  assert.deepEqual(
    report.unrestorable.map(({ path }) => path),
    ['a.py'],
  );
});

test('a project that is not registered is refused at the start', async (t) => {
  const sandbox = await Sandbox.create(t);
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  const error = await daemon.refusal('start_repair_worker', { root_dir: sandbox.path('unknown') });
  assert.equal(error.code, 'PROJECT_NOT_FOUND');
});

test('a versions directory that cannot be one is refused at the start', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n' });
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  const { project_id } = await daemon.addProject(root);
  for (const version_dir of ['a.py', '/etc']) {
    const { code, message } = await daemon.refusal('start_repair_worker', { project_id, version_dir });
    assert.deepEqual([code, message.includes('version_dir')], ['INVALID_PARAMS', true]);
  }
  assert.equal(await daemon.workerPid('repair'), null);
});
