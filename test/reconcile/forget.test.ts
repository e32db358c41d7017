/** Files that were deleted longer ago than anything is kept go, each with its copy in versions; where that is in doubt both stay. */
import assert from 'node:assert/strict';
import { renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { test, type TestContext } from 'node:test';
import { sha256 } from '#src/base/hash.js';
import { forget, type ForgetOptions, type Forgotten } from '#src/reconcile/forget.js';
import { versionsMarker } from '#src/reconcile/version-dir.js';
import { hasContent, renderContent } from '#src/store/contents.js';
import { insertCheckpoint } from '#src/store/checkpoints.js';
import { IndexDatabase } from '#src/store/index-database.js';
import { policyOf } from '#src/store/retention.js';
import { copies, snapshot, TestProject } from './project-fixture.js';

const day = 86_400_000;
const policy = policyOf({
  history_keep_all: 172_800,
  history_keep_hourly: 1_209_600,
  history_keep_daily: 7_776_000,
});
const start = Date.now();
const nothing = { versions: 0, deleted: 0, contents: 0, bytes: 0 };

async function forgetAt(
  project: TestProject,
  days: number,
  given: Partial<ForgetOptions> = {},
  index: IndexDatabase = project.index,
): Promise<Forgotten> {
  const now = start + days * day;
  return await forget(index, [project.project], {
    policy,
    maxBytes: Infinity,
    now,
    contentsBefore: now - 2 * day,
    isDryRun: false,
    log: (message) => assert.fail(message),
    signal: new AbortController().signal,
    ...given,
  });
}

function countsOf({ versions, deleted, contents, bytes }: Forgotten): typeof nothing {
  return { versions, deleted, contents, bytes };
}

/** Some files, of which all but one were deleted a while after the first comparison. */
async function withDeleted(t: TestContext): Promise<TestProject> {
  const project = new TestProject(t);
  for (const path of ['kept', 'a', 'folder/deep/b', 'folder/c']) project.write(path);
  symlinkSync('kept', project.at('link'));
  await project.reconcile();
  for (const path of ['a', 'folder', 'link']) project.remove(path);
  const { deleted } = await project.reconcile();
  assert.equal(deleted, 4);
  return project;
}

test('a file that was deleted long ago goes: its row, its states, its content and its copy', async (t) => {
  const project = await withDeleted(t);
  const before = snapshot(project.root);
  assert.deepEqual(countsOf(await forgetAt(project, 89)), nothing);
  assert.deepEqual(Object.keys(copies(project)).length, 4);
  const looking = IndexDatabase.openReadOnly(project.index.path);
  t.after(() => looking.close());
  const said = await forgetAt(project, 92, { isDryRun: true }, looking);
  assert.deepEqual([said.deleted, said.contents, Object.keys(copies(project)).length], [4, 4, 4]);
  const done = await forgetAt(project, 92);
  assert.deepEqual(countsOf(done), countsOf(said));
  assert.deepEqual(done.projects[0]?.oldest, said.projects[0]?.oldest);
  assert.deepEqual(project.marks(), { active: ['kept'], deleted: [] });
  assert.deepEqual(snapshot(project.versions.root), {}, 'no folder is left, either');
  assert.deepEqual(snapshot(project.root), before);
  assert.deepEqual(countsOf(await forgetAt(project, 92)), nothing);
  // It may come again.
  project.write('a', 'another\n');
  await project.reconcile();
  assert.deepEqual(project.marks().active, ['a', 'kept']);
});

test('where a copy is not what the index has, or is not there, row, content and copy stay', async (t) => {
  const project = await withDeleted(t);
  const { versions } = project;
  writeFileSync(versions.pathOf('a'), 'somebody wrote that\n');
  rmSync(versions.pathOf('folder/c'));
  rmSync(versions.pathOf('link'));
  writeFileSync(versions.pathOf('link'), 'kept');
  const before = snapshot(versions.root);
  const { deleted } = await forgetAt(project, 92);
  assert.equal(deleted, 1);
  assert.deepEqual(project.marks().deleted, ['a', 'folder/c', 'link']);
  for (const path of ['a', 'folder/c', 'link'])
    assert.ok('bytes' in renderContent(project.index, project.row(path).sha256), path);
  const after = snapshot(versions.root);
  assert.deepEqual([after['a'], after['link']], [before['a'], before['link']]);
});

test('without the disk of the versions nothing of a deleted file goes', async (t) => {
  const project = await withDeleted(t);
  const { versionDir } = project.project;
  renameSync(`${versionDir}/${versionsMarker}`, `${versionDir}/elsewhere`);
  assert.equal((await forgetAt(project, 92)).deleted, 0);
  renameSync(`${versionDir}/elsewhere`, `${versionDir}/${versionsMarker}`);
  renameSync(versionDir, `${versionDir}-away`);
  assert.equal((await forgetAt(project, 92)).deleted, 0);
  renameSync(`${versionDir}-away`, versionDir);
  assert.equal((await forgetAt(project, 92)).deleted, 4);
});

test('what was deleted before its history was known, and what is too large for the index, stays', async (t) => {
  const project = await withDeleted(t);
  project.write('large', 'x'.repeat(project.maxFileBytes + 1));
  await project.reconcile();
  project.remove('large');
  await project.reconcile();
  project.index.sql("UPDATE files SET deleted_at = 1, seen_at = 1 WHERE path = 'a'").run();
  await forgetAt(project, 92);
  assert.deepEqual(project.marks().deleted, ['a', 'large']);
});

test('a checkpoint of when it was there keeps a deleted file', async (t) => {
  const project = new TestProject(t);
  project.now = () => start;
  project.write('a');
  await project.reconcile();
  const at = Date.now();
  insertCheckpoint(project.index, project.projectId, { checkpointId: 'c1', label: null, at });
  project.remove('a');
  project.now = () => at + 1_000;
  await project.reconcile();
  const { deleted, versions } = await forgetAt(project, 300, { maxBytes: 0 });
  assert.deepEqual([deleted, versions, project.marks().deleted], [0, 0, ['a']]);
});

test('a content that leaves between the reading of a file and its row is stored again', async (t) => {
  const project = new TestProject(t);
  project.write('a', 'one\n');
  await project.reconcile();
  project.write('a', 'two\n');
  await project.follow('a');
  project.write('a', 'one\n');
  const hash = sha256(Buffer.from('one\n'));
  assert.ok(hasContent(project.index, hash));
  let isGone = false;
  project.now = () => {
    // Somebody else's transaction was just before this one.
    if (project.index.db.inTransaction && !isGone) {
      isGone = true;
      project.index.sql('DELETE FROM revisions').run();
      project.index.sql('DELETE FROM contents WHERE sha256 = ?').run(hash);
    }
    return Date.now();
  };
  await project.follow('a');
  assert.ok(isGone);
  assert.equal(project.row('a').sha256, hash);
  assert.ok('bytes' in renderContent(project.index, hash));
});
