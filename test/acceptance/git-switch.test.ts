import assert from 'node:assert/strict';
import { existsSync, rmSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Daemon, Project } from '../harness/daemon.js';
import { actionsOf, pathsOf } from '../harness/repairs.js';
import { manyFiles, Sandbox, writeFiles } from '../harness/sandbox.js';
import { waitFor } from '../harness/waiting.js';
import { git, repositoryIn } from '../reconcile/repository.js';

const base = { 'a.py': 'a = 1\n', 'b.py': 'b = 1\n' };
const others = Object.keys(manyFiles(60)).sort();

/** A repository on a branch with 60 files that main has not. */
async function onBranch(sandbox: Sandbox): Promise<string> {
  const root = repositoryIn(await sandbox.project(base));
  git(root, 'add', '.');
  git(root, 'commit', '-q', '-m', 'main');
  git(root, 'checkout', '-q', '-b', 'feature');
  await writeFiles(root, manyFiles(60));
  git(root, 'add', '.');
  git(root, 'commit', '-q', '-m', 'feature');
  return root;
}

async function causesOf(daemon: Daemon, { project_id }: Project): Promise<Map<string, string | null>> {
  const { files } = await daemon.call('list_deleted_files', { project_id, limit: 1_000 });
  return new Map(files.map(({ path, cause }) => [path, cause]));
}

const allByGit = new Map<string, string | null>(others.map((path) => [path, 'git']));

/** After a checkout of main: dry run and run bring back nothing of the branch, but what is lost beside. */
async function assertNothingOfTheBranch(
  daemon: Daemon,
  project: Project,
  root: string,
  lost: string[],
): Promise<void> {
  const { project_id } = project;
  const planned = await daemon.repair({ project_id, dry_run: true });
  const done = await daemon.repair({ project_id });
  assert.deepEqual(actionsOf(done), actionsOf(planned));
  const named = [planned, done].map(({ recently_deleted }) =>
    recently_deleted.map(({ path, cause }) => [path, cause]),
  );
  assert.deepEqual(named[1], named[0], 'the dry run names what the run names');
  assert.deepEqual(pathsOf(done.files_restored_from_cst), lost);
  assert.deepEqual(done.errors, []);
  assert.equal(
    others.some((path) => existsSync(join(root, path))),
    false,
  );
  assert.deepEqual(await causesOf(daemon, project), allByGit);
  // It can be had all the same, and the next repair takes nothing of it back.
  assert.deepEqual(await daemon.paths(project_id), ['a.py', 'b.py']);
  git(root, 'checkout', '-q', 'feature');
  await daemon.call('update_indexes', { project_id });
  assert.deepEqual(await daemon.paths(project_id, true), [], 'the branch is back');
}

test('beside a watcher, the files of the branch that was left do not come back', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await onBranch(sandbox);
  const daemon = await sandbox.startDaemon();
  const project = await daemon.addProject(root);
  git(root, 'checkout', '-q', 'main');
  await assertNothingOfTheBranch(daemon, project, root, []);
});

test('what a comparison misses in the middle of a checkout is what git did, all the same', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await onBranch(sandbox);
  const daemon = await sandbox.startDaemon();
  const project = await daemon.addProject(root);
  // As git does it: the files first, HEAD last.
  for (const folder of new Set(others.map((path) => path.split('/')[0] ?? '')))
    rmSync(join(root, folder), { recursive: true });
  await daemon.call('update_indexes', { project_id: project.project_id });
  assert.deepEqual(new Set((await causesOf(daemon, project)).values()), new Set(['seen']));
  git(root, 'checkout', '-q', '--force', 'main');
  await daemon.call('update_indexes', { project_id: project.project_id });
  assert.deepEqual(await causesOf(daemon, project), allByGit);
});

for (const autostart of [['file_watcher'], []]) {
  const how = autostart.length > 0 ? 'a watcher that comes later' : 'no watcher';
  test(`after a checkout while the daemon was down, with ${how}, the files of the other branch stay away`, async (t) => {
    const sandbox = await Sandbox.create(t);
    const root = await onBranch(sandbox);
    const first = await sandbox.startDaemon();
    const project = await first.addProject(root);
    await first.stop();
    git(root, 'checkout', '-q', 'main');
    const daemon = await sandbox.startDaemon({ config: { autostart } });
    // Without a watcher, what is missing beside is a loss.
    if (autostart.length === 0) unlinkSync(join(root, 'a.py'));
    await assertNothingOfTheBranch(daemon, project, root, autostart.length === 0 ? ['a.py'] : []);
  });
}

test('a daemon that was killed in a repair brings back what that repair had planned, and nothing else', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project(manyFiles(600));
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  const { project_id } = await daemon.addProject(root);
  for (const folder of [0, 1, 2, 3]) rmSync(join(root, `folder${folder}`), { recursive: true });
  await daemon.call('repair_database', { project_id, wait: false });
  await waitFor('the repair is in the middle', async () => {
    const { repair } = await daemon.call('health');
    return repair?.phase === 'apply' && repair.done > 0 && repair.done < repair.total;
  });
  await daemon.stop('SIGKILL');
  rmSync(join(root, 'folder5'), { recursive: true });
  const next = await sandbox.startDaemon();
  const isStarted = async (): Promise<boolean> => {
    const { status, workers } = await next.call('health');
    return status === 'ok' && workers['file_watcher'] === 'ready';
  };
  await waitFor('the start is complete', isStarted, 60_000);
  await next.call('update_indexes', { project_id });
  const expected = Object.keys(manyFiles(600)).filter((path) => !path.startsWith('folder5/'));
  assert.deepEqual(await next.paths(project_id), expected.sort());
  assert.deepEqual(
    expected.filter((path) => !existsSync(join(root, path))),
    [],
  );
  assert.equal(existsSync(join(root, 'folder5')), false, 'what went afterwards stays away');
  const { files } = await next.call('list_deleted_files', { project_id, limit: 1_000 });
  assert.deepEqual([files.length, new Set(files.map(({ cause }) => cause))], [100, new Set(['unseen'])]);
});
