import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, renameSync, symlinkSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { type FolderLook, FolderLooks } from '#src/reconcile/folder-looks.js';
import { atEnd } from '../harness/folder.js';
import { bindMount, cannotMount, mountTmpfs } from '../harness/mounting.js';
import { TestProject } from './project-fixture.js';
import { git, repositoryIn } from './repository.js';

/** One whose files count as written long before they are indexed: nothing is looked at again for having been written just now. */
function newProject(t: TestContext): TestProject {
  const project = new TestProject(t);
  project.now = () => Date.now() + 60_000;
  return project;
}

async function lookAt(project: TestProject, folder: string): Promise<FolderLook> {
  const looks = await FolderLooks.begin(project.context());
  assert.ok(looks !== null, 'HEAD has not moved');
  return await looks.at(folder);
}

/** The root and each folder below it. */
function foldersOf(root: string): string[] {
  const entries = readdirSync(root, { withFileTypes: true, recursive: true });
  const folders = entries.filter((entry) => entry.isDirectory() && entry.name !== '.git');
  return ['', ...folders.map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))];
}

test('a look finds what differs in its folder, and nothing of the folders in it', async (t) => {
  const project = newProject(t);
  for (const path of ['a', 'd/a', 'd/b', 'd/c', 'd/e/a', 'd/e/b', 'd-/a', 'd0']) project.write(path);
  mkdirSync(project.at('d/empty'));
  await project.reconcile();
  const looks = (await FolderLooks.begin(project.context())) ?? assert.fail('HEAD has not moved');
  for (const folder of ['', 'd', 'd/e', 'd/empty', 'd-'])
    assert.deepEqual((await looks.at(folder)).differing, [], folder);
  assert.deepEqual((await looks.at('')).subfolders.sort(), ['d', 'd-']);
  project.write('d/a', 'another');
  project.remove('d/b');
  chmodSync(project.at('d/c'), 0o600);
  project.write('d/new');
  project.write('d/e/a', 'another');
  project.write('d/sub/below');
  project.write('d/empty/filled');
  const { differing, subfolders } = await looks.at('d');
  assert.deepEqual(differing.sort(), ['d/a', 'd/b', 'd/c', 'd/new']);
  assert.deepEqual(subfolders.sort(), ['d/e', 'd/empty', 'd/sub']);
  assert.deepEqual((await looks.at('d/e')).differing, ['d/e/a']);
  assert.deepEqual((await looks.at('d/empty')).differing, ['d/empty/filled', 'd/empty']);
  assert.deepEqual((await looks.at('')).differing, []);
  project.remove('d-');
  assert.deepEqual((await looks.at('d-')).differing, ['d-/a']);
});

test('following what looks at all folders found leaves nothing for a comparison of the whole tree', async (t) => {
  const project = newProject(t);
  for (const path of ['a', 'b', 'd/a', 'd/b', 'e/f/a', 'e/f/b', 'g/a', 'h/a']) project.write(path);
  mkdirSync(project.at('empty'));
  await project.reconcile();
  project.write('a', 'another');
  project.write('empty/no-more');
  project.remove('d/a');
  project.remove('d/b');
  project.write('new/of/many/folders');
  renameSync(project.at('e/f/a'), project.at('e/f/c'));
  renameSync(project.at('g'), project.at('g2'));
  project.remove('b');
  symlinkSync('a', project.at('b'));
  project.remove('h');
  project.write('h', 'a file by now');
  utimesSync(project.at('e/f/b'), 1, 1);
  const looks = (await FolderLooks.begin(project.context())) ?? assert.fail('HEAD has not moved');
  const known = ['', 'd', 'e', 'e/f', 'g', 'h', 'empty'];
  const found: string[] = [];
  for (const folder of known) {
    const { differing, subfolders } = await looks.at(folder);
    found.push(...differing, ...subfolders.filter((one) => !known.includes(one)));
  }
  const { needsReconcile } = await project.follow(...found);
  assert.equal(needsReconcile, false);
  const { added, changed, deleted } = await project.reconcile();
  assert.deepEqual([added, changed, deleted], [0, 0, 0]);
  for (const folder of foldersOf(project.root))
    assert.deepEqual((await lookAt(project, folder)).differing, [], folder);
});

test('what rules ignore is not told of, and a rule file that changes is', async (t) => {
  const project = newProject(t);
  project.write('d/.gitignore', '*.log\n');
  project.write('d/a');
  project.write('d/was', 'content');
  await project.reconcile();
  project.write('d/a.log');
  assert.deepEqual((await lookAt(project, 'd')).differing, []);
  project.write('d/.gitignore', '*.log\nwas\n');
  assert.deepEqual((await lookAt(project, 'd')).differing, ['d/.gitignore', 'd/was']);
  await project.reconcile();
  assert.equal(project.row('d/was').ignored, 1);
  assert.deepEqual((await lookAt(project, 'd')).differing, []);
});

test('of git, a look finds another HEAD, what is tracked by now, and a repository that is new', async (t) => {
  const project = newProject(t);
  repositoryIn(project.root);
  project.write('d/a');
  project.write('d/b');
  await project.reconcile();
  git(project.root, 'add', 'd/a');
  assert.deepEqual((await lookAt(project, 'd')).differing, ['d/a']);
  await project.follow('d/a');
  assert.deepEqual((await lookAt(project, 'd')).differing, []);
  git(project.root, 'commit', '-qm', 'first');
  assert.equal(await FolderLooks.begin(project.context()), null);
  await project.reconcile();
  mkdirSync(project.at('d/clone'));
  repositoryIn(project.at('d/clone'));
  assert.deepEqual((await lookAt(project, 'd')).subfolders, ['d/clone']);
  assert.deepEqual((await lookAt(project, 'd/clone')).differing, ['d/clone/.git']);
  await project.reconcile();
  assert.deepEqual((await lookAt(project, 'd/clone')).differing, []);
});

test('looks know the file system of each folder, in whatever order they come', (t) => {
  const project = newProject(t);
  const mounted = ['mounted', 'd/bound'];
  for (const path of ['a/b', 'd/e', 'elsewhere/f/g']) project.write(path);
  atEnd(t, () => {
    for (const path of mounted.toReversed()) spawnSync('umount', ['--lazy', project.at(path)]);
  });
  for (const path of ['mounted', 'd/bound']) mkdirSync(project.at(path));
  // One with a device number of its own, one with that of the root.
  if (!mountTmpfs(project.at('mounted')) || !bindMount(project.at('elsewhere'), project.at('d/bound')))
    return t.skip(cannotMount);
  project.write('mounted/h/i');
  return inEveryOrder(project, ['', 'a', 'd', 'd/bound', 'd/bound/f', 'mounted', 'mounted/h', 'elsewhere/f']);
});

async function inEveryOrder(project: TestProject, folders: readonly string[]): Promise<void> {
  // What is first indexed of two mounts with one device number is taken for the other one's, until it is looked at by itself.
  for (let times = 0; times < 3; times += 1) await project.reconcile();
  for (const pair of folders.flatMap((first) => folders.map((second) => [first, second]))) {
    const looks = (await FolderLooks.begin(project.context())) ?? assert.fail('HEAD has not moved');
    for (const folder of pair) assert.deepEqual((await looks.at(folder)).differing, [], pair.join(', then '));
  }
}
