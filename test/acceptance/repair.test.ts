import assert from 'node:assert/strict';
import { rmSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { moveIntoVersions, versionPath } from '../harness/daemon.js';
import { markDeleted, pathsOf } from '../harness/repairs.js';
import { Sandbox } from '../harness/sandbox.js';
import { filesOf, treeHash } from '../harness/trees.js';
import { waitFor } from '../harness/waiting.js';

test('a dry run leaves running workers alone', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'def a():\n    return 1\n', 'b.txt': 'b\n' });
  const daemon = await sandbox.startDaemon({ config: {} });
  const project = await daemon.addProject(root);
  await daemon.call('start_repair_worker', { poll_interval: 3_600 });
  const types = ['file_watcher', 'vectorization', 'repair'] as const;
  const pids = (): Promise<(number | null)[]> => Promise.all(types.map((type) => daemon.workerPid(type)));
  await waitFor('the workers have nothing left to do', async () => {
    const { freshness, chunks } = await daemon.call('get_project_status', { root_dir: root });
    const { rounds } = await daemon.call('repair_worker_status');
    return freshness === 'fresh' && chunks.total > 0 && chunks.vectorized === chunks.total && rounds > 0;
  });
  markDeleted(daemon, project, ['b.txt']);
  const earlier = [await pids(), treeHash(root), daemon.dump()];
  const { workers_stopped, workers_resumed, ...report } = await daemon.repair({
    root_dir: root,
    dry_run: true,
  });
  assert.deepEqual([await pids(), treeHash(root), daemon.dump()], earlier);
  assert.ok((await pids()).every((pid) => pid !== null));
  assert.deepEqual(pathsOf(report.files_in_project_restored), ['b.txt']);
  assert.deepEqual([workers_stopped.stopped_count, workers_resumed], [0, []]);
});

test('a row that is deleted and nowhere on disk comes back into versions only', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n', 'kept.py': 'k = 1\n' });
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  const project = await daemon.addProject(root);
  const original = filesOf(root);
  unlinkSync(join(root, 'a.py'));
  markDeleted(daemon, project, ['a.py']);
  const { files_restored_from_cst } = await daemon.repair({ root_dir: root });
  assert.deepEqual(
    files_restored_from_cst.map(({ path, targets }) => ({ path, targets })),
    [{ path: 'a.py', targets: ['versions'] }],
  );
  assert.deepEqual([...filesOf(root, ['data']).keys()], ['kept.py']);
  assert.deepEqual(filesOf(versionPath(project)).get('a.py'), original.get('a.py'));
  assert.deepEqual(await daemon.paths(project.project_id, true), ['a.py']);
});

test('a repair without a project covers all, and one project that is away does not stop the others', async (t) => {
  const sandbox = await Sandbox.create(t);
  const here = await sandbox.project({ 'a.py': 'a = 1\n', 'b.py': 'b = 1\n' });
  const away = await sandbox.project({ 'c.py': 'c = 1\n' });
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  await daemon.addProject(here);
  const gone = await daemon.addProject(away);
  unlinkSync(join(here, 'a.py'));
  rmSync(away, { recursive: true });
  const report = await daemon.call('repair_database', {});
  assert.ok('projects' in report);
  const [first, second] = report.projects;
  assert.deepEqual(pathsOf(first?.files_restored_from_cst ?? []), ['a.py']);
  assert.equal(second?.project_id, gone.project_id);
  assert.deepEqual(second.files_restored_from_cst, []);
  assert.deepEqual([second.unknown.length, second.totals['unknown']], [1, 1]);
  assert.deepEqual([...filesOf(here, ['data']).keys()], ['a.py', 'b.py']);
  assert.equal(treeHash(away), treeHash(sandbox.path('not there')), 'a root that is away is not made');
});

test('version_dir may be given for one run', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n', 'b.py': 'b = 1\n' });
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  const project = await daemon.addProject(root);
  const other = { ...project, version_dir: sandbox.path('other') };
  await moveIntoVersions(other, 'a.py');
  const report = await daemon.repair({ root_dir: root, version_dir: other.version_dir });
  assert.equal(report.version_dir, other.version_dir);
  assert.deepEqual(pathsOf(report.files_in_versions_marked_deleted), ['a.py']);
});
