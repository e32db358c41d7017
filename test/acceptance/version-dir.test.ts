import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { before, suite, test } from 'node:test';
import { type Daemon, versionPath } from '../harness/daemon.js';
import { withoutPrivileges } from '../harness/command.js';
import { actionsOf, pathsOf } from '../harness/repairs.js';
import { manyFiles, Sandbox, writeFiles } from '../harness/sandbox.js';
import { filesOf, treeHash, treeOf } from '../harness/trees.js';

const files = manyFiles(30);
const types = ['file_watcher', 'vectorization'] as const;

/** What a project has at `data`, and where a symlink there may lead. */
function dataOf(root: string): unknown[] {
  const inside = [...treeOf(root)].filter(([path]) => path.startsWith('data'));
  return [inside, treeOf(`${root}.data`).size, existsSync(`${root}.nowhere`)];
}

suite('where versions go', () => {
  const sandbox = Sandbox.ofSuite();
  let daemon: Daemon;

  const pids = (): Promise<(number | null)[]> => Promise.all(types.map((type) => daemon.workerPid(type)));

  before(async () => {
    // Permissions count for it, whoever runs the tests.
    daemon = await sandbox.startDaemon({ config: { autostart: types }, under: withoutPrivileges() });
  });

  const layouts: Record<string, (root: string) => void> = {
    'data is a symlink that leads somewhere': (root) => {
      mkdirSync(`${root}.data`);
      symlinkSync(`${root}.data`, join(root, 'data'));
    },
    'data is a symlink that leads nowhere': (root) => symlinkSync(`${root}.nowhere`, join(root, 'data')),
    "data/versions is a folder of the user's own": (root) => {
      mkdirSync(join(root, 'data/versions'), { recursive: true });
      writeFileSync(join(root, 'data/versions/v1.py'), 'v = 1\n');
    },
  };
  for (const [what, lay] of Object.entries(layouts)) {
    test(`${what}: deletions and repairs go by the state directory`, async () => {
      const root = await sandbox.project(files);
      lay(root);
      const earlier = dataOf(root);
      const project = await daemon.addProject(root);
      const { project_id } = project;
      assert.equal(project.version_dir, join(daemon.stateDir, 'versions'));
      const isOwn = existsSync(join(root, 'data/versions'));
      assert.equal((await daemon.paths(project_id)).includes('data/versions/v1.py'), isOwn);

      unlinkSync(join(root, 'folder0/file0.py'));
      assert.equal((await daemon.call('wait_until_fresh', { project_id })).freshness, 'fresh');
      assert.deepEqual([...filesOf(versionPath(project)).keys()], ['folder0/file0.py']);

      await daemon.stopWorkers('file_watcher');
      for (const number of [1, 2, 3]) unlinkSync(join(root, `folder0/file${number}.py`));
      const planned = await daemon.repair({ project_id, dry_run: true });
      const done = await daemon.repair({ project_id });
      await daemon.call('start_worker', { worker_type: 'file_watcher' });
      assert.deepEqual(actionsOf(planned), actionsOf(done));
      assert.equal(done.files_restored_from_cst.length, 3);
      assert.deepEqual([done.conflicts, done.errors], [[], []]);
      assert.deepEqual(dataOf(root), earlier, 'nothing of it was touched');
    });
  }

  test('a version_dir behind a symlink that leads somewhere is used there', async () => {
    const root = await sandbox.project(files);
    mkdirSync(`${root}.data`);
    symlinkSync(`${root}.data`, join(root, 'data'));
    const project = await daemon.addProject(root, { version_dir: 'data/versions' });
    const { project_id } = project;
    assert.equal(project.version_dir, `${root}.data/versions`);
    await daemon.call('delete_file', { project_id, path: 'folder0/file0.py' });
    assert.deepEqual([...filesOf(versionPath(project)).keys()], ['folder0/file0.py']);

    const other = await daemon.addProject(await sandbox.project(files));
    symlinkSync(`${root}.data`, join(other.root_dir, 'data'));
    const report = await daemon.repair({ project_id: other.project_id, version_dir: 'data/versions' });
    assert.deepEqual([report.version_dir, report.errors], [`${root}.data/versions`, []]);
  });

  const refused: Record<string, [RegExp, (root: string) => void]> = {
    'leads nowhere': [
      /symlink that leads nowhere/,
      (root) => symlinkSync(`${root}.nowhere`, join(root, 'data')),
    ],
    'is not empty': [
      /holds files that are not versions/,
      (root) => {
        mkdirSync(join(root, 'data/versions'), { recursive: true });
        writeFileSync(join(root, 'data/versions/own.txt'), 'own\n');
      },
    ],
    'is a file': [
      /not a folder/,
      (root) => {
        mkdirSync(join(root, 'data'));
        writeFileSync(join(root, 'data/versions'), 'own\n');
      },
    ],
    'has a file above it': [/not a folder|ENOTDIR/, (root) => writeFileSync(join(root, 'data'), 'own\n')],
    'cannot be made': [
      /cannot be written/,
      (root) => {
        mkdirSync(join(root, 'data'));
        chmodSync(join(root, 'data'), 0o555);
      },
    ],
    'cannot be written': [
      /cannot be written/,
      (root) => {
        mkdirSync(join(root, 'data/versions'), { recursive: true });
        chmodSync(join(root, 'data/versions'), 0o555);
      },
    ],
  };
  for (const [what, [words, lay]] of Object.entries(refused)) {
    test(`a version_dir that ${what} is refused in words, before any worker is stopped`, async () => {
      const root = await sandbox.project(files);
      const project = await daemon.addProject(root);
      const fresh = await sandbox.project(files);
      for (const folder of [root, fresh]) lay(folder);
      const earlier = [await pids(), treeHash(root), treeHash(fresh)];
      const calls = [
        ['add_project', { root_dir: fresh, version_dir: 'data/versions' }],
        ...[true, false].map((dry_run) => [
          'repair_database',
          { project_id: project.project_id, version_dir: 'data/versions', dry_run },
        ]),
      ] as const;
      for (const [method, params] of calls) {
        const { code, message } = await daemon.refusal(
          method as 'add_project',
          params as { root_dir: string },
        );
        assert.equal(code, 'INVALID_PARAMS');
        assert.match(message, words);
      }
      assert.deepEqual([await pids(), treeHash(root), treeHash(fresh)], earlier);
      for (const folder of [root, fresh]) chmodSync(folder, 0o755);
    });
  }
});

test('a row whose place in versions is taken is one conflict, in a dry run as in the run', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project(files);
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  const project = await daemon.addProject(root);
  const { project_id } = project;
  const original = filesOf(root);
  await writeFiles(versionPath(project), { 'folder0/file0.py/in the way': 'mine\n' });
  rmSync(join(root, 'folder0'), { recursive: true });
  const planned = await daemon.repair({ project_id, dry_run: true });
  const done = await daemon.repair({ project_id });
  assert.deepEqual(actionsOf(done), actionsOf(planned));
  assert.deepEqual(done.conflicts, planned.conflicts);
  assert.deepEqual(pathsOf(done.conflicts), ['folder0/file0.py']);
  assert.match(done.conflicts[0]?.reason ?? '', /in versions its place is taken by a folder/);
  assert.equal(done.files_restored_from_cst.length, 29);
  const back = filesOf(root);
  for (const path of back.keys()) assert.deepEqual(back.get(path), original.get(path), path);
  assert.equal(back.size, 29);

  renameSync(versionPath(project, 'folder0/file0.py'), sandbox.path('put aside'));
  const rest = await daemon.repair({ project_id });
  assert.deepEqual(pathsOf(rest.files_restored_from_cst), ['folder0/file0.py']);
  assert.deepEqual(filesOf(root), original);
});

test('a folder in which nothing can be made costs the row, and not the repair', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n', 'b.py': 'b = 1\n' });
  // Its own folder is all that it has room for.
  const version_dir = sandbox.path('versions');
  if (!sandbox.mount(version_dir, '-t', 'tmpfs', '-o', 'nr_inodes=1', 'tmpfs'))
    return t.skip('no tmpfs can be mounted here');
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  await daemon.addProject(root);
  unlinkSync(join(root, 'a.py'));
  const report = await daemon.repair({ root_dir: root, version_dir });
  assert.equal(report.errors.length + report.conflicts.length, 1, report.message);
  await daemon.repair({ root_dir: root });
  assert.ok(existsSync(join(root, 'a.py')));
  return undefined;
});

test('a folder of a file system that holds no files is refused', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root_dir = await sandbox.project({ 'a.py': 'a = 1\n' });
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  const { code, message } = await daemon.refusal('add_project', { root_dir, version_dir: '/proc/versions' });
  assert.deepEqual([code, /can hold no files/u.test(message)], ['INVALID_PARAMS', true]);
});

test("a folder among codekeep's own files is refused", async (t) => {
  const sandbox = await Sandbox.create(t);
  const root_dir = await sandbox.project({ 'a.py': 'a = 1\n' });
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  const version_dir = join(daemon.stateDir, 'backups');
  const error = await daemon.refusal('add_project', { root_dir, version_dir });
  assert.deepEqual([error.code, /codekeep's own/u.test(error.message)], ['INVALID_PARAMS', true]);
});

test('a mount point whose disk with the copies is away is neither filled nor believed', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({
    'a.py': 'a = 1\n',
    'b.py': 'b = 1\n',
    'large.bin': 'x'.repeat(20_000),
  });
  const original = filesOf(root);
  const versions = sandbox.path('versions');
  const daemon = await sandbox.startDaemon({
    config: { autostart: ['file_watcher'], max_file_bytes: 10_000 },
  });
  const { project_id } = await daemon.call('add_project', { root_dir: root, version_dir: versions });
  await daemon.call('wait_until_fresh', { project_id });
  await daemon.call('delete_file', { project_id, path: 'large.bin' });
  const disk = sandbox.path('disk');
  renameSync(versions, disk);
  mkdirSync(versions);

  rmSync(join(root, 'a.py'));
  await daemon.call('wait_until_fresh', { project_id });
  const { files: counts } = await daemon.call('get_project_status', { project_id });
  assert.deepEqual([counts.deleted, counts.without_copy], [2, 1]);
  const large = { project_id, paths: ['large.bin'] };
  assert.match((await daemon.refusal('restore_deleted_files', large)).message, /mount its disk/);
  await daemon.stopWorkers('file_watcher');
  rmSync(join(root, 'b.py'));
  for (const dry_run of [true, false]) {
    const { unknown } = await daemon.repair({ project_id, dry_run });
    assert.deepEqual(unknown.map(({ path }) => path).sort(), ['a.py', 'b.py', 'large.bin']);
    assert.match(unknown[0]?.reason ?? '', /mount its disk/);
  }
  assert.deepEqual(readdirSync(versions), []);

  rmSync(versions, { recursive: true });
  renameSync(disk, versions);
  assert.deepEqual(pathsOf((await daemon.repair({ project_id })).files_restored_from_cst), ['a.py', 'b.py']);
  await daemon.call('restore_deleted_files', { project_id, cause: 'asked' });
  await daemon.call('restore_deleted_files', { project_id, paths: ['a.py'] });
  assert.deepEqual(filesOf(root), original);
});
