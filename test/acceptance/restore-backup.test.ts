import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { codekeep } from '../harness/command.js';
import { Sandbox } from '../harness/sandbox.js';
import { waitFor } from '../harness/waiting.js';

test('a backup takes the place of the index, what was there is kept, and what is newer on disk is indexed again', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n', 'b.py': 'b = 1\n', 'gone.py': 'g = 1\n' });
  const daemon = await sandbox.startDaemon();
  const { project_id } = await daemon.addProject(root);
  const { path, problems } = await daemon.call('backup_database');
  assert.deepEqual(problems, []);
  writeFileSync(join(root, 'a.py'), 'a = 2\n');
  writeFileSync(join(root, 'new.py'), 'n = 1\n');
  unlinkSync(join(root, 'gone.py'));
  await daemon.call('wait_until_fresh', { project_id });
  const { status, stdout, stderr } = await codekeep(
    sandbox,
    'restore-backup',
    path,
    '--socket',
    daemon.socket,
  );
  assert.equal(status, 0, stderr);
  assert.match(stdout, new RegExp(`^${root}: 1 added, 1 changed, 1 deleted since$`, 'm'));
  const kept = /what was there is kept: (\S+)/.exec(stdout)?.[1] ?? '';
  assert.ok(existsSync(kept), stdout);
  assert.deepEqual(await daemon.paths(project_id), ['a.py', 'b.py', 'new.py']);
  assert.equal((await daemon.call('get_file', { project_id, path: 'a.py' })).content, 'a = 2\n');
  assert.deepEqual(await daemon.paths(project_id, true), ['gone.py']);
  const { freshness } = await daemon.call('wait_until_fresh', { project_id });
  assert.equal(freshness, 'fresh');
  const { workers } = await daemon.call('health');
  assert.deepEqual([workers['index_service'], workers['file_watcher']], ['ready', 'ready']);
  // What was there is an index like any other.
  await daemon.call('restore_backup', { path: kept });
  assert.deepEqual(await daemon.paths(project_id), ['a.py', 'b.py', 'new.py']);
  const left = readdirSync(daemon.stateDir).filter((name) => name.includes('incoming'));
  assert.deepEqual(left, []);
});

test('what is no sound copy of an index is refused, and everything is as it was', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n' });
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  const { project_id } = await daemon.addProject(root);
  const { path } = await daemon.call('backup_database');
  const cut = sandbox.path('cut.db');
  const bytes = readFileSync(path);
  writeFileSync(cut, bytes.subarray(0, bytes.length / 2));
  const text = sandbox.path('text.db');
  writeFileSync(text, 'no database\n'.repeat(1_000));
  for (const bad of [cut, text, sandbox.path('nothing.db'), root]) {
    const { code, hint } = await daemon.refusal('restore_backup', { path: bad });
    assert.deepEqual([code, hint.startsWith('Nothing was changed.')], ['INVALID_PARAMS', true], bad);
    assert.deepEqual(await daemon.paths(project_id), ['a.py']);
  }
  assert.equal(existsSync(join(daemon.stateDir, 'replaced')), false);
});

for (const [how, damage] of Object.entries<(path: string) => void>({
  'is no database any more': (path) => writeFileSync(path, 'garbage '.repeat(10_000)),
  'was cut off': (path) => truncateSync(path, 5_000),
  'was removed': (path) => unlinkSync(path),
}))
  test(`where the index ${how} at the start, a backup brings everything back`, async (t) => {
    const sandbox = await Sandbox.create(t);
    const root = await sandbox.project({ 'a.py': 'a = 1\n', 'b.py': 'b = 1\n' });
    const first = await sandbox.startDaemon();
    // Both write the same logs.
    first.mayLogErrors = true;
    const { project_id } = await first.addProject(root);
    const { path } = await first.call('backup_database');
    await first.stop();
    for (const end of ['-wal', '-shm'])
      assert.equal(existsSync(join(first.stateDir, `index.db${end}`)), false);
    damage(join(first.stateDir, 'index.db'));
    unlinkSync(join(root, 'b.py'));
    const daemon = await sandbox.startDaemon();
    daemon.mayLogErrors = true;
    const restored = await daemon.call('restore_backup', { path });
    assert.ok('projects' in restored);
    assert.deepEqual(
      restored.projects.map(({ root_dir, error }) => [root_dir, error]),
      [[root, null]],
    );
    assert.deepEqual(await daemon.paths(project_id), ['a.py']);
    await waitFor('all is well', async () => {
      const { status, workers } = await daemon.call('health');
      return status === 'ok' && workers['file_watcher'] === 'ready';
    });
    // What went while the index was not whole is known, and can be had.
    assert.deepEqual(await daemon.paths(project_id, true), ['b.py']);
  });

test('what the daemon still had open of an index that somebody removed is kept, too', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n' });
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  daemon.mayLogErrors = true;
  const { project_id } = await daemon.addProject(root);
  const { path } = await daemon.call('backup_database');
  writeFileSync(join(root, 'late.py'), 'def late(): return "precious"\n');
  await daemon.call('update_indexes', { project_id });
  unlinkSync(join(root, 'late.py'));
  for (const end of ['', '-wal', '-shm']) unlinkSync(join(daemon.stateDir, `index.db${end}`));
  const restored = await daemon.call('restore_backup', { path });
  assert.ok('original_path' in restored && restored.original_path !== null);
  assert.deepEqual(await daemon.paths(project_id), ['a.py']);
  await daemon.call('restore_backup', { path: restored.original_path });
  assert.deepEqual(await daemon.paths(project_id, true), ['late.py']);
  const { content } = await daemon.call('get_file', { project_id, path: 'late.py' });
  assert.equal(content, 'def late(): return "precious"\n');
});

test('where the index cannot be opened, every answer names the way out', async (t) => {
  const sandbox = await Sandbox.create(t);
  const stateDir = sandbox.path('state');
  mkdirSync(stateDir, { mode: 0o700 });
  writeFileSync(join(stateDir, 'index.db'), 'garbage '.repeat(10_000));
  const daemon = await sandbox.startDaemon({ stateDir, config: { autostart: [] } });
  daemon.mayLogErrors = true;
  const { hint } = await waitFor('it has failed', async () => {
    const { problems } = await daemon.call('health');
    return problems.find(({ source }) => source === 'index_service');
  });
  assert.match(hint, /rebuild_database/u);
  assert.match((await daemon.refusal('list_projects')).hint, /rebuild_database/u);
});

test('what was deleted after a backup was made is still known after it was restored, as it was at last', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n', 'edited.py': 'e = 1\n' });
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  const { project_id } = await daemon.addProject(root);
  const { path } = await daemon.call('backup_database');
  writeFileSync(join(root, 'edited.py'), 'e = 2\n');
  writeFileSync(join(root, 'new.py'), 'n = 1\n');
  await daemon.call('update_indexes', { project_id });
  for (const gone of ['edited.py', 'new.py']) await daemon.call('delete_file', { project_id, path: gone });
  await daemon.call('restore_backup', { path });
  assert.deepEqual(await daemon.paths(project_id), ['a.py']);
  assert.deepEqual(await daemon.paths(project_id, true), ['edited.py', 'new.py']);
  await daemon.call('restore_deleted_files', { project_id, paths: ['edited.py', 'new.py'] });
  assert.equal(readFileSync(join(root, 'edited.py'), 'utf8'), 'e = 2\n');
  assert.equal(readFileSync(join(root, 'new.py'), 'utf8'), 'n = 1\n');
});

test('a large file that was deleted after the backup can be had again after it, and is said to be', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'big.bin': 'b'.repeat(5_000) });
  const daemon = await sandbox.startDaemon({ config: { max_file_bytes: 1_000 } });
  const { project_id } = await daemon.addProject(root);
  const { path } = await daemon.call('backup_database');
  await daemon.call('delete_file', { project_id, path: 'big.bin' });
  await daemon.call('restore_backup', { path });
  const { files } = await daemon.call('list_deleted_files', { project_id });
  assert.deepEqual(
    files.map((file) => [file.path, file.restorable]),
    [['big.bin', true]],
  );
  assert.equal((await daemon.call('get_project_status', { project_id })).files.not_restorable, 0);
  await daemon.call('restore_deleted_files', { project_id, paths: ['big.bin'] });
  assert.equal(readFileSync(join(root, 'big.bin'), 'utf8'), 'b'.repeat(5_000));
});
