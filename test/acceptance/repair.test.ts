import assert from 'node:assert/strict';
import { rmSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { before, suite, test } from 'node:test';
import type { Result } from '#src/contract/index.js';
import {
  type Daemon,
  moveIntoVersions,
  type Project,
  type RepairReport,
  versionPath,
} from '../harness/daemon.js';
import { Sandbox } from '../harness/sandbox.js';
import { filesOf, treeHash, type TreeEntry } from '../harness/trees.js';
import { waitFor } from '../harness/waiting.js';

/** The lists of a report that say what is done, by paths. */
function actionsOf(report: RepairReport): Record<string, unknown[]> {
  return {
    unmarked: report.files_in_project_restored,
    marked: report.files_in_versions_marked_deleted,
    restored: report.files_restored_from_cst,
  };
}

function pathsOf(list: readonly { path: string }[]): string[] {
  return list.map(({ path }) => path).sort();
}

/** The mark as only a hand in the database sets it. */
function markDeleted(daemon: Daemon, project: Project, paths: readonly string[]): void {
  daemon.sql((db) => {
    const mark = db.prepare('UPDATE files SET deleted = 1, deleted_at = 1 WHERE project_id = ? AND path = ?');
    db.transaction(() => {
      for (const path of paths) assert.equal(mark.run(project.project_id, path).changes, 1, path);
    })();
  });
}

suite('repair_database of a real source tree', () => {
  const sandbox = Sandbox.ofSuite();
  let daemon: Daemon;
  let project: Project;
  let original: Map<string, TreeEntry>;
  let lost: string[];
  let moved: string[];
  let marked: string[];
  let planned: RepairReport;
  let done: RepairReport;

  before(async () => {
    const root = await sandbox.projectCopy();
    original = filesOf(root);
    daemon = await sandbox.startDaemon({ config: { autostart: ['file_watcher'] } });
    project = await daemon.addProject(root);
    await daemon.stopWorkers('file_watcher', 'vectorization');
    // Spread over the tree, so that the three ways of losing a file meet in the same folders.
    const spread = [...original.keys()].filter((_, index) => index % 13 === 0);
    [lost, moved, marked] = [spread.slice(0, 50), spread.slice(50, 70), spread.slice(70, 90)];
    for (const path of lost) unlinkSync(join(root, path));
    for (const path of moved) await moveIntoVersions(project, path);
    markDeleted(daemon, project, marked);
  });

  test('a dry run lists exactly what was lost, and changes nothing', async () => {
    const state = (): unknown => [treeHash(project.root_dir), treeHash(project.version_dir), daemon.dump()];
    const earlier = state();
    planned = await daemon.repair({ project_id: project.project_id, dry_run: true });
    assert.deepEqual(state(), earlier);
    assert.equal(planned.dry_run, true);
    assert.deepEqual(pathsOf(planned.files_restored_from_cst), lost);
    assert.deepEqual(pathsOf(planned.files_in_versions_marked_deleted), moved);
    assert.deepEqual(pathsOf(planned.files_in_project_restored), marked);
    assert.deepEqual(
      [planned.unrestorable, planned.conflicts, planned.unknown, planned.errors],
      [[], [], [], []],
    );
    const { checked, ok, restore_from_cst, set_deleted, clear_deleted } = planned.totals;
    assert.deepEqual(
      [checked, ok, restore_from_cst, set_deleted, clear_deleted],
      [original.size, original.size - 90, 50, 20, 20],
    );
    assert.equal(planned.backup_path, null);
  });

  test('the run does what the plan said', async () => {
    done = await daemon.repair({ project_id: project.project_id });
    assert.deepEqual(actionsOf(done), actionsOf(planned));
    assert.deepEqual([done.conflicts, done.errors, done.unrestorable], [[], [], []]);
    assert.equal(done.dry_run, false);
    for (const { targets } of done.files_restored_from_cst)
      assert.deepEqual(targets, ['versions', 'project']);
  });

  test('every lost file is back, in the project and in versions, with its bytes and its mode', () => {
    const inProject = filesOf(project.root_dir, ['data']);
    const inVersions = filesOf(versionPath(project));
    for (const path of lost) {
      assert.deepEqual(inProject.get(path), original.get(path), path);
      assert.deepEqual(inVersions.get(path), original.get(path), path);
    }
    for (const path of moved) assert.deepEqual(inVersions.get(path), original.get(path), path);
    const expected = [...original.keys()].filter((path) => !moved.includes(path));
    assert.deepEqual([...inProject.keys()], expected);
    assert.deepEqual([...inVersions.keys()], [...lost, ...moved].sort());
  });

  test('the marks are right', async () => {
    const { project_id } = project;
    assert.deepEqual(await daemon.paths(project_id, true), moved);
    const active = await daemon.paths(project_id);
    assert.deepEqual(
      active,
      [...original.keys()].filter((path) => !moved.includes(path)),
    );
  });

  test('the index was backed up before, and passes its check after', async () => {
    assert.ok(done.backup_path !== null && filesOf(join(done.backup_path, '..')).size > 0);
    assert.deepEqual((await daemon.call('check_database', { deep: true })).problems, []);
  });

  test('get_repair pages through all actions of the run', async () => {
    type Action = Result<'get_repair'>['actions'][number];
    const actions: Action[] = [];
    let cursor: string | undefined;
    do {
      const page = await daemon.call('get_repair', {
        run_id: done.run_id,
        limit: 40,
        ...(cursor === undefined ? {} : { cursor }),
      });
      assert.ok(page.actions.length <= 40);
      assert.deepEqual([page.runs[0]?.state, page.runs[0]?.actions], ['done', 90]);
      actions.push(...page.actions);
      cursor = page.next_cursor ?? undefined;
    } while (cursor !== undefined);
    assert.deepEqual(pathsOf(actions), [...lost, ...moved, ...marked].sort());
    assert.ok(actions.every(({ state }) => state === 'done'));
    const { runs } = await daemon.call('list_repairs', { project_id: project.project_id });
    assert.deepEqual([runs[0]?.run_id, runs[0]?.origin], [done.run_id, 'command']);
  });

  test('a second run has no actions', async () => {
    const again = await daemon.repair({ project_id: project.project_id });
    assert.deepEqual(actionsOf(again), { unmarked: [], marked: [], restored: [] });
    assert.equal(again.totals['ok'], original.size);
  });
});

test('a dry run leaves running workers alone', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'def a():\n    return 1\n', 'b.txt': 'b\n' });
  const daemon = await sandbox.startDaemon();
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
