import assert from 'node:assert/strict';
import { symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { CodekeepError } from '#src/rpc/client/client.js';
import { versionPath } from '../harness/daemon.js';
import { Sandbox } from '../harness/sandbox.js';
import { treeHash } from '../harness/trees.js';
import { waitFor } from '../harness/waiting.js';

test('a project below another one owns its files; adding and removing it moves none and loses no history', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({
    'a.py': 'a = 1\n',
    'inner/b.py': 'b = 1\n',
    'inner/gone.py': 'g = 1\n',
  });
  const daemon = await sandbox.startDaemon({
    config: { autostart: ['file_watcher'], reconcile_interval: 3_600 },
  });
  const outer = await daemon.addProject(root);
  await daemon.call('delete_file', { project_id: outer.project_id, path: 'inner/gone.py' });
  const before = [treeHash(root), treeHash(versionPath(outer))];
  const outerHas = async (active: string[], ignored: number): Promise<void> => {
    // Nobody asks for it: the watcher hears that a project came or went below its root.
    await waitFor(`the outer project has ${active.join(', ')}`, async () => {
      const { files } = await daemon.call('get_project_status', { project_id: outer.project_id });
      assert.equal(files.ignored, ignored);
      assert.deepEqual(await daemon.paths(outer.project_id), active);
      return true;
    });
    assert.deepEqual(await daemon.paths(outer.project_id, true), ['inner/gone.py']);
    assert.deepEqual([treeHash(root), treeHash(versionPath(outer))], before);
  };

  const inner = await daemon.addProject(join(root, 'inner'));
  assert.equal(inner.created, true);
  assert.deepEqual(await daemon.paths(inner.project_id), ['b.py']);
  await outerHas(['a.py'], 1);
  await daemon.call('remove_project', { project_id: inner.project_id });
  await outerHas(['a.py', 'inner/b.py'], 0);
  await daemon.call('restore_deleted_files', { project_id: outer.project_id, paths: ['inner/gone.py'] });
});

test('a project below one that is added later stays its own, and both are followed', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n', 'inner/b.py': 'b = 1\n' });
  const daemon = await sandbox.startDaemon();
  const inner = await daemon.addProject(join(root, 'inner'));
  const outer = await daemon.addProject(root);
  writeFileSync(join(root, 'inner/c.py'), 'c = 1\n');
  writeFileSync(join(root, 'd.py'), 'd = 1\n');
  for (const { project_id } of [inner, outer]) await daemon.call('wait_until_fresh', { project_id });
  assert.deepEqual(await daemon.paths(inner.project_id), ['b.py', 'c.py']);
  assert.deepEqual(await daemon.paths(outer.project_id), ['a.py', 'd.py']);
});

test('the same root is one project, by whatever path it is named', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n' });
  const daemon = await sandbox.startDaemon();
  const { project_id } = await daemon.addProject(root);
  symlinkSync(root, sandbox.path('link'));
  const names = [
    `${root}/`,
    sandbox.path('link'),
    `${sandbox.path('link')}/`,
    join(root, '.', '..', 'project-1'),
  ];
  if (sandbox.mount(sandbox.path('bound'), '--bind', root)) names.push(sandbox.path('bound'));
  else t.diagnostic('a bind mount cannot be made here');
  for (const root_dir of names) {
    const again = await daemon.call('add_project', { root_dir });
    assert.deepEqual([again.project_id, again.created, again.root_dir], [project_id, false, root], root_dir);
  }
  assert.equal((await daemon.call('list_projects')).projects.length, 1);
});

test('a project keeps the versions directory that it was registered with', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n' });
  const daemon = await sandbox.startDaemon();
  const version_dir = join(root, 'data/versions');
  const first = await daemon.call('add_project', { root_dir: root, version_dir: 'data/versions' });
  assert.equal(first.version_dir, version_dir);
  for (const same of [version_dir, 'data/versions', undefined]) {
    const again = await daemon.call('add_project', { root_dir: root, version_dir: same });
    assert.deepEqual([again.created, again.version_dir], [false, version_dir]);
  }
  await assert.rejects(
    daemon.call('add_project', { root_dir: root, version_dir: 'elsewhere' }),
    (error) =>
      error instanceof CodekeepError &&
      error.code === 'INVALID_PARAMS' &&
      error.message.includes(version_dir),
  );
});

test('project_id and root_dir may be given together where they are of one project', async (t) => {
  const sandbox = await Sandbox.create(t);
  const [one, other] = [await sandbox.project({ 'a.py': '' }), await sandbox.project({ 'b.py': '' })];
  const daemon = await sandbox.startDaemon();
  const { project_id } = await daemon.addProject(one);
  await daemon.addProject(other);
  symlinkSync(one, sandbox.path('link'));
  for (const root_dir of [one, `${one}/`, sandbox.path('link')])
    assert.equal((await daemon.call('get_project_status', { project_id, root_dir })).root_dir, one);
  await assert.rejects(
    daemon.call('get_project_status', { project_id, root_dir: other }),
    (error) =>
      error instanceof CodekeepError &&
      error.code === 'PROJECT_NOT_FOUND' &&
      error.message === `Project ${project_id} is at ${one}, and not at ${other}.`,
  );
});
