import assert from 'node:assert/strict';
import { unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, suite, test } from 'node:test';
import { codekeep } from '../harness/command.js';
import type { Daemon, Project, RepairReport } from '../harness/daemon.js';
import { followCommand } from '../harness/named-command.js';
import { actionsOf, pathsOf } from '../harness/repairs.js';
import { Sandbox } from '../harness/sandbox.js';
import { filesOf } from '../harness/trees.js';
import { git, repositoryIn } from '../reconcile/repository.js';

const files = {
  'x.py': 'x = 1\r\n',
  'run.sh': { content: '#!/bin/sh\n', mode: 0o755 },
  'kept.py': 'k = 1\n',
};
const removed = ['run.sh', 'x.py'];

function causesIn({ recently_deleted }: RepairReport): Record<string, string | null> {
  return Object.fromEntries(recently_deleted.map(({ path, cause }) => [path, cause]));
}

suite('what a watcher saw go', () => {
  const sandbox = Sandbox.ofSuite();
  let daemon: Daemon;

  before(async () => {
    daemon = await sandbox.startDaemon();
  });

  async function untilFresh({ project_id }: Project): Promise<void> {
    assert.equal((await daemon.call('wait_until_fresh', { project_id })).freshness, 'fresh');
  }

  /** A project of which a watcher has just seen two files go. */
  async function withRemoved(): Promise<{ project: Project; root: string; original: Map<string, unknown> }> {
    const root = await sandbox.project(files);
    const original = filesOf(root);
    const project = await daemon.addProject(root);
    for (const path of removed) unlinkSync(join(root, path));
    return { project, root, original };
  }

  test('is nothing to mend, and a repair names it with the command that brings it back', async () => {
    const { project, root, original } = await withRemoved();
    const { project_id } = project;
    for (const dry_run of [true, false]) {
      const report = await daemon.repair({ project_id, dry_run });
      assert.deepEqual(Object.values(actionsOf(report)), [[], [], []]);
      assert.deepEqual(causesIn(report), { 'run.sh': 'seen', 'x.py': 'seen' });
      for (const { deleted_at } of report.recently_deleted)
        assert.ok(Math.abs(Date.now() - Date.parse(deleted_at)) < 60_000);
    }
    const { status, stdout } = await codekeep(sandbox, 'repair', root, '--socket', daemon.socket);
    assert.equal(status, 0);
    for (const path of removed) assert.match(stdout, new RegExp(`${path} .*seen by the watcher`));
    await followCommand(sandbox, daemon, stdout, /^codekeep repair --deleted-since/, root);
    assert.deepEqual(filesOf(root), original);
    const after = await daemon.repair({ project_id });
    assert.deepEqual(after.recently_deleted, [], 'and what is back is not named');
  });

  test('counts as lost with deleted_since: dry run and run alike, by one journal, and it is watched again', async () => {
    const { project, root, original } = await withRemoved();
    const { project_id } = project;
    const planned = await daemon.repair({ project_id, deleted_since: '10m', dry_run: true });
    assert.deepEqual([...filesOf(root).keys()], ['kept.py'], 'a dry run restores nothing');
    const done = await daemon.repair({ project_id, deleted_since: '10m' });
    assert.deepEqual(actionsOf(done), actionsOf(planned));
    // Versions have had them since they were deleted.
    const targets = done.files_restored_from_cst.map((file) => [file.path, file.targets]);
    assert.deepEqual(Object.fromEntries(targets), { 'run.sh': ['project'], 'x.py': ['project'] });
    assert.deepEqual([done.errors, done.recently_deleted, planned.recently_deleted], [[], [], []]);
    const { actions } = await daemon.call('get_repair', { run_id: done.run_id });
    const states = actions.map(({ path, state }) => [path, state]);
    assert.deepEqual(Object.fromEntries(states), { 'run.sh': 'done', 'x.py': 'done' });

    assert.deepEqual(filesOf(root), original);
    assert.deepEqual(await daemon.paths(project_id, true), []);
    await untilFresh(project);
    const again = await daemon.repair({ project_id, deleted_since: '10m' });
    assert.deepEqual(Object.values(actionsOf(again)), [[], [], []], 'a second run has nothing to do');
    writeFileSync(join(root, 'x.py'), 'x = 2\n');
    await untilFresh(project);
    const { content } = await daemon.call('get_file', { project_id, path: 'x.py' });
    assert.equal(content, 'x = 2\n');
    unlinkSync(join(root, 'x.py'));
    await untilFresh(project);
    assert.deepEqual(await daemon.paths(project_id, true), ['x.py']);
  });

  test('is brought back by the command that a repair names, also when it went hours ago', async () => {
    const { project, root, original } = await withRemoved();
    await untilFresh(project);
    daemon.sql((db) =>
      db.prepare('UPDATE files SET deleted_at = deleted_at - 10800000 WHERE deleted = 1').run(),
    );
    const { stdout } = await codekeep(sandbox, 'repair', root, '--socket', daemon.socket);
    await followCommand(sandbox, daemon, stdout, /^codekeep repair --deleted-since/, root);
    assert.deepEqual(filesOf(root), original);
  });

  test('stays away where it went before that time', async () => {
    const { project } = await withRemoved();
    const { project_id } = project;
    await untilFresh(project);
    const deleted_since = new Date(Date.now() + 1).toISOString();
    const report = await daemon.repair({ project_id, deleted_since });
    assert.deepEqual(Object.values(actionsOf(report)), [[], [], []]);
    assert.deepEqual(report.recently_deleted.map(({ path }) => path).sort(), removed);
  });

  test('comes back alone: what git did and what was asked for stays away', async () => {
    const root = repositoryIn(await sandbox.project(files));
    git(root, 'add', 'kept.py');
    git(root, 'commit', '-q', '-m', 'main');
    git(root, 'checkout', '-q', '-b', 'feature');
    writeFileSync(join(root, 'feature.py'), 'f = 1\n');
    git(root, 'add', 'feature.py');
    git(root, 'commit', '-q', '-m', 'feature');
    const project = await daemon.addProject(root);
    const { project_id } = project;
    git(root, 'checkout', '-q', 'main');
    await untilFresh(project);
    await daemon.call('delete_file', { project_id, path: 'run.sh' });
    unlinkSync(join(root, 'x.py'));
    for (const dry_run of [true, false]) {
      const report = await daemon.repair({ project_id, deleted_since: '1h', dry_run });
      assert.deepEqual(pathsOf(report.files_restored_from_cst), ['x.py']);
      assert.deepEqual(causesIn(report), { 'feature.py': 'git', 'run.sh': 'asked' });
    }
    assert.deepEqual(await daemon.paths(project_id, true), ['feature.py', 'run.sh']);
  });

  test('is brought back by the command line, with a dry run that says the same', async () => {
    const { root, original } = await withRemoved();
    const since = ['--deleted-since', '10m', '--socket', daemon.socket];
    const dry = await codekeep(sandbox, 'repair', root, '--dry-run', ...since);
    assert.deepEqual([...filesOf(root).keys()], ['kept.py']);
    const done = await codekeep(sandbox, 'repair', root, ...since);
    for (const path of removed) {
      assert.match(dry.stdout, new RegExp(`to be restored[^]*${path} .*into project`));
      assert.match(done.stdout, new RegExp(`restored[^]*${path} .*into project`));
    }
    assert.deepEqual([dry.status, done.status], [0, 0]);
    assert.deepEqual(filesOf(root), original);
    const wrong = await codekeep(
      sandbox,
      'repair',
      root,
      '--deleted-since',
      'soon',
      '--socket',
      daemon.socket,
    );
    assert.deepEqual([wrong.status, /--deleted-since: .*10m/.test(wrong.stderr)], [2, true]);
  });
});
