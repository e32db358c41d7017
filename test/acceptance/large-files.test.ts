import assert from 'node:assert/strict';
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { versionPath } from '../harness/daemon.js';
import { Sandbox } from '../harness/sandbox.js';
import { filesOf, treeHash } from '../harness/trees.js';

const config = { autostart: ['file_watcher'], max_file_bytes: 1_000 };
const large = Buffer.alloc(5_000, 'large\n');

test('a file that is too large for the index is moved into versions and back, with every byte and mode', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n', 'folder/large': { content: large, mode: 0o640 } });
  const daemon = await sandbox.startDaemon({ config });
  const project = await daemon.addProject(root);
  const { project_id } = project;
  const before = filesOf(root);
  for (let round = 0; round < 2; round += 1) {
    await daemon.call('delete_file', { project_id, path: 'folder/large' });
    assert.deepEqual(readFileSync(versionPath(project, 'folder/large')), large);
    const { files } = await daemon.call('list_deleted_files', { project_id });
    assert.deepEqual(
      files.map(({ path, restorable }) => ({ path, restorable })),
      [{ path: 'folder/large', restorable: true }],
    );
    const choice = { project_id, paths: ['folder/large'] };
    const planned = await daemon.call('restore_deleted_files', { ...choice, dry_run: true });
    const done = await daemon.call('restore_deleted_files', choice);
    assert.deepEqual(planned.restored, done.restored);
    assert.deepEqual(filesOf(root), before);
    assert.equal(filesOf(versionPath(project)).size, 0, 'it was moved');
    await daemon.call('wait_until_fresh', { project_id });
    assert.deepEqual(await daemon.paths(project_id, true), []);
  }
});

test('a copy in versions that was changed is refused as it is, by the dry run as well', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n', large });
  const daemon = await sandbox.startDaemon({ config });
  const project = await daemon.addProject(root);
  const choice = { project_id: project.project_id, paths: ['large'] };
  await daemon.call('delete_file', { project_id: project.project_id, path: 'large' });
  const fd = openSync(versionPath(project, 'large'), 'r+');
  writeSync(fd, 'X', 100);
  closeSync(fd);
  const trees = (): string[] => [treeHash(root), treeHash(project.version_dir)];
  const before = trees();
  for (const dry_run of [true, false]) {
    const refusal = await daemon.refusal('restore_deleted_files', { ...choice, dry_run });
    assert.equal(refusal.code, 'FILE_NOT_FOUND');
    assert.match(refusal.message, /large .*hash/);
    assert.deepEqual(trees(), before);
  }
});

test('a repair moves back what is too large for the index', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n', large });
  const daemon = await sandbox.startDaemon({ config: { ...config, autostart: [] } });
  const project = await daemon.addProject(root);
  const { project_id } = project;
  await daemon.call('delete_file', { project_id, path: 'large' });
  await daemon.call('restore_deleted_files', { project_id, paths: ['large'] });
  // It is in versions, and nothing says that it was deleted.
  await daemon.call('delete_file', { project_id, path: 'large' });
  daemon.sql((db) =>
    db.prepare("UPDATE files SET deleted = 0, cause = NULL, revived = 1 WHERE path = 'large'").run(),
  );
  const planned = await daemon.repair({ project_id, dry_run: true });
  const done = await daemon.repair({ project_id });
  assert.deepEqual(
    done.files_restored_from_cst.map(({ path }) => path),
    ['large'],
    JSON.stringify(done),
  );
  assert.deepEqual(planned.files_restored_from_cst, done.files_restored_from_cst);
  assert.deepEqual(readFileSync(join(root, 'large')), large);
  assert.equal((await daemon.repair({ project_id })).files_restored_from_cst.length, 0);
});
