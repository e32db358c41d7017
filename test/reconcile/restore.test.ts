import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
  unlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { sha256 } from '#src/base/hash.js';
import { deleteFile } from '#src/reconcile/delete-file.js';
import {
  checkRestorable,
  chooseDeleted,
  type RestoreChoice,
  restoreDeleted,
} from '#src/reconcile/restore.js';
import { renderContent } from '#src/store/contents.js';
import { damageContent } from '../store/index-fixture.js';
import { pathsBelow } from '../harness/folder.js';
import { snapshot, TestProject } from './project-fixture.js';

async function deletedFiles(t: TestContext, ...paths: string[]): Promise<TestProject> {
  const project = new TestProject(t, { versionDir: '../versions' });
  for (const path of [...paths, 'stays']) project.write(path, `content of ${path}`, 0o4750);
  await project.reconcile();
  for (const path of paths) project.remove(path);
  await project.reconcile();
  assert.deepEqual(project.marks().deleted.length, paths.length);
  return project;
}

async function restore(project: TestProject, choice: RestoreChoice = {}): Promise<void> {
  const rows = chooseDeleted(project.index, project.project, choice);
  await restoreDeleted(project.index, project.project, rows, project.now);
}

test('deleted files come back byte-exact, with mode and mark', async (t) => {
  const project = await deletedFiles(t, 'a', 'd/e/b', 'd/c');
  await restore(project, { pathPrefix: 'd/' });
  assert.deepEqual(project.marks(), { active: ['d/c', 'd/e/b', 'stays'], deleted: ['a'] });
  assert.equal(snapshot(project.root)['d/e/b'], `file 4750 ${sha256(Buffer.from('content of d/e/b'))}`);
  const { changed, unchanged } = await project.reconcile();
  assert.deepEqual([changed, unchanged], [0, 3]);
});

test('files are chosen by path, by prefix and by time', async (t) => {
  const project = await deletedFiles(t, 'a', 'ab', 'b');
  const chosen = (choice: RestoreChoice): string[] =>
    chooseDeleted(project.index, project.project, choice).map(({ path }) => path);
  assert.deepEqual(chosen({}), ['a', 'ab', 'b']);
  assert.deepEqual(chosen({ pathPrefix: 'a' }), ['a', 'ab']);
  assert.deepEqual(chosen({ paths: ['b'] }), ['b']);
  assert.deepEqual(chosen({ deletedAfter: Date.now() + 1_000 }), []);
  assert.throws(() => chosen({ paths: ['stays'] }), { code: 'FILE_NOT_FOUND' });
  assert.throws(() => chosen({ paths: ['never'] }), { code: 'FILE_NOT_FOUND' });
  assert.throws(() => chosen({ paths: ['../a'] }), { code: 'PATH_OUTSIDE_ROOT' });
});

test('a folder is all deleted files below it, each once; one with none is refused as a path that nobody knows', async (t) => {
  const project = await deletedFiles(t, 'd/a', 'd/e/b', 'de', 'f');
  project.write('d/stays', '');
  project.write('g/stays', '');
  await project.reconcile();
  const chosen = (choice: RestoreChoice): string[] =>
    chooseDeleted(project.index, project.project, choice).map(({ path }) => path);
  assert.deepEqual(chosen({ paths: ['d', 'f', 'd/e/b'] }), ['d/a', 'd/e/b', 'f']);
  for (const choice of [{ paths: ['g'] }, { paths: ['d/e/b/'] }, { paths: ['d'], cause: 'asked' as const }])
    assert.throws(() => chosen(choice), { name: 'CodekeepError' }, JSON.stringify(choice));
  await restore(project, { paths: ['d'] });
  const { active, deleted } = project.marks();
  assert.deepEqual(
    [active, deleted],
    [
      ['d/a', 'd/e/b', 'd/stays', 'g/stays', 'stays'],
      ['de', 'f'],
    ],
  );
});

const failures: Record<string, { put: (project: TestProject) => void; code: string }> = {
  'a file in the way': { put: (project) => project.write('m', 'newer'), code: 'TARGET_FILE_EXISTS' },
  'a folder in the way': { put: (project) => mkdirSync(project.at('m')), code: 'TARGET_FILE_EXISTS' },
  'a dangling symlink in the way': {
    put: (project) => symlinkSync('nowhere', project.at('m')),
    code: 'TARGET_FILE_EXISTS',
  },
  'a parent that leads elsewhere': {
    put: (project) => {
      project.remove('z');
      symlinkSync(project.stateDir, project.at('z'));
    },
    code: 'PATH_OUTSIDE_ROOT',
  },
  'a damaged tree': {
    put: (project) => {
      damageContent(project.index, project.row('m').sha256 ?? '', 90);
      unlinkSync(project.versions.pathOf('m'));
    },
    code: 'FILE_NOT_FOUND',
  },
  'a root that is away': {
    put: (project) => renameSync(project.root, join(project.folder, 'away')),
    code: 'ROOT_UNAVAILABLE',
  },
};

for (const [name, { put, code }] of Object.entries(failures)) {
  test(`all or nothing: ${name}`, async (t) => {
    const project = await deletedFiles(t, 'a', 'm', 'z/b');
    put(project);
    const before = snapshot(project.folder);
    const rows = chooseDeleted(project.index, project.project, {});
    assert.throws(() => checkRestorable(project.index, project.project, rows), { code });
    await assert.rejects(restore(project), { code });
    const after = snapshot(project.folder);
    for (const seen of [before, after])
      for (const key of Object.keys(seen)) if (key.startsWith('state/')) delete seen[key];
    assert.deepEqual(after, before);
    assert.equal(project.marks().deleted.length, 3);
  });
}

test('what was placed before a failure in the middle is taken away again', async (t) => {
  const project = await deletedFiles(t, 'a', 'b', 'd/c');
  let placed = 0;
  const rows = chooseDeleted(project.index, project.project, {});
  // The last row stands for a path that is below the first one, which nothing could see before.
  const colliding = [...rows, { ...project.row('b'), path: 'a/below', deleted: 1 as const }];
  await assert.rejects(
    restoreDeleted(project.index, project.project, colliding, () => (placed += 1)),
    { code: 'PATH_OUTSIDE_ROOT' },
  );
  assert.deepEqual(
    pathsBelow(project.root).filter((path) => path !== 'd'),
    ['stays'],
  );
  assert.deepEqual(project.marks().deleted, ['a', 'b', 'd/c']);
});

test('delete_file moves a file into versions and marks it, and it can be restored', async (t) => {
  const project = new TestProject(t);
  project.write('d/a', 'content', 0o751);
  const versionPath = await deleteFile(project.context(), 'd/a');
  assert.equal(project.has('d/a'), false);
  assert.equal(readFileSync(versionPath, 'utf8'), 'content');
  assert.deepEqual(project.marks().deleted, ['d/a']);
  await restore(project);
  assert.equal(snapshot(project.root)['d/a'], `file 751 ${sha256(Buffer.from('content'))}`);
});

test('delete_file keeps what is on disk now, not what was indexed once', async (t) => {
  const project = new TestProject(t);
  project.write('a', 'indexed');
  await project.reconcile();
  project.write('a', 'edited since');
  assert.equal(readFileSync(await deleteFile(project.context(), 'a'), 'utf8'), 'edited since');
});

test('delete_file keeps a file that is too large to be indexed', async (t) => {
  const project = new TestProject(t);
  project.maxFileBytes = 4;
  project.write('large', 'larger than that', 0o640);
  const kept = await deleteFile(project.context(), 'large');
  assert.equal(readFileSync(kept, 'utf8'), 'larger than that');
  project.write('large', 'another large one');
  await deleteFile(project.context(), 'large');
  const contents = Object.keys(snapshot(project.versions.root)).map((path) =>
    readFileSync(project.versions.pathOf(path), 'utf8'),
  );
  assert.deepEqual(contents.sort(), ['another large one', 'larger than that']);
});

test('delete_file never takes away the last copy: a damaged tree in the index is no copy', async (t) => {
  const project = new TestProject(t);
  project.write('a', 'the only copy');
  await project.reconcile();
  damageContent(project.index, project.row('a').sha256 ?? '', 90);
  const kept = await deleteFile(project.context(), 'a');
  assert.equal(readFileSync(kept, 'utf8'), 'the only copy');
  assert.ok('bytes' in renderContent(project.index, sha256(Buffer.from('the only copy'))));
});

test('delete_file refuses what is no plain file of the project, and changes nothing', async (t) => {
  const project = new TestProject(t);
  const outside = join(project.folder, 'outside');
  mkdirSync(outside);
  writeFileSync(join(outside, 'a'), 'outside');
  mkdirSync(project.at('folder'));
  symlinkSync(outside, project.at('link'));
  const attempt = (path: string): Promise<string> => deleteFile(project.context(), path);
  await assert.rejects(attempt('nothing'), { code: 'FILE_NOT_FOUND' });
  await assert.rejects(attempt('folder'), { code: 'FILE_NOT_FOUND' });
  await assert.rejects(attempt('link/a'), { code: 'PATH_OUTSIDE_ROOT' });
  assert.ok(existsSync(join(outside, 'a')));
});

test('delete_file leaves the file where versions have no place for it', async (t) => {
  const project = new TestProject(t);
  project.write('a', 'content');
  mkdirSync(project.versions.pathOf('a/b'), { recursive: true });
  await assert.rejects(deleteFile(project.context(), 'a'), { code: 'TARGET_FILE_EXISTS' });
  assert.equal(project.read('a'), 'content');
  assert.equal(project.row('a').deleted, 0);
});
