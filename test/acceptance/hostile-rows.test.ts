import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, suite, test } from 'node:test';
import { type Daemon, type Project, type RepairReport, versionPath } from '../harness/daemon.js';
import { Sandbox } from '../harness/sandbox.js';
import { filesOf, treeHash } from '../harness/trees.js';

/** Paths that no row of the product ever has, put there by another hand. */
const hostilePaths = [
  '../outside/x.py',
  '../../x.py',
  'a/../../outside/x.py',
  'a/..',
  '..',
  '.',
  './x.py',
  'a//x.py',
  'a/./x.py',
  'folder/',
  '/x.py',
  '//x.py',
  'nul\0x.py',
  '',
  `${'long/'.repeat(1_000)}x.py`,
];

function addRow(daemon: Daemon, { project_id }: Project, path: string, deleted: number): void {
  daemon.sql((db) =>
    db
      .prepare(
        `INSERT INTO files (project_id, path, deleted, size, mtime_ns, ino, mode, language, sha256, updated_at)
         SELECT project_id, ?, ?, size, mtime_ns, ino, mode, language, sha256, updated_at
         FROM files WHERE project_id = ? AND path = 'kept.py'`,
      )
      .run(path, deleted, project_id),
  );
}

suite('hostile rows', () => {
  const sandbox = Sandbox.ofSuite();
  let daemon: Daemon;
  let project: Project;
  let outside: string;
  let outsideBefore: string;
  let planned: RepairReport;
  let report: RepairReport;
  let absolute: string;

  before(async () => {
    const root = await sandbox.project({
      'kept.py': 'kept = 1\n',
      'lost.py': 'lost = 1\n',
      'swapped/inner/a.py': 'a = 1\n',
      'folder-in-the-way.py': 'b = 1\n',
      'file/above.py': 'c = 1\n',
      'symlink-at.py': 'd = 1\n',
      'dangling-at.py': 'e = 1\n',
      'fifo-at.py': 'f = 1\n',
      'versions-folder.py': 'g = 1\n',
      'versions-symlink/h.py': 'h = 1\n',
    });
    outside = sandbox.path('outside');
    await mkdir(join(outside, 'inner'), { recursive: true });
    await writeFile(join(outside, 'sentinel.py'), 'do not touch\n');
    absolute = join(outside, 'absolute.py');
    daemon = await sandbox.startDaemon({ config: { autostart: [] } });
    project = await daemon.addProject(root);
    const at = (path: string): string => join(root, path);
    await rm(at('lost.py'));
    await rm(at('swapped'), { recursive: true });
    await symlink(outside, at('swapped'));
    await rm(at('folder-in-the-way.py'));
    await mkdir(at('folder-in-the-way.py'));
    await rm(at('file'), { recursive: true });
    await writeFile(at('file'), 'not a folder\n');
    await rm(at('symlink-at.py'));
    await symlink(join(outside, 'sentinel.py'), at('symlink-at.py'));
    await rm(at('dangling-at.py'));
    await symlink(join(outside, 'nothing'), at('dangling-at.py'));
    await rm(at('fifo-at.py'));
    execFileSync('mkfifo', [at('fifo-at.py')]);
    await rm(at('versions-folder.py'));
    await mkdir(versionPath(project, 'versions-folder.py'), { recursive: true });
    await rm(at('versions-symlink'), { recursive: true });
    await symlink(outside, versionPath(project, 'versions-symlink'));
    for (const path of [...hostilePaths, absolute]) addRow(daemon, project, path, 0);
    addRow(daemon, project, '../outside/deleted.py', 1);
    outsideBefore = treeHash(outside);
  });

  test('are found by a dry run', async () => {
    planned = await daemon.repair({ project_id: project.project_id, dry_run: true });
    assert.equal(treeHash(outside), outsideBefore);
  });

  test('are refused and reported, one by one, and the run goes on with the rest', async () => {
    report = await daemon.repair({ project_id: project.project_id });
    assert.deepEqual(
      report.files_restored_from_cst.map(({ path }) => path),
      ['lost.py'],
    );
    const expected = [
      ...hostilePaths,
      absolute,
      '../outside/deleted.py',
      'swapped/inner/a.py',
      'folder-in-the-way.py',
      'file/above.py',
      'symlink-at.py',
      'dangling-at.py',
      'fifo-at.py',
      'versions-folder.py',
      'versions-symlink/h.py',
    ];
    assert.deepEqual(report.conflicts.map(({ path }) => path).sort(), expected.sort());
    assert.ok(report.conflicts.every(({ reason }) => reason !== ''));
    assert.deepEqual(report.conflicts, planned.conflicts);
    assert.deepEqual([report.unknown, report.unrestorable, report.errors], [[], [], []]);
  });

  test('nothing is written outside, and nothing that was in the way is touched', () => {
    assert.equal(treeHash(outside), outsideBefore);
    const tree = filesOf(project.root_dir, ['data']);
    assert.equal(tree.get('symlink-at.py')?.content, join(outside, 'sentinel.py'));
    assert.equal(existsSync(join(outside, 'nothing')), false);
    assert.deepEqual([...tree.keys()].sort(), [
      'dangling-at.py',
      'fifo-at.py',
      'file',
      'kept.py',
      'lost.py',
      'swapped',
      'symlink-at.py',
    ]);
    assert.deepEqual([...filesOf(versionPath(project)).keys()], ['lost.py', 'versions-symlink']);
  });

  test('the background worker leaves them alone, too', async () => {
    await daemon.call('start_repair_worker', { poll_interval: 0.05 });
    for (;;) {
      const { rounds, last_round } = await daemon.call('repair_worker_status');
      if (rounds < 2) continue;
      assert.deepEqual([last_round?.repaired, last_round?.skipped], [0, report.conflicts.length]);
      break;
    }
    assert.equal(treeHash(outside), outsideBefore);
  });

  test('restore_deleted_files refuses them', async () => {
    const paths = ['../outside/deleted.py'];
    const error = await daemon.refusal('restore_deleted_files', { project_id: project.project_id, paths });
    assert.equal(error.code, 'PATH_OUTSIDE_ROOT');
    const all = await daemon.refusal('restore_deleted_files', {
      project_id: project.project_id,
      path_prefix: '',
    });
    assert.equal(all.code, 'PATH_OUTSIDE_ROOT');
    assert.equal(treeHash(outside), outsideBefore);
  });

  test('delete_file and get_file never leave the project', async () => {
    const { project_id } = project;
    for (const path of ['../outside/sentinel.py', join(outside, 'sentinel.py'), 'swapped/sentinel.py']) {
      const error = await daemon.refusal('delete_file', { project_id, path });
      assert.equal(error.code, 'PATH_OUTSIDE_ROOT', path);
    }
    assert.equal(
      (await daemon.refusal('get_file', { project_id, path: '../outside/sentinel.py' })).code,
      'PATH_OUTSIDE_ROOT',
    );
    assert.equal(treeHash(outside), outsideBefore);
  });
});

test('a versions directory that became a symlink is not written through', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n', 'kept.py': 'k = 1\n' });
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  await daemon.addProject(root, { version_dir: 'data/versions' });
  const outside = sandbox.path('outside');
  await mkdir(outside);
  await symlink(outside, join(root, 'data'));
  const planned = await daemon.repair({ root_dir: root, dry_run: true });
  assert.equal(planned.totals['restore_from_cst'], 0);
  await rm(join(root, 'a.py'));
  const report = await daemon.repair({ root_dir: root });
  assert.deepEqual(report.files_restored_from_cst, []);
  assert.equal(report.conflicts.length + report.errors.length + report.unknown.length, 1);
  assert.deepEqual([...filesOf(outside).keys()], []);
});

test('a root that became a symlink to another folder is not written through', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n', 'kept.py': 'k = 1\n' });
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  const project = await daemon.addProject(root);
  const outside = sandbox.path('outside');
  await mkdir(outside);
  await rename(root, `${root}.away`);
  await symlink(outside, root);
  const report = await daemon.repair({ project_id: project.project_id });
  assert.deepEqual(report.files_restored_from_cst, []);
  assert.equal(report.unknown.length + report.conflicts.length, 2, report.message);
  assert.deepEqual([...filesOf(outside).keys()], []);
});
