/** What is not kept of the past goes, when somebody asks for it and by itself. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { codekeep } from '../harness/command.js';
import { type Daemon, versionPath } from '../harness/daemon.js';
import { Sandbox } from '../harness/sandbox.js';
import { waitFor } from '../harness/waiting.js';

async function followed(daemon: Daemon, project_id: string): Promise<void> {
  assert.equal((await daemon.call('wait_until_fresh', { project_id })).freshness, 'fresh');
}

test('what has no room goes, and a checkpoint stays; a dry run says it before', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ '0.py': '0\n', 'a.py': 'a = 0\n', 'b.py': 'b = 0\n' });
  // What changed last is indexed first; what is indexed later tells of what was there before it.
  utimesSync(join(root, '0.py'), 1, 1);
  const config = { revision_burst: 0, history_max_bytes: 0, backup_interval: 0, check_interval: 0 };
  const daemon = await sandbox.startDaemon({ config: { ...config, autostart: ['file_watcher'] } });
  const { project_id } = await daemon.addProject(root);
  const save = async (path: string, text: string): Promise<void> => {
    writeFileSync(join(root, path), text);
    await followed(daemon, project_id);
  };
  const versionsOf = async (path: string): Promise<string[]> => {
    const { versions } = await daemon.call('list_file_versions', { project_id, path });
    return await Promise.all(
      versions.map(
        async ({ version_id }) => (await daemon.call('get_file', { project_id, path, version_id })).content,
      ),
    );
  };
  await save('a.py', 'a = 1\n');
  const between = await daemon.call('get_file', { project_id, path: 'a.py' });
  await save('a.py', 'a = 2\n');
  const checkpoint = await daemon.call('create_checkpoint', { project_id, label: 'two' });
  await save('a.py', 'a = 3\n');
  const behind = await daemon.call('get_file', { project_id, path: 'a.py' });
  await save('a.py', 'a = 4\n');
  assert.equal((await versionsOf('a.py')).length, 5);

  const before = daemon.dump();
  const said = await daemon.call('forget', { project_id, dry_run: true });
  assert.deepEqual(daemon.dump(), before, 'a dry run changes nothing');
  assert.deepEqual([said.dry_run, said.versions, said.deleted_files, said.contents], [true, 3, 0, 3]);
  const shown = await codekeep(sandbox, 'forget', root, '--dry-run', '--socket', daemon.socket);
  assert.equal(shown.status, 0, shown.stderr);
  assert.match(shown.stdout, /3 states +0 deleted files +back to \S+Z\n/u);
  assert.match(
    shown.stdout,
    /^dry run, nothing was changed: would let go 3 states, 0 deleted files and 3 contents/mu,
  );
  const done = await daemon.call('forget', { project_id });
  assert.deepEqual(done, { ...said, dry_run: false });

  assert.deepEqual(await versionsOf('a.py'), ['a = 4\n', 'a = 2\n']);
  const { versions } = await daemon.call('list_file_versions', { project_id, path: 'a.py' });
  assert.deepEqual(
    versions.map(({ change, gone_to }) => [change, gone_to]),
    [
      ['changed', null],
      [null, null],
    ],
    'that it was something before is not denied',
  );
  const { changes } = await daemon.call('list_changes', { project_id });
  assert.deepEqual(
    changes.map(({ path, kind, previous_version_id }) => [path, kind, previous_version_id === null]),
    [
      ['a.py', 'changed', false],
      ['a.py', 'changed', true],
    ],
    'what it was before is not known, and that it was something is',
  );
  const oldest = done.projects[0]?.oldest ?? assert.fail('nothing is known of it');
  const { recorded_since } = await daemon.call('list_changes', { project_id });
  assert.equal(recorded_since, oldest);
  // What was in between is not made up of what was before it.
  for (const { seen_at: at } of [between, behind]) {
    const gone = await daemon.refusal('get_file', { project_id, path: 'a.py', at });
    assert.match(gone.message, /what files of .* were is kept since/u);
  }
  const { version_id, seen_at } = between;
  const letGo = await daemon.refusal('get_file', { project_id, path: 'a.py', version_id });
  assert.equal(letGo.code, 'NOT_FOUND');
  assert.ok(
    letGo.message.includes(`of ${seen_at}, is not kept any more: retention let it go`),
    letGo.message,
  );
  const tooOld = await daemon.refusal('rewind', { project_id, to: between.seen_at });
  assert.equal(tooOld.code, 'NOT_FOUND');
  await daemon.call('rewind', { project_id, to: checkpoint.checkpoint_id });
  assert.equal(readFileSync(join(root, 'a.py'), 'utf8'), 'a = 2\n');
  const nothing = await codekeep(sandbox, 'forget', '--json', '--socket', daemon.socket);
  assert.equal((JSON.parse(nothing.stdout) as { versions: number }).versions, 0, nothing.stdout);
});

test('by itself goes what is older than what is kept: states, and a deleted file with its copy', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 0\n', 'gone.py': 'gone = 1\n', 'kept.py': 'kept = 1\n' });
  const keep = { history_keep_all: 1, history_keep_hourly: 0, history_keep_daily: 0 };
  const daemon = await sandbox.startDaemon({
    config: { ...keep, revision_burst: 0, autostart: ['file_watcher'] },
  });
  const project = await daemon.addProject(root);
  const { project_id } = project;
  for (let round = 1; round < 5; round += 1) {
    writeFileSync(join(root, 'a.py'), `a = ${round}\n`);
    await followed(daemon, project_id);
  }
  rmSync(join(root, 'gone.py'));
  await followed(daemon, project_id);
  await waitFor('nothing is left of the past', async () => {
    const { versions } = await daemon.call('list_file_versions', { project_id, path: 'a.py' });
    return versions.length === 1 && (await daemon.paths(project_id, true)).length === 0;
  });
  assert.equal(existsSync(versionPath(project, 'gone.py')), false);
  const gone = await daemon.refusal('get_file', { project_id, path: 'gone.py' });
  assert.equal(gone.code, 'FILE_NOT_FOUND');
  assert.match(gone.message, /of what was deleted until \S+Z retention let files go/u);
  await waitFor('contents leave', async () => (await daemon.call('get_database_status')).contents === 2);
  assert.deepEqual(await daemon.paths(project_id), ['a.py', 'kept.py']);
});

test('what a rewind replaced is kept for whoever takes it back, and no other state is taken for it', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 0\n' });
  const config = { revision_burst: 0, history_max_bytes: 0, autostart: ['file_watcher'] };
  const daemon = await sandbox.startDaemon({ config });
  const { project_id } = await daemon.addProject(root);
  const { checkpoint_id } = await daemon.call('create_checkpoint', { project_id });
  const save = async (text: string): Promise<void> => {
    writeFileSync(join(root, 'a.py'), text);
    await followed(daemon, project_id);
  };
  const rewound = async (): Promise<string> => {
    const result = await daemon.call('rewind', { project_id, to: checkpoint_id });
    assert.ok('run_id' in result);
    assert.equal(result.reverted.length, 1, result.message);
    return result.run_id;
  };
  await save('a = 1\n');
  await save('a = 2\n');
  const first = await rewound();
  assert.equal((await daemon.call('forget', { project_id })).versions, 1);
  await daemon.call('undo_repair', { run_id: first });
  assert.equal(readFileSync(join(root, 'a.py'), 'utf8'), 'a = 2\n');

  const second = await rewound();
  // As if it had been so long ago that nothing of it is kept.
  daemon.sql((db) => {
    db.prepare("DELETE FROM revisions WHERE came_by <> 'found'").run();
  });
  const undone = await daemon.call('undo_repair', { run_id: second });
  assert.ok('kept' in undone);
  assert.deepEqual([undone.undone, undone.kept[0]?.reason], [[], 'what it was before is not kept any more']);
  assert.equal(readFileSync(join(root, 'a.py'), 'utf8'), 'a = 0\n');
});
