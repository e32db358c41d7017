import assert from 'node:assert/strict';
import { existsSync, mkdirSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Daemon, Project } from '../harness/daemon.js';
import { pathsOf } from '../harness/repairs.js';
import { manyFiles, Sandbox, writeFiles } from '../harness/sandbox.js';
import { waitFor } from '../harness/waiting.js';
import { git, repositoryIn } from '../reconcile/repository.js';

/** Repositories below the root's: clones and submodules. Each one's HEAD is its own. */

const others = Object.keys(manyFiles(60)).sort();
const below = (folder: string, paths: readonly string[]): string[] =>
  paths.map((path) => `${folder}/${path}`);

async function commit(root: string, files: Record<string, string>): Promise<void> {
  await writeFiles(root, files);
  git(root, 'add', '--all', '--force');
  git(root, 'commit', '-q', '--message', 'a state');
}

function newFolderAt(...names: string[]): string {
  const folder = join(...names);
  mkdirSync(folder, { recursive: true });
  return folder;
}

/** A repository on a branch with 60 files that its main has not. */
async function branched(root: string): Promise<string> {
  repositoryIn(newFolderAt(root));
  await commit(root, { 'inner.py': 'i = 1\n' });
  git(root, 'checkout', '-q', '-b', 'feature');
  await commit(root, manyFiles(60));
  return root;
}

async function causesOf(daemon: Daemon, { project_id }: Project): Promise<Map<string, string | null>> {
  const { files } = await daemon.call('list_deleted_files', { project_id, limit: 1_000 });
  return new Map(files.map(({ path, cause }) => [path, cause]));
}

const allByGit = (paths: readonly string[]): Map<string, string | null> =>
  new Map(paths.map((path) => [path, 'git']));

for (const autostart of [['file_watcher'], []])
  for (const isInRepository of [true, false]) {
    const how = autostart.length > 0 ? 'a watcher that comes later' : 'no watcher';
    const where = isInRepository ? 'in a repository' : 'in a plain folder';
    test(`after a checkout in a clone ${where} while the daemon was down, with ${how}, the other branch's files stay away`, async (t) => {
      const sandbox = await Sandbox.create(t);
      const root = await sandbox.project({ 'a.py': 'a = 1\n', 'b.py': 'b = 1\n', 'lib/c.py': 'c = 1\n' });
      if (isInRepository) await commit(repositoryIn(root), {});
      const inner = await branched(join(root, 'lib/inner'));
      const first = await sandbox.startDaemon();
      const project = await first.addProject(root);
      await first.stop();
      git(inner, 'checkout', '-q', 'main');
      const daemon = await sandbox.startDaemon({ config: { autostart } });
      const isWatched = autostart.length > 0;
      if (!isWatched) for (const path of ['a.py', 'lib/inner/inner.py']) unlinkSync(join(root, path));
      const { project_id } = project;
      const planned = await daemon.repair({ project_id, dry_run: true });
      const done = await daemon.repair({ project_id });
      const lost = isWatched ? [] : ['a.py', 'lib/inner/inner.py'];
      assert.deepEqual(pathsOf(planned.files_restored_from_cst), lost);
      assert.deepEqual(pathsOf(done.files_restored_from_cst), lost);
      assert.deepEqual(await causesOf(daemon, project), allByGit(below('lib/inner', others)));
      assert.equal(existsSync(join(inner, others[0] ?? '')), false);
    });
  }

test('beside a watcher, what a checkout in a clone took was taken by git', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n' });
  const daemon = await sandbox.startDaemon();
  const project = await daemon.addProject(root);
  // The repository comes when the project is watched already.
  const inner = await branched(join(root, 'inner'));
  await daemon.call('update_indexes', { project_id: project.project_id });
  git(inner, 'checkout', '-q', 'main');
  const expected = allByGit(below('inner', others));
  await waitFor('the watcher has followed', async () => (await causesOf(daemon, project)).size === 60);
  await waitFor('the cause is known', async () => {
    const causes = await causesOf(daemon, project);
    return [...causes.values()].every((cause) => cause === 'git');
  });
  assert.deepEqual(await causesOf(daemon, project), expected);
});

/** A project with a submodule on a branch; its main has none. */
async function withSubmodule(sandbox: Sandbox): Promise<string> {
  const origin = repositoryIn(await sandbox.project({}));
  await commit(origin, manyFiles(60));
  const root = repositoryIn(await sandbox.project({ 'a.py': 'a = 1\n' }));
  await commit(root, {});
  git(root, 'checkout', '-q', '-b', 'feature');
  git(root, '-c', 'protocol.file.allow=always', 'submodule', '--quiet', 'add', origin, 'sub');
  await commit(root, { 'b.py': 'b = 1\n' });
  return root;
}

test('a submodule that a checkout took away does not come back, and one that somebody removed does', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await withSubmodule(sandbox);
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  const { project_id } = await daemon.addProject(root);
  const sub = join(root, 'sub');
  assert.equal((await daemon.paths(project_id)).length, 60 + 3);
  rmSync(sub, { recursive: true });
  git(root, 'commit', '-q', '--allow-empty', '--message', 'HEAD has moved beside');
  const removed = await daemon.repair({ project_id, dry_run: true });
  assert.deepEqual(pathsOf(removed.files_restored_from_cst), below('sub', others));
  git(root, 'checkout', '-q', 'main');
  const left = await daemon.repair({ project_id });
  assert.deepEqual(pathsOf(left.files_restored_from_cst), []);
  assert.deepEqual(await daemon.paths(project_id), ['a.py']);
  assert.equal(existsSync(sub), false);
});

test('a repository below the root has rules of its own, those around it end there, and what it tracks is content', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ '.gitignore': '*.log\n*.txt\n', 'x.log': 'no\n' });
  const daemon = await sandbox.startDaemon();
  const { project_id } = await daemon.addProject(root);
  const inner = repositoryIn(newFolderAt(root, 'inner'));
  writeFileSync(join(inner, '.git/info/exclude'), '*.tmp\n');
  await commit(inner, { '.gitignore': '*.log\n', 'kept.log': 'yes\n', 'd/kept.log': 'yes\n' });
  await writeFiles(inner, { 'new.log': 'no\n', 'd/new.tmp': 'no\n', 'new.txt': 'yes\n' });
  await daemon.call('update_indexes', { project_id });
  const expected = ['.gitignore', 'inner/.gitignore', 'inner/d/kept.log', 'inner/kept.log', 'inner/new.txt'];
  assert.deepEqual(await daemon.paths(project_id), expected);
  // A repository that comes to where files are watched already.
  await writeFiles(root, { 'plain/a.log': 'a\n', 'plain/a.py': 'a = 1\n' });
  const plain = repositoryIn(join(root, 'plain'));
  git(plain, 'add', '--all', '--force');
  await waitFor('what it tracks is content', async () =>
    (await daemon.paths(project_id)).includes('plain/a.log'),
  );
});

test('what git begins to track although rules ignore it is content from then on', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({
    '.gitignore': '*.log\n',
    'x.log': 'x\n',
    'y.log': 'y\n',
    'gone.py': 'g\n',
  });
  git(repositoryIn(root), 'add', '--all');
  rmSync(join(root, 'gone.py'));
  const daemon = await sandbox.startDaemon();
  const { project_id } = await daemon.addProject(root);
  assert.deepEqual(await daemon.paths(project_id), ['.gitignore']);
  for (const name of ['x.log', 'y.log']) {
    git(root, 'add', '--force', name);
    await waitFor(`${name} is content`, async () => (await daemon.paths(project_id)).includes(name));
  }
});

test('a folder .git that becomes a repository only later is noticed when it does', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ '.gitignore': '*.log\n', 'x.log': 'x\n', 'plain/a.log': 'a\n' });
  const daemon = await sandbox.startDaemon();
  const { project_id } = await daemon.addProject(root);
  // As git makes it, if somebody looks in between.
  for (const top of [root, join(root, 'plain')]) mkdirSync(join(top, '.git'));
  await daemon.call('wait_until_fresh', { project_id });
  assert.deepEqual(await daemon.paths(project_id), ['.gitignore']);
  git(repositoryIn(root), 'add', '--force', 'x.log');
  await waitFor('what the root’s tracks is content', async () =>
    (await daemon.paths(project_id)).includes('x.log'),
  );
  git(repositoryIn(join(root, 'plain')), 'add', '--all', '--force');
  await waitFor('what the inner one tracks is content', async () =>
    (await daemon.paths(project_id)).includes('plain/a.log'),
  );
});

test('a repository that is put elsewhere takes its HEAD along', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n' });
  const inner = await branched(join(root, 'inner'));
  const daemon = await sandbox.startDaemon();
  const project = await daemon.addProject(root);
  const { project_id } = project;
  renameSync(inner, join(root, 'moved'));
  await daemon.call('update_indexes', { project_id });
  git(join(root, 'moved'), 'checkout', '-q', 'main');
  await waitFor('what is left is followed', async () => {
    const causes = await causesOf(daemon, project);
    return below('moved', others).every((path) => causes.get(path) === 'git');
  });
  assert.deepEqual(await daemon.paths(project_id), ['a.py', 'moved/inner.py']);
});

test('what a repository tracks stays content when its folder becomes another repository', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = repositoryIn(await sandbox.project({ 's/gen.py': 'v1\n', 's/a.py': 'a = 1\n' }));
  await commit(root, {});
  const daemon = await sandbox.startDaemon();
  const { project_id } = await daemon.addProject(root);
  repositoryIn(join(root, 's'));
  await writeFiles(root, { 's/.gitignore': 'gen.py\n', 's/gen.py': 'v2: hours of work\n' });
  await daemon.call('wait_until_fresh', { project_id });
  assert.deepEqual(await daemon.paths(project_id), ['s/.gitignore', 's/a.py', 's/gen.py']);
  // And where the one around it switches, it was the one that took it.
  await daemon.stop();
  git(root, 'rm', '-q', '--cached', 's/gen.py');
  git(root, 'commit', '-q', '--message', 'none of it');
  unlinkSync(join(root, 's/gen.py'));
  const next = await sandbox.startDaemon({ config: { autostart: [] } });
  const { files_restored_from_cst: restored } = await next.repair({ project_id });
  assert.deepEqual(restored, []);
});
