import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Project, versionPath } from '../harness/daemon.js';
import { Sandbox } from '../harness/sandbox.js';
import { filesOf, sha256 } from '../harness/trees.js';
import { waitFor } from '../harness/waiting.js';

const composed = 'caf\u00E9.py'.normalize('NFC');
const decomposed = composed.normalize('NFD');
/** As long as a name can be; the last one in characters of three bytes. */
const longName = `${'n'.repeat(251)}.txt`;
const longWide = `${'\u20AC'.repeat(84)}.py`;
/** Relative, of some 3,900 bytes: with a root of this test's length that is what a path may have. */
const deep = [...Array.from({ length: 15 }, (_, level) => `${level}`.padEnd(250, 'd')), 'deep.py'].join('/');

const files = {
  [composed]: 'form = "C"\n',
  [decomposed]: 'form = "D"\n',
  'new\nline.py': 'n = 1\n',
  'tab\t"quote\'\\.py': 't = 1\n',
  ' leading and trailing ': 's = 1\n',
  '-rf': 'r = 1\n',
  'Case.py': 'case = "upper"\n',
  'case.py': 'case = "lower"\n',
  [`folder/${longName}`]: 'long = 1\n',
  [`folder/${longWide}`]: 'wide = 1\n',
  [deep]: 'deep = 1\n',
};
const paths = Object.keys(files).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));

test('names of all kinds are indexed, deleted, restored and repaired, each as itself', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project(files);
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  const { project_id } = await daemon.addProject(root);
  const before = filesOf(root);
  assert.deepEqual(await daemon.paths(project_id), paths);
  for (const path of paths) await daemon.call('delete_file', { project_id, path });
  assert.equal(filesOf(root).size, 0);
  await daemon.call('restore_deleted_files', { project_id, paths });
  assert.deepEqual(filesOf(root), before);
  for (const name of readdirSync(root)) rmSync(join(root, name), { recursive: true });
  const { files_restored_from_cst: restored } = await daemon.repair({ project_id, force: true });
  assert.equal(restored.length, paths.length);
  assert.deepEqual(filesOf(root), before);
  const { files_changed, files_added } = await updated(daemon.call('update_indexes', { project_id }));
  assert.deepEqual([files_added, files_changed], [0, 0]);
});

async function updated<T>(update: Promise<T>): Promise<Extract<T, { files_added: number }>> {
  return (await update) as Extract<T, { files_added: number }>;
}

test('a name of 255 bytes that is deleted twice keeps both contents', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ [longName]: 'first\n', [longWide]: 'first too\n' });
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  const project = await daemon.addProject(root);
  for (const content of ['second\n', 'third\n']) {
    for (const path of [longName, longWide]) {
      await daemon.call('delete_file', { project_id: project.project_id, path });
      writeFileSync(join(root, path), content);
    }
  }
  for (const path of [longName, longWide])
    await daemon.call('delete_file', { project_id: project.project_id, path });
  assert.deepEqual(contentsOf(project), [
    'first\n',
    'first too\n',
    'second\n',
    'second\n',
    'third\n',
    'third\n',
  ]);
});

function contentsOf(project: Project): string[] {
  const folder = versionPath(project);
  const found = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'));
  return found.sort();
}

test('a rename that changes only the case of letters, or their form, is followed as a rename', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({
    'Name.py': 'n = 1\n',
    [composed]: 'c = 1\n',
    'Folder/x.py': 'x = 1\n',
  });
  const daemon = await sandbox.startDaemon();
  const { project_id } = await daemon.addProject(root);
  for (const [from, to] of [
    ['Name.py', 'name.py'],
    [composed, decomposed],
    ['Folder', 'folder'],
  ] as const)
    renameSync(join(root, from), join(root, to));
  await daemon.call('wait_until_fresh', { project_id });
  assert.deepEqual(await daemon.paths(project_id), [decomposed, 'folder/x.py', 'name.py']);
  const gone = await daemon.paths(project_id, true);
  assert.deepEqual(new Set(gone), new Set(['Folder/x.py', 'Name.py', composed]));
  for (const path of ['Name.py', composed, 'Folder/x.py']) {
    await daemon.call('restore_deleted_files', { project_id, paths: [path] });
    assert.equal(filesOf(root).get(path)?.content, sha256(readFileSync(join(root, path))));
  }
  assert.equal(filesOf(root).size, 6);
});

test('a path that is longer than the system takes with its root is listed, not lost from sight', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n' });
  // Segment by segment: the whole path cannot be named.
  const here = process.cwd();
  t.after(() => process.chdir(here));
  process.chdir(root);
  for (let level = 0; level < 20; level += 1) {
    mkdirSync('d'.repeat(220));
    process.chdir('d'.repeat(220));
  }
  writeFileSync('deep.py', 'deep = 1\n');
  process.chdir(here);
  const daemon = await sandbox.startDaemon();
  const { project_id } = await daemon.addProject(root);
  assert.deepEqual(await daemon.paths(project_id), ['a.py']);
  const { entries } = await daemon.call('list_unprotected', { project_id });
  assert.equal(entries.length, 1);
  assert.match(entries[0]?.reason ?? '', /longer than/);
  // Node, too, can only remove what it can name.
  execFileSync('rm', ['-r', join(root, 'd'.repeat(220))]);
});

test('a name that is not UTF-8 is called unprotected as soon as it is seen, and not any more when it is gone', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'd/a.py': 'a = 1\n' });
  const daemon = await sandbox.startDaemon();
  const { project_id } = await daemon.addProject(root);
  const odd = Buffer.concat([Buffer.from(join(root, 'd/caf')), Buffer.from([0xe9]), Buffer.from('.py')]);
  const listed = async (): Promise<string[]> =>
    (await daemon.call('list_unprotected', { project_id })).entries.map(({ path }) => path);
  writeFileSync(odd, 'o = 1\n');
  await waitFor('it is listed', async () => (await listed()).includes('d/caf\uFFFD.py'));
  const { last_verified_at } = await daemon.call('get_project_status', { project_id });

  // What is listed already is no reason to walk the whole tree.
  writeFileSync(odd, 'o = 2\n');
  writeFileSync(join(root, 'd/b.py'), 'b = 1\n');
  await waitFor('b.py is indexed', async () => (await daemon.paths(project_id)).includes('d/b.py'));
  const status = await daemon.call('get_project_status', { project_id });
  assert.equal(status.last_verified_at, last_verified_at);

  rmSync(odd);
  await waitFor('it is listed no more', async () => (await listed()).length === 0);
});
