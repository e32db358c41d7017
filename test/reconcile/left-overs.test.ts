/** What a process took aside (base/taken-file.ts) and left behind, or still has in hand. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { test, type TestContext } from 'node:test';
import { asNobody, killed, startScript } from '../harness/folder.js';
import { TestProject } from './project-fixture.js';

/** Takes files aside, and holds them as long as it lives. */
async function takenBy(t: TestContext, project: TestProject, ...paths: string[]): Promise<ChildProcess> {
  const source = `import { PinnedFolder } from '#src/base/pinned-folder.js';
    import { takeAside } from '#src/base/taken-file.js';
    const [folder, ...paths] = process.argv.slice(1);
    const root = await PinnedFolder.open(folder);
    for (const path of paths) await takeAside(root, path, 't' + paths.indexOf(path));
    console.log('taken');
    setInterval(() => {}, 1_000);`;
  return await startScript(t, source, project.root, ...paths);
}

async function projectWith(t: TestContext, ...paths: string[]): Promise<TestProject> {
  const project = new TestProject(t, { versionDir: '../versions' });
  for (const path of paths) project.write(path);
  await project.reconcile();
  return project;
}

const privateFolders = (project: TestProject, folder: string): string[] =>
  readdirSync(project.at(folder))
    .filter((name) => name.endsWith('.taken'))
    .map((name) => `${folder}/${name}`);

test('what a dead process took aside is put back by whoever misses it, and is no deletion', async (t) => {
  const project = await projectWith(t, 'd/a', 'd/b', 'd/gone');
  await killed(await takenBy(t, project, 'd/a', 'd/b'));
  project.remove('d/gone');
  const outcome = await project.follow('d/a', 'd/gone');
  assert.ok(project.has('d/a') && project.has('d/b'));
  assert.deepEqual(privateFolders(project, 'd'), []);
  // What is missing beside it is looked at once more, too: nobody knew what was aside.
  assert.deepEqual(outcome.unsettled.sort(), ['d/a', 'd/gone']);
  await project.follow(...outcome.unsettled);
  assert.deepEqual(project.marks(), { active: ['d/a', 'd/b'], deleted: ['d/gone'] });
});

test('the private folder alone leads to what is left over in it', async (t) => {
  const project = await projectWith(t, 'd/a');
  await killed(await takenBy(t, project, 'd/a'));
  await project.follow(...privateFolders(project, 'd'));
  assert.ok(project.has('d/a'));
});

for (const how of ['events', 'a whole comparison'] as const) {
  test(`what a living process has aside is not judged by ${how}, and looked at again`, async (t) => {
    const project = await projectWith(t, 'd/a', 'd/b');
    const child = await takenBy(t, project, 'd/a');
    const [taken = ''] = privateFolders(project, 'd');
    const isFollowed = how === 'events';
    const outcome = isFollowed ? await project.follow('d/a') : await project.reconcile();
    assert.deepEqual(outcome.unsettled.sort(), [taken, 'd/a']);
    assert.equal(outcome.doubt, null);
    assert.deepEqual(project.marks().deleted, []);
    await killed(child);
    assert.deepEqual((await project.follow(...outcome.unsettled)).unsettled, ['d/a']);
    assert.ok(project.has('d/a'));
    assert.deepEqual((await project.follow('d/a')).unsettled, []);
    assert.deepEqual(project.marks().deleted, []);
  });
}

test('a folder that appears whole with something left over in it is compared whole', async (t) => {
  const project = await projectWith(t, 'd/a', 'd/b');
  await killed(await takenBy(t, project, 'd/a'));
  renameSync(project.at('d'), project.at('e'));
  const outcome = await project.follow('d', 'e');
  await (outcome.needsReconcile ? project.reconcile() : project.follow(...outcome.unsettled));
  assert.deepEqual(project.marks().active, ['e/a', 'e/b']);
});

test('what cannot be put back leaves its folder in doubt, and holds up nothing else', async (t) => {
  const project = await projectWith(t, 'd/a', 'd/b', 'e/c');
  await killed(await takenBy(t, project, 'd/a'));
  if (process.geteuid?.() === 0) execFileSync('chown', ['-R', '65534:65534', project.root]);
  mkdirSync(project.at('d/.codekeep-1-1-closed.taken'), { mode: 0 });
  chmodSync(project.stateDir, 0o777);
  chmodSync(project.at('d'), 0o555);
  for (const path of ['d/b', 'e']) project.remove(path);
  writeFileSync(project.at('new'), 'new');
  const outcome = await asNobody(() => project.reconcile());
  assert.match(
    outcome.doubt ?? '',
    /^what a killed process left in d .* cannot be put back: permission is denied/,
  );
  assert.deepEqual(project.marks(), { active: ['d/a', 'd/b', 'new'], deleted: ['e/c'] });
  const followed = await asNobody(() => project.follow('d/a', 'd/b'));
  assert.deepEqual([followed.deleted, followed.needsReconcile], [0, true]);

  // One that nobody can look into does not keep others aside.
  chmodSync(project.at('d'), 0o777);
  const again = await asNobody(() => project.reconcile());
  assert.ok(again.doubt !== null);
  assert.ok(project.has('d/a'));
});
