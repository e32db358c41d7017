import assert from 'node:assert/strict';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { codekeep } from '../harness/command.js';
import type { Daemon } from '../harness/daemon.js';
import { pathsOf } from '../harness/repairs.js';
import { manyFiles, Sandbox } from '../harness/sandbox.js';
import { treeHash } from '../harness/trees.js';
import { waitFor } from '../harness/waiting.js';

const files = manyFiles(30);

for (const versions of ['elsewhere', 'below the root'] as const)
  for (const how of ['renamed', 'put on another disk'] as const)
    test(`a project that was ${how} keeps its id, what was deleted, and its versions ${versions}`, async (t) => {
      const sandbox = await Sandbox.create(t);
      const root = await sandbox.project({ ...files, 'old.py': 'old = 1\n', 'undone.py': 'u = 1\n' });
      const before = treeHash(root);
      const daemon = await sandbox.startDaemon();
      const options = versions === 'elsewhere' ? {} : { version_dir: 'data/versions' };
      const { project_id } = await daemon.addProject(root, options);
      await daemon.call('delete_file', { project_id, path: 'old.py' });
      await daemon.stopWorkers('file_watcher');
      unlinkSync(join(root, 'undone.py'));
      const { run_id } = await daemon.repair({ project_id });
      await daemon.call('start_worker', { worker_type: 'file_watcher' });
      await daemon.call('wait_until_fresh', { project_id });
      const moved = sandbox.path('moved');
      if (how === 'put on another disk' && !sandbox.mount(moved, '-t', 'tmpfs', '-o', 'size=8m', 'tmpfs'))
        return t.skip('no tmpfs can be mounted here');
      if (how === 'renamed') renameSync(root, moved);
      else {
        cpSync(root, moved, { recursive: true, preserveTimestamps: true });
        rmSync(root, { recursive: true });
      }
      if (how === 'renamed') {
        const { message, hint } = await daemon.refusal('add_project', { root_dir: moved });
        assert.match(`${message} ${hint}`, new RegExp(`was at ${root}.*codekeep move ${root} ${moved}`, 'u'));
      }
      const done = await codekeep(sandbox, 'move', root, moved, '--socket', daemon.socket);
      assert.equal(done.status, 0, done.stderr);
      assert.equal(done.stdout, `moved: ${project_id} is at ${moved} now\n`);
      await waitFor('it is watched there', async () => {
        const { freshness } = await daemon.call('get_project_status', { root_dir: moved });
        return freshness === 'fresh';
      });
      assert.equal((await daemon.call('wait_until_fresh', { project_id })).freshness, 'fresh');
      assert.equal((await daemon.paths(project_id)).length, 31);
      writeFileSync(join(moved, 'new.py'), 'n = 1\n');
      await waitFor('what is new is followed', async () =>
        (await daemon.paths(project_id)).includes('new.py'),
      );
      unlinkSync(join(moved, 'new.py'));
      await waitFor('what goes is followed', async () =>
        (await daemon.paths(project_id, true)).includes('new.py'),
      );
      assert.deepEqual(await daemon.paths(project_id, true), ['new.py', 'old.py']);
      // What went while nobody watched is judged on the new disk, whatever folder was last seen on the old one.
      await daemon.stopWorkers('file_watcher');
      const lost = (await daemon.paths(project_id)).find((path) => path.includes('/')) ?? '';
      unlinkSync(join(moved, lost));
      assert.deepEqual(pathsOf((await daemon.repair({ project_id })).files_restored_from_cst), [lost]);
      await daemon.call('restore_deleted_files', { project_id, paths: ['old.py'] });
      if (versions === 'below the root') rmSync(join(moved, 'data'), { recursive: true });
      assert.equal(treeHash(moved), before);
      const undone = await daemon.call('undo_repair', { run_id });
      assert.ok('undone' in undone);
      if (how === 'renamed') assert.deepEqual(pathsOf(undone.undone), ['undone.py']);
      assert.equal(existsSync(root), false, 'nothing is made at the old place');
    });

test('a project is moved only to where it is, and while nothing of it is where it was', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project(files);
  const other = await sandbox.project({ 'a.py': 'a = 1\n' });
  const daemon = await sandbox.startDaemon();
  const { project_id } = await daemon.addProject(root);
  await daemon.addProject(other);
  const copy = sandbox.path('copy');
  cpSync(root, copy, { recursive: true });
  const refused = async (new_root_dir: string): Promise<string> =>
    (await daemon.refusal('move_project', { project_id, new_root_dir })).message;
  assert.match(await refused(copy), /which is still there/u);
  renameSync(root, sandbox.path('away'));
  assert.match(await refused(other), /is the project [\da-f-]+ already/u);
  assert.match(await refused(sandbox.path('nothing')), /cannot be read/u);
  assert.match(await refused(join(daemon.stateDir, 'logs')), /cannot be a project/u);
  mkdirSync(sandbox.path('empty'));
  assert.match(await refused(sandbox.path('empty')), /has 0 of the project's 30 files/u);
  // Another folder is no project that was moved, whatever number the disk gives it.
  const { created } = await daemon.call('add_project', { root_dir: sandbox.path('empty') });
  assert.equal(created, true);
  const { root_dir } = await daemon.call('move_project', { project_id, new_root_dir: copy });
  assert.equal(root_dir, copy);
  assert.equal((await daemon.call('wait_until_fresh', { project_id })).freshness, 'fresh');
  assert.deepEqual(await daemon.paths(project_id, true), []);
});

test('after the state directory was lost, a versions directory gives its deleted files back', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({
    ...files,
    'd/gone.py': 'gone = 1\n',
    'twice.py': 'first = 1\n',
    'back.py': 'b = 1\n',
  });
  const versions = sandbox.path('versions');
  const first = await sandbox.startDaemon({ config: { autostart: [] } });
  const { project_id } = await first.addProject(root, { version_dir: versions });
  await first.call('delete_file', { project_id, path: 'd/gone.py' });
  await first.call('delete_file', { project_id, path: 'twice.py' });
  await first.call('delete_file', { project_id, path: 'back.py' });
  writeFileSync(join(root, 'twice.py'), 'second = 1\n');
  await first.call('update_indexes', { project_id });
  await first.call('delete_file', { project_id, path: 'twice.py' });
  await first.stop();
  rmSync(first.stateDir, { recursive: true });
  writeFileSync(join(root, 'back.py'), 'b = 2\n');
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  const { status, stdout } = await codekeep(
    sandbox,
    'add',
    root,
    '--version-dir',
    versions,
    '--socket',
    daemon.socket,
  );
  assert.equal(status, 0);
  assert.match(stdout, /^2 deleted files were found in its versions/mu);
  const again = await daemon.addProject(root);
  assert.equal(again.project_id, project_id);
  assert.deepEqual(await daemon.paths(project_id, true), ['d/gone.py', 'twice.py']);
  await daemon.call('restore_deleted_files', { project_id, path_prefix: '' });
  assert.equal(readFileSync(join(root, 'd/gone.py'), 'utf8'), 'gone = 1\n');
  assert.equal(readFileSync(join(root, 'twice.py'), 'utf8'), 'second = 1\n');
  assert.equal(readFileSync(join(root, 'back.py'), 'utf8'), 'b = 2\n');
  const { totals } = await daemon.repair({ project_id });
  assert.equal(totals['restore_from_cst'], 0);
});

interface TwoProjects {
  daemon: Daemon;
  one: string;
  other: string;
  project_id: string;
  otherId: string;
}

/** Alike in the names of their files. */
async function twoProjects(
  t: TestContext,
  isWatched = false,
  more: readonly string[] = [],
): Promise<TwoProjects> {
  const sandbox = await Sandbox.create(t);
  const filesOf = (name: string, number: number): Record<string, string> => ({
    'a.py': `${name} = ${number}\n`,
    ...Object.fromEntries(more.map((path) => [path, `${path.charAt(0)} = ${number}\n`])),
  });
  const one = await sandbox.project(filesOf('one', 1));
  const other = await sandbox.project(filesOf('other', 2));
  const daemon = await sandbox.startDaemon(isWatched ? {} : { config: { autostart: [] } });
  const { project_id } = await daemon.addProject(one);
  const { project_id: otherId } = await daemon.addProject(other);
  return { daemon, one, other, project_id, otherId };
}

for (const isWatched of [true, false])
  test(`two projects whose folders were swapped are not taken for each other, ${isWatched ? 'watched' : 'unwatched'}`, async (t) => {
    const { daemon, one, other, project_id, otherId } = await twoProjects(t, isWatched, ['b.py', 'gone.py']);
    for (const id of [project_id, otherId])
      await daemon.call('delete_file', { project_id: id, path: 'gone.py' });
    const swap = (): void => {
      renameSync(one, `${one}.aside`);
      renameSync(other, one);
      renameSync(`${one}.aside`, other);
    };
    swap();
    for (const id of [project_id, otherId]) {
      const { message } = await daemon.refusal('update_indexes', { project_id: id });
      assert.match(message, /another project: put each back/u);
      assert.notEqual((await daemon.call('get_project_status', { project_id: id })).freshness, 'fresh');
      const report = await daemon.call('repair_database', { project_id: id });
      assert.ok('unknown' in report);
      assert.match(report.unknown[0]?.reason ?? '', /another project: put each back/u);
      assert.equal((await daemon.call('list_deleted_files', { project_id: id })).files[0]?.path, 'gone.py');
    }
    swap();
    for (const id of [project_id, otherId]) {
      await daemon.call('update_indexes', { project_id: id });
      const { content } = await daemon.call('get_file', { project_id: id, path: 'a.py' });
      assert.equal(content, id === project_id ? 'one = 1\n' : 'other = 2\n');
      assert.equal((await daemon.call('list_deleted_files', { project_id: id })).files[0]?.path, 'gone.py');
    }
  });

test('a folder that took the place of another project on purpose is taken for it once that one is removed', async (t) => {
  const { daemon, one, other, project_id, otherId } = await twoProjects(t);
  rmSync(one, { recursive: true });
  renameSync(other, one);
  const { message } = await daemon.refusal('update_indexes', { project_id });
  assert.match(message, new RegExp(`"codekeep remove ${other}" first`, 'u'));
  await daemon.call('remove_project', { project_id: otherId });
  await daemon.call('update_indexes', { project_id });
  const { content } = await daemon.call('get_file', { project_id, path: 'a.py' });
  assert.equal(content, 'other = 2\n');
});

test('a new folder that has the number of a project that is gone is no other project', async (t) => {
  const { daemon, one, project_id, otherId } = await twoProjects(t);
  const { ino } = statSync(one, { bigint: true });
  daemon.sql((db) => db.prepare('UPDATE projects SET root_ino = ? WHERE id = ?').run(ino, otherId));
  daemon.sql((db) => db.prepare('UPDATE projects SET root_ino = 1 WHERE id = ?').run(project_id));
  writeFileSync(join(one, 'a.py'), 'one = 3\n');
  await daemon.call('update_indexes', { project_id });
  const { content } = await daemon.call('get_file', { project_id, path: 'a.py' });
  assert.equal(content, 'one = 3\n');
});
