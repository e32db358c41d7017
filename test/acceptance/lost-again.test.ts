import assert from 'node:assert/strict';
import { rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, suite, test } from 'node:test';
import { type Daemon, versionPath } from '../harness/daemon.js';
import { actionsOf, pathsOf } from '../harness/repairs.js';
import { Sandbox } from '../harness/sandbox.js';
import { filesOf } from '../harness/trees.js';

const files = { 'a.py': 'a = 1\n', 'run.sh': { content: '#!/bin/sh\n', mode: 0o755 }, 'kept.py': 'k = 1\n' };
const lost = ['a.py', 'run.sh'];

suite('a file that is lost once more', () => {
  const sandbox = Sandbox.ofSuite();
  let daemon: Daemon;

  before(async () => {
    // Without a watcher everything that is missing is lost.
    daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  });

  test('comes back into the project each time, although versions have its copy', async () => {
    const root = await sandbox.project(files);
    const original = filesOf(root);
    const project = await daemon.addProject(root);
    const { project_id } = project;
    for (const time of [1, 2, 3]) {
      for (const path of lost) unlinkSync(join(root, path));
      const planned = await daemon.repair({ project_id, dry_run: true });
      const done = await daemon.repair({ project_id });
      assert.deepEqual(actionsOf(done), actionsOf(planned), `time ${time}`);
      assert.deepEqual(pathsOf(done.files_restored_from_cst), lost, `time ${time}`);
      assert.deepEqual(filesOf(root), original, `time ${time}`);
      assert.deepEqual(await daemon.paths(project_id, true), []);
      assert.deepEqual([...filesOf(versionPath(project)).keys()], lost, 'the same content is kept once');
    }
  });

  test('comes back after it was deleted and restored', async () => {
    const root = await sandbox.project(files);
    const original = filesOf(root);
    const { project_id } = await daemon.addProject(root);
    for (const path of lost) await daemon.call('delete_file', { project_id, path });
    await daemon.call('restore_deleted_files', { project_id, paths: lost });
    for (const path of lost) unlinkSync(join(root, path));
    const { files_restored_from_cst } = await daemon.repair({ project_id });
    assert.deepEqual(pathsOf(files_restored_from_cst), lost);
    assert.deepEqual(filesOf(root), original);
  });

  test('comes back with its last content where versions have an older one', async () => {
    const root = await sandbox.project(files);
    const project = await daemon.addProject(root);
    const { project_id } = project;
    await daemon.call('delete_file', { project_id, path: 'a.py' });
    writeFileSync(join(root, 'a.py'), 'a = 2\n');
    await daemon.call('update_indexes', { project_id });
    const newer = filesOf(root);
    rmSync(join(root, 'a.py'));
    const { files_restored_from_cst } = await daemon.repair({ project_id });
    assert.deepEqual(pathsOf(files_restored_from_cst), ['a.py']);
    assert.deepEqual(filesOf(root), newer);
    const kept = [...filesOf(versionPath(project)).values()].map(({ content }) => content);
    assert.equal(new Set(kept).size, 2, 'both contents are kept');
  });
});
