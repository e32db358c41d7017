import assert from 'node:assert/strict';
import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { test, type TestContext } from 'node:test';
import { codekeep } from '../harness/command.js';
import type { Daemon, Project } from '../harness/daemon.js';
import { followCommand } from '../harness/named-command.js';
import { manyFiles, Sandbox } from '../harness/sandbox.js';
import { filesOf } from '../harness/trees.js';
import { waitFor } from '../harness/waiting.js';

const files = manyFiles(60);
const paths = Object.keys(files).sort();

interface Braked {
  sandbox: Sandbox;
  daemon: Daemon;
  project: Project;
  reason: string;
}

/** Before the watcher has looked, another reason is told. */
async function untilBraked(daemon: Daemon, project_id: string, words: RegExp): Promise<string> {
  return await waitFor('the brake', async () => {
    const { freshness, reason } = await daemon.call('get_project_status', { project_id });
    return freshness === 'unknown' && words.test(reason ?? '') && reason;
  });
}

/** A project whose root is another folder by now, with nothing in it; the original lies beside it. */
async function braked(t: TestContext): Promise<Braked> {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project(files);
  const daemon = await sandbox.startDaemon();
  const project = await daemon.addProject(root);
  renameSync(root, `${root}.away`);
  mkdirSync(root);
  // In between there is no folder at all.
  const reason = await untilBraked(daemon, project.project_id, /not the one that was registered/);
  return { sandbox, daemon, project, reason };
}

test('after the brake a repair says which command does what, and one of them brings everything back', async (t) => {
  const { sandbox, daemon, project, reason } = await braked(t);
  const { project_id, root_dir } = project;
  assert.equal((await daemon.call('health')).status, 'degraded');
  for (const dry_run of [true, false]) {
    const report = await daemon.repair({ project_id, dry_run });
    assert.equal(report.unknown.length, 60);
    for (const text of [report.unknown[0]?.reason ?? '', reason]) {
      assert.match(text, /"codekeep repair --force [^"]+" brings them back/);
      assert.match(text, /"codekeep accept [^"]+" marks them deleted/);
    }
  }
  assert.deepEqual(
    [filesOf(root_dir).size, await daemon.paths(project_id, true)],
    [0, []],
    'nothing was concluded',
  );
  await followCommand(sandbox, daemon, reason, /^codekeep repair --force \S+$/, root_dir);
  assert.deepEqual(filesOf(root_dir), filesOf(`${root_dir}.away`));
  assert.equal((await daemon.call('wait_until_fresh', { project_id })).freshness, 'fresh');
  assert.equal((await daemon.call('health')).status, 'ok');
  assert.deepEqual(await daemon.paths(project_id), paths);
});

test('accept_deletions says that they are right: a dry run lists, a run marks, and the project is fresh', async (t) => {
  const { sandbox, daemon, project, reason } = await braked(t);
  const { project_id, root_dir } = project;
  const planned = await daemon.call('accept_deletions', { project_id, dry_run: true });
  assert.deepEqual([planned.count, planned.accepted.map(({ path }) => path)], [60, paths]);
  const shown = await codekeep(sandbox, 'accept', root_dir, '--dry-run', '--socket', daemon.socket);
  assert.match(shown.stdout, /file59\.py[^]*60 to be marked deleted/);
  assert.deepEqual(await daemon.paths(project_id, true), [], 'a dry run marks nothing');

  assert.match(
    (await followCommand(sandbox, daemon, reason, /^codekeep accept \S+$/, root_dir)).stdout,
    /60 marked deleted/,
  );
  const { files: deleted } = await daemon.call('list_deleted_files', { project_id, limit: 1_000 });
  assert.deepEqual(
    deleted.map(({ path, cause }) => [path, cause]),
    paths.map((path) => [path, 'asked']),
  );
  await waitFor('the project is fresh', async () => {
    const { freshness } = await daemon.call('get_project_status', { project_id });
    return freshness === 'fresh';
  });
  assert.equal((await daemon.call('health')).status, 'ok');
  const { files_restored_from_cst, unknown } = await daemon.repair({ project_id });
  assert.deepEqual([files_restored_from_cst, unknown], [[], []], 'and a repair leaves it so');
  await daemon.call('restore_deleted_files', { project_id, cause: 'asked' });
  assert.deepEqual(filesOf(root_dir), filesOf(`${root_dir}.away`), 'every byte was kept');
});

test('a root that is empty although it is the one that was registered: the hints are right there, too', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project(files);
  const original = filesOf(root);
  const daemon = await sandbox.startDaemon();
  const project = await daemon.addProject(root);
  const { project_id } = project;
  await daemon.stopWorkers('file_watcher');
  for (const folder of filesOf(root).keys())
    rmSync(`${root}/${folder.split('/')[0] ?? ''}`, { recursive: true, force: true });
  await daemon.call('start_worker', { worker_type: 'file_watcher' });
  const reason = await untilBraked(daemon, project_id, /"codekeep accept [^"]+" marks them deleted/);
  await followCommand(sandbox, daemon, reason, /^codekeep repair \S+$/, root);
  assert.deepEqual(filesOf(root), original);
});
