/** Deleted files are let go on request: rows, states, contents, and every copy; what a checkpoint has or nobody can prove stays. */
import assert from 'node:assert/strict';
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { type Cleanup, type CleanupOptions, cleanUpDeleted } from '#src/reconcile/cleanup.js';
import { deleteFile } from '#src/reconcile/delete-file.js';
import { insertCheckpoint } from '#src/store/checkpoints.js';
import { IndexDatabase } from '#src/store/index-database.js';
import { copies, snapshot, TestProject } from './project-fixture.js';

async function cleanUp(
  project: TestProject,
  given: Partial<CleanupOptions> = {},
  index = project.index,
): Promise<Cleanup> {
  const now = project.now();
  const signal = new AbortController().signal;
  const options = { prefix: '', before: now + 1, isDryRun: false, now, signal, ...given };
  return await cleanUpDeleted(index, project.project, options);
}

function outcomeOf({ removed, kept }: Cleanup): [removed: string[], kept: string[]] {
  return [removed.map(({ path }) => path).sort(), kept.map(({ path }) => path).sort()];
}

test('a path that was deleted twice goes with both contents and both copies, and may come again', async (t) => {
  const project = new TestProject(t);
  for (const path of ['kept', 'a.py', 'folder/b']) project.write(path);
  await project.reconcile();
  project.remove('a.py');
  await project.reconcile();
  project.write('a.py', 'another\n');
  await project.reconcile();
  for (const path of ['a.py', 'folder']) project.remove(path);
  await project.reconcile();
  assert.equal(Object.keys(copies(project)).length, 3);

  const looking = IndexDatabase.openReadOnly(project.index.path);
  t.after(() => looking.close());
  const said = await cleanUp(project, { isDryRun: true }, looking);
  assert.deepEqual(outcomeOf(said), [['a.py', 'folder/b'], []]);
  assert.equal(Object.keys(copies(project)).length, 3, 'a dry run changes nothing');
  const done = await cleanUp(project);
  assert.deepEqual(done, { ...said, tally: { ...said.tally } });
  assert.deepEqual([done.tally.deleted, done.tally.contents], [2, 3]);
  assert.deepEqual(project.marks(), { active: ['kept'], deleted: [] });
  assert.deepEqual(snapshot(project.versions.root), {}, 'no folder is left, either');
  assert.equal(project.index.sql('SELECT count(*) FROM contents').pluck().get(), 1);
  assert.deepEqual(outcomeOf(await cleanUp(project)), [[], []]);
  project.write('a.py', 'once more\n');
  await project.reconcile();
  assert.deepEqual(project.marks().active, ['a.py', 'kept']);
});

test('only what is older and below the prefix goes', async (t) => {
  const project = new TestProject(t);
  for (const path of ['a', 'b', 'folder/c']) project.write(path);
  await project.reconcile();
  project.remove('a');
  await project.reconcile();
  const between = Date.now() + 1;
  project.now = () => between + 1;
  for (const path of ['b', 'folder']) project.remove(path);
  await project.reconcile();
  assert.deepEqual(outcomeOf(await cleanUp(project, { before: between })), [['a'], []]);
  assert.deepEqual(outcomeOf(await cleanUp(project, { prefix: 'folder/' })), [['folder/c'], []]);
  assert.deepEqual(project.marks().deleted, ['b']);
});

test('what is too large for the index, an empty folder, and what has no copy go, too', async (t) => {
  const project = new TestProject(t);
  project.write('large', 'x'.repeat(project.maxFileBytes + 1));
  project.write('gone');
  mkdirSync(project.at('empty'));
  await project.reconcile();
  await deleteFile(project.context(), 'large');
  for (const path of ['gone', 'empty']) project.remove(path);
  await project.reconcile();
  rmSync(project.versions.pathOf('gone'));
  assert.deepEqual(outcomeOf(await cleanUp(project)), [['empty', 'gone', 'large'], []]);
  assert.deepEqual(snapshot(project.versions.root), {});
});

test('what a checkpoint has stays, and so does what versions have something else of', async (t) => {
  const project = new TestProject(t);
  project.write('a');
  project.write('b');
  await project.reconcile();
  project.remove('b');
  await project.reconcile();
  writeFileSync(project.versions.pathOf('b'), 'somebody wrote that\n');
  const at = Date.now() + 1;
  insertCheckpoint(project.index, project.projectId, { checkpointId: 'c1', label: null, at });
  project.now = () => at + 1_000;
  project.remove('a');
  await project.reconcile();
  const before = snapshot(project.versions.root);
  const { kept, removed } = await cleanUp(project);
  assert.deepEqual(removed, []);
  assert.deepEqual(kept, [
    { path: 'a', reason: `the checkpoint of ${new Date(at).toISOString()} has it` },
    { path: 'b', reason: 'its copy in versions is not what the index has' },
  ]);
  assert.deepEqual(snapshot(project.versions.root), before);
});

test('without the disk of the versions nothing goes', async (t) => {
  const project = new TestProject(t);
  project.write('a');
  await project.reconcile();
  project.remove('a');
  await project.reconcile();
  const { versionDir } = project.project;
  renameSync(versionDir, `${versionDir}-away`);
  assert.deepEqual(outcomeOf(await cleanUp(project)), [[], ['a']]);
  renameSync(`${versionDir}-away`, versionDir);
  assert.deepEqual(outcomeOf(await cleanUp(project)), [['a'], []]);
});
