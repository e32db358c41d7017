import assert from 'node:assert/strict';
import { mkdirSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { versionPath } from '../harness/daemon.js';
import { cannotMount, mountReadOnly, sandboxWithMounts, unmount } from '../harness/mounting.js';
import type { Sandbox } from '../harness/sandbox.js';
import { filesOf } from '../harness/trees.js';
import { waitFor } from '../harness/waiting.js';

/** Deletes a file where no copy can be placed, mends that, and looks at what is said and done in between. */
async function deleteWithoutCopy(
  t: TestContext,
  sandbox: Sandbox,
  versions: string,
  block: () => boolean,
  mend: () => void,
): Promise<void> {
  const root = await sandbox.project({ 'a.py': 'a = 1\n', 'b.py': 'b = 1\n' });
  const original = filesOf(root);
  const daemon = await sandbox.startDaemon();
  const project = await daemon.addProject(root);
  assert.equal(project.version_dir, versions);
  const { project_id } = project;
  if (!block()) return t.skip(cannotMount);
  unlinkSync(join(root, 'a.py'));
  await waitFor('it is marked', async () => (await daemon.paths(project_id, true)).includes('a.py'));
  await waitFor('health tells of it', async () => (await daemon.call('health')).status === 'degraded');
  const { freshness } = await daemon.call('wait_until_fresh', { project_id });
  assert.equal(freshness, 'fresh', 'the rest is followed all the same');
  const due = await daemon.call('get_project_status', { project_id });
  assert.deepEqual([due.files.deleted, due.files.without_copy], [1, 1]);
  assert.match(due.notices.join(), /1 deleted files? (?:has|have) no copy/);
  const { status, problems } = await daemon.call('health');
  assert.deepEqual([status, problems.map(({ source }) => source)], ['degraded', [root]]);
  writeFileSync(join(root, 'c.py'), 'c = 1\n');
  await waitFor('another file is indexed', async () => (await daemon.paths(project_id)).includes('c.py'));

  mend();
  await daemon.call('update_indexes', { project_id });
  assert.deepEqual(filesOf(versionPath(project)).get('a.py'), original.get('a.py'));
  const mended = await daemon.call('get_project_status', { project_id });
  assert.deepEqual([mended.files.without_copy, mended.notices], [0, []]);
  assert.equal((await daemon.call('health')).status, 'ok');
}

test('a deletion whose copy has a file in its way is marked, named, and copied once that is gone', async (t) => {
  const sandbox = await sandboxWithMounts(t);
  const versions = sandbox.path('state/versions');
  const block = (): boolean => {
    rmSync(versions, { recursive: true, force: true });
    writeFileSync(versions, 'in the way\n');
    return true;
  };
  await deleteWithoutCopy(t, sandbox, versions, block, () => renameSync(versions, sandbox.path('put aside')));
});

test('a deletion whose copy meets a read-only file system is marked, named, and copied once that is mended', async (t) => {
  const sandbox = await sandboxWithMounts(t);
  const versions = sandbox.path('state/versions');
  const block = (): boolean => {
    mkdirSync(versions, { recursive: true });
    return mountReadOnly(versions);
  };
  await deleteWithoutCopy(t, sandbox, versions, block, () => unmount(versions));
});
